//! Five hundred agents in one process.

use std::collections::BTreeSet;

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Daemon, Message, Publisher};

const AGENTS: usize = 500;

#[tokio::test]
async fn five_hundred_agents_live_in_one_process_on_a_few_threads() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let names: Vec<_> = (0..AGENTS).map(|number| format!("queue-{number:03}")).collect();
    let mut daemon = Daemon::new();
    for name in &names {
        daemon.write(&Agent::new(name, &vhost, &backend).set("async/amqp.heartbeat", "600s"));
    }
    daemon.start().await;
    for name in &names {
        daemon.wait_for_log(&["\"consuming\"", &format!("\"agent\":\"{name}\"")]).await;
    }
    daemon.notifications().wait_for(0, &["STATUS=500 agents: 500 consuming"]).await;
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count();
    assert!(threads <= 16, "{threads} threads");

    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish_all(names.iter().map(|name| Message::to(name, name.as_str()))).await;
    let expected: BTreeSet<_> = names.iter().cloned().collect();
    let requests = backend
        .wait_until("a message of each queue", |requests| bodies(requests) == expected)
        .await;
    assert_eq!(requests.len(), AGENTS, "none came twice");
    daemon.stop().await;
    for name in &names {
        assert_eq!(publisher.depth(name).await, (0, 0), "{name}");
    }
}

fn bodies(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::text).collect()
}
