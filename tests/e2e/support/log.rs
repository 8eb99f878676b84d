//! What the daemon writes, line by line, as it comes.
//!
//! `AMQP_AGENTD_TEST_LATE_LOG` (milliseconds) holds each line back for that long, as a pipe to a
//! busy reader may at any time: a test that looks for a line once, in place of waiting for it, then
//! fails each time and not once in a thousand runs.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::wait::DEADLINE;

/// The lines so far; shared by its clones.
#[derive(Debug, Clone, Default)]
pub struct Log(watch::Sender<Vec<String>>);

impl Log {
    /// Takes lines from `stream` until it ends.
    pub async fn read(self, stream: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(stream).split(b'\n');
        let late = std::env::var("AMQP_AGENTD_TEST_LATE_LOG").map_or(0, |ms| ms.parse().unwrap());
        let late = Duration::from_millis(late);
        let (sender, mut come) = mpsc::channel(1000);
        let read = async move {
            while let Ok(Some(line)) = lines.next_segment().await {
                sender.send((Instant::now() + late, line)).await.unwrap();
            }
        };
        let add = async {
            while let Some((at, line)) = come.recv().await {
                if !late.is_zero() {
                    sleep_until(at).await;
                }
                self.add(String::from_utf8_lossy(&line).into_owned());
            }
        };
        tokio::join!(read, add);
    }

    /// Adds a line.
    pub fn add(&self, line: String) {
        self.0.send_modify(|lines| lines.push(line));
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// The lines from number `from` on that hold each of `fragments`.
    pub fn with(&self, from: usize, fragments: &[&str]) -> Vec<String> {
        self.0.borrow().iter().skip(from).filter(|line| holds(line, fragments)).cloned().collect()
    }

    /// Waits for a line from number `from` on that holds each of `fragments`.
    pub async fn wait_for(&self, from: usize, fragments: &[&str]) -> String {
        let mut lines = self.0.subscribe();
        let is_there =
            |lines: &Vec<String>| lines.iter().skip(from).any(|line| holds(line, fragments));
        let waited = tokio::time::timeout(DEADLINE, lines.wait_for(is_there)).await;
        assert!(waited.is_ok(), "waited in vain for a line with {fragments:?}");
        drop(waited);
        self.with(from, fragments).swap_remove(0)
    }
}

fn holds(line: &str, fragments: &[&str]) -> bool {
    fragments.iter().all(|fragment| line.contains(fragment))
}
