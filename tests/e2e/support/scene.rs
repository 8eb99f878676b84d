//! What most tests begin with: a daemon that consumes, and a publisher beside it.

use tokio::time::sleep;

use super::agent::Agent;
use super::amqp::Message;
use super::daemon::Daemon;
use super::publisher::Publisher;
use super::vhost::Vhost;
use super::wait::{POLL, eventually, within};

/// One agent at work in a virtual host.
pub struct Scene {
    /// Runs the agent.
    pub daemon: Daemon,
    /// Puts messages in its queue.
    pub publisher: Publisher,
    /// Where the queue is.
    pub vhost: Vhost,
    queue: String,
}

impl Scene {
    /// Runs `agent` and waits until it consumes; its queue is named as it is.
    pub async fn of(vhost: Vhost, agent: &Agent) -> Scene {
        Scene::with(Daemon::new(), vhost, agent).await
    }

    /// The same with a daemon that the test has prepared.
    pub async fn with(mut daemon: Daemon, vhost: Vhost, agent: &Agent) -> Scene {
        daemon.write(agent);
        daemon.start().await;
        daemon.wait_for_log(&[r#""consuming""#, &agent.name]).await;
        let publisher = Publisher::connect(&vhost).await;
        Scene { daemon, publisher, vhost, queue: agent.name.clone() }
    }

    /// Publishes a message for each body, which is its id too.
    pub async fn publish(&mut self, bodies: impl IntoIterator<Item = impl ToString>) {
        let mut messages = Vec::new();
        for body in bodies {
            let body = body.to_string();
            messages.push(Message::to(&self.queue, body.clone()).message_id(body));
        }
        self.publisher.publish_all(messages).await;
    }

    /// Stops the daemon, which finishes and settles what is in flight: then `left` messages must
    /// be in the queue.
    pub async fn end(mut self, left: u32) {
        self.daemon.stop().await;
        // A quorum queue takes a moment to show what came back.
        self.wait_for_depth(left).await;
    }

    /// Waits until exactly `count` messages of the agent's queue wait for a consumer.
    pub async fn wait_for_depth(&mut self, count: u32) {
        let queue = self.queue.clone();
        self.wait_for_depth_of(&queue, count).await;
    }

    /// The same of another queue, which need not be there yet.
    pub async fn wait_for_depth_of(&mut self, queue: &str, count: u32) {
        self.vhost.wait_for_queue(queue, "a declaration", |_| true).await;
        let publisher = &mut self.publisher;
        let what = format!("{count} messages in {queue}");
        within(&what, async {
            while publisher.depth(queue).await.0 != count {
                sleep(POLL).await;
            }
        })
        .await;
    }

    /// Waits until the log has `count` lines that hold each of `fragments`.
    pub async fn wait_for_lines(&self, count: usize, fragments: &[&str]) {
        let log = self.daemon.log();
        eventually(&format!("{count} lines with {fragments:?}"), || {
            let lines = log.with(0, fragments);
            if lines.len() >= count { Ok(()) } else { Err(format!("{lines:?}")) }
        })
        .await;
    }

    /// How many lines of the log hold each of `fragments`.
    pub fn lines(&self, fragments: &[&str]) -> usize {
        self.daemon.log().with(0, fragments).len()
    }
}
