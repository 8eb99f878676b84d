//! A node that a test has to itself, to stop, kill and pause.

use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::broker::{Broker, own_dir, script, start_for_this_process};

/// One of the process's private nodes, for as long as this value lives.
///
/// There is one for each release: starting one takes seconds, so tests that need it take turns.
/// Whatever state a test leaves it in, the next one finds it running.
pub struct PrivateNode {
    /// The node. Its ports stay the same when it is stopped and started.
    pub broker: Broker,
    _turn: MutexGuard<'static, ()>,
}

impl PrivateNode {
    /// Waits for its turn, then sees to it that the node runs.
    pub async fn lease(release: u8) -> PrivateNode {
        static TURNS: [Mutex<()>; 2] = [const { Mutex::const_new(()) }; 2];
        static NODES: [OnceLock<Broker>; 2] = [const { OnceLock::new() }; 2];
        let index = usize::from(release - 3);
        let turn = TURNS[index].lock().await;
        let fresh = NODES[index].get().is_none();
        let broker = NODES[index].get_or_init(|| start_for_this_process(release, "private"));
        let node = PrivateNode { broker: broker.clone(), _turn: turn };
        if !fresh {
            // Paused, perhaps. One that is down cannot be resumed, which is no fault.
            node.run("resume").await.unwrap_or_default();
            node.start().await;
        }
        node
    }

    /// Ends the node in good order.
    pub async fn stop(&self) {
        self.must("stop").await;
    }

    /// Starts it again, with its data and ports.
    pub async fn start(&self) {
        self.must("start").await;
    }

    /// Ends it as a crash does.
    pub async fn kill(&self) {
        self.must("kill").await;
    }

    /// Freezes it: connections stay open, and nothing answers.
    pub async fn pause(&self) {
        self.must("pause").await;
    }

    /// Lets it go on.
    pub async fn resume(&self) {
        self.must("resume").await;
    }

    /// Changes it while it runs, by an Erlang expression, until it is stopped.
    pub async fn eval(&self, expression: &str) {
        if let Err(text) = self.run_with("ctl", &["eval", expression]).await {
            panic!("scripts/broker ctl eval {expression}: {text}");
        }
    }

    async fn must(&self, command: &str) {
        if let Err(text) = self.run(command).await {
            panic!("scripts/broker {command}: {text}");
        }
    }

    async fn run(&self, command: &str) -> Result<(), String> {
        self.run_with(command, &[]).await
    }

    async fn run_with(&self, command: &str, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(script())
            .arg(command)
            .arg(own_dir(self.broker.release, "private"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("scripts/broker runs");
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Runs `test` on a private node of each release.
pub async fn on_a_private_node_of_every_release<T>(test: fn(PrivateNode) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut runs = JoinSet::new();
    for broker in Broker::all() {
        runs.spawn(async move { test(PrivateNode::lease(broker.release).await).await });
    }
    runs.join_all().await;
}
