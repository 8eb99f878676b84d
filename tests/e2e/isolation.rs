//! However slow or dead one agent's broker or backend is, the others go on.

use crate::support::listener::Port;
use crate::support::{
    Agent, Backend, Daemon, Message, Proxy, Publisher, Reply, Vhost, on_every_release,
};

/// A daemon on one thread, so that agents have nothing between them but good manners.
async fn on_one_thread<'a>(agents: impl IntoIterator<Item = &'a Agent>) -> Daemon {
    let mut daemon = Daemon::new();
    let mut settings = toml::Table::new();
    settings.insert("threads".to_owned(), 1.into());
    daemon.set_main("daemon", settings);
    for agent in agents {
        daemon.write(agent);
    }
    daemon.start().await;
    daemon
}

/// Publishes messages to the queue `healthy` and waits until all have reached `backend`.
async fn flows(vhost: &Vhost, backend: &Backend) {
    vhost.wait_for_consumer("healthy").await;
    let mut publisher = Publisher::connect(vhost).await;
    let before = backend.requests().len();
    publisher.publish_all((0..200).map(|n| Message::to("healthy", n.to_string()))).await;
    backend.wait_for(before + 200).await;
    vhost.wait_for_queue("healthy", "nothing left", |q| q.ready == 0 && q.unacked == 0).await;
}

#[tokio::test]
async fn a_broker_that_never_says_a_word_holds_up_its_own_agent_alone() {
    on_every_release(|vhost| async move {
        let (silent, backend) = (Proxy::to(vhost.broker.amqp_port), Backend::start());
        silent.stall();
        let stuck = Agent::between("stuck", &vhost.url_by(silent.port()), &backend.url())
            .set("async/amqp.connect_timeout", "2s");
        let healthy = Agent::new("healthy", &vhost, &backend);
        let mut daemon = on_one_thread([&stuck, &healthy]).await;
        silent.wait_for_connections(1).await;
        flows(&vhost, &backend).await;
        daemon
            .wait_for_log(&["no session", "stuck", "not connected and logged in within 2s"])
            .await;
        silent.wait_for_connections(2).await;
        flows(&vhost, &backend).await;
        // Once the broker speaks, the agent has its session.
        silent.pass();
        vhost.wait_for_consumer("stuck").await;
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_broker_that_never_says_a_word() {
    on_every_release(|vhost| async move {
        let silent = Proxy::to(vhost.broker.amqp_port);
        silent.stall();
        let agent = Agent::between("stuck", &vhost.url_by(silent.port()), "http://127.0.0.1:9")
            .set("async/amqp.connect_timeout", "1h");
        let mut daemon = Daemon::running([&agent]).await;
        silent.wait_for_connections(1).await;
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_stalls_in_the_middle_holds_up_its_own_agent_alone() {
    on_every_release(|vhost| async move {
        let (silent, backend) = (Proxy::to(vhost.broker.amqp_port), Backend::start());
        let stuck = Agent::between("stuck", &vhost.url_by(silent.port()), &backend.url());
        let healthy = Agent::new("healthy", &vhost, &backend);
        let mut daemon = on_one_thread([&stuck, &healthy]).await;
        vhost.wait_for_consumer("stuck").await;
        silent.stall();
        flows(&vhost, &backend).await;
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_hangs_holds_up_its_own_agent_alone() {
    on_every_release(|vhost| async move {
        let (hanging, backend) = (Backend::replying(|_| Reply::hang()), Backend::start());
        let stuck = Agent::new("stuck", &vhost, &hanging).set("consumer.timeout", "5m");
        let healthy = Agent::new("healthy", &vhost, &backend);
        let _daemon = on_one_thread([&stuck, &healthy]).await;
        vhost.wait_for_consumer("stuck").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all((0..300).map(|n| Message::to("stuck", n.to_string()))).await;
        hanging.wait_for_in_flight(10).await;
        flows(&vhost, &backend).await;
        assert_eq!((hanging.in_flight(), hanging.requests().len()), (10, 10));
    })
    .await;
}

#[tokio::test]
async fn an_agent_whose_queue_is_missing_holds_up_nobody() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let missing = Agent::new("missing", &vhost, &backend).set("async/amqp.declare", "passive");
        let healthy = Agent::new("healthy", &vhost, &backend);
        let daemon = on_one_thread([&missing, &healthy]).await;
        daemon.wait_for_log(&["no session", "missing", "404 NOT_FOUND"]).await;
        flows(&vhost, &backend).await;
    })
    .await;
}

#[tokio::test]
async fn fifty_agents_on_a_dead_port_do_not_slow_one_on_a_live_broker() {
    on_every_release(|vhost| async move {
        let (dead, backend) = (Port::take(), Backend::start());
        let mut agents: Vec<_> = (0..50)
            .map(|n| format!("dead-{n}"))
            .map(|name| Agent::between(&name, &vhost.url_by(dead.number()), &backend.url()))
            .collect();
        agents.push(Agent::new("healthy", &vhost, &backend));
        let mut daemon = on_one_thread(&agents).await;
        for n in 0..50 {
            let agent = format!("\"agent\":\"dead-{n}\"");
            daemon.wait_for_log(&["no session", "onnection refused", &agent]).await;
        }
        flows(&vhost, &backend).await;
        daemon.notifications().wait_for(0, &["1 consuming", "50 connecting"]).await;
        // Each said it once, however often it has tried since.
        assert_eq!(daemon.log().with(0, &["no session"]).len(), 50);
        daemon.stop().await;
    })
    .await;
}
