//! Five hundred agents in one process.

use std::collections::BTreeSet;

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Daemon, Message, Publisher};

const AGENTS: usize = 500;

/// More agents than the daemon may open files at its start.
#[tokio::test]
async fn a_low_limit_of_open_files_is_raised_to_what_the_system_allows() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let names: Vec<_> = (0..60).map(|number| format!("queue-{number:02}")).collect();
    let mut daemon = Daemon::new();
    daemon.limit_open_files(48, 256);
    for name in &names {
        daemon.write(&Agent::new(name, &vhost, &backend));
    }
    daemon.start().await;
    daemon.wait_for_log(&["\"started\"", "\"open_files_max\":256"]).await;
    daemon.notifications().wait_for(0, &["STATUS=60 agents: 60 consuming"]).await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish_all(names.iter().map(|name| Message::to(name, name.as_str()))).await;
    let expected: BTreeSet<_> = names.iter().cloned().collect();
    backend.wait_until("a message of each queue", |requests| bodies(requests) == expected).await;
    assert_eq!(daemon.log().with(0, &["too few files"]), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn more_agents_than_files_may_be_open_are_warned_of_and_lose_nothing() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let names: Vec<_> = (0..60).map(|number| format!("queue-{number:02}")).collect();
    let mut publisher = Publisher::connect(&vhost).await;
    for name in &names {
        vhost.declare_queue(name);
    }
    publisher.publish_all(names.iter().map(|name| Message::to(name, name.as_str()))).await;
    let mut daemon = Daemon::new();
    daemon.limit_open_files(48, 48);
    for name in &names {
        daemon.write(&Agent::new(name, &vhost, &backend));
    }
    daemon.start().await;
    let fragments = ["WARN", "too few files may be open", "\"agents\":60", "\"open_files_max\":48"];
    daemon.wait_for_log(&fragments).await;
    daemon.wait_for_log(&["no session", "Too many open files"]).await;
    daemon.stop().await;
    let delivered = bodies(&backend.requests());
    for name in &names {
        // It takes the broker a moment to see that nobody holds it any more.
        if !delivered.contains(name) {
            publisher.wait_for_depth(name, (1, 0)).await;
        }
    }
}

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
        // A consumer that left may be counted a moment longer.
        publisher.wait_for_depth(name, (0, 0)).await;
    }
}

fn bodies(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::text).collect()
}
