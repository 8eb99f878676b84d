//! How the daemon ends, and that no end of it loses a message or counts against one.

use std::collections::BTreeSet;
use std::process::ExitStatus;

use serde_json::json;

use crate::support::backend::Request;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Proxy, Publisher, Reply, Vhost, on_every_release,
};

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_gives_back_the_rest_uncounted() {
    on_every_release(|vhost| async move {
        for signal in ["TERM", "INT"] {
            let queue = format!("orders-{signal}");
            let (backend, gate) = gated();
            let agent = quorum(&queue, &vhost, &backend)
                .set("consumer.workers", 2)
                .set("async/amqp.prefetch_count", 10);
            let mut daemon = Daemon::running([&agent]).await;
            vhost.wait_for_consumer(&queue).await;
            let mut publisher = Publisher::connect(&vhost).await;
            publisher.publish_all(numbered(&queue, 20)).await;
            backend.wait_for_in_flight(2).await;

            daemon.signal(signal);
            // Those that were never started are back at once, while the two are still in flight.
            publisher.wait_for_ready(&queue, 18).await;
            assert_eq!(backend.in_flight(), 2);
            gate.open();
            assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
            // A quorum queue counts a consumer on until it has taken in the last acks.
            publisher.wait_for_depth(&queue, (18, 0)).await;
            assert_eq!(backend.requests().len(), 2);
            assert_uncounted(&vhost, &queue, 18);

            daemon.start().await;
            wait_for_all(&backend, 20).await;
            daemon.stop().await;
            publisher.wait_for_depth(&queue, (0, 0)).await;
            assert_eq!(backend.requests().len(), 20, "none came twice");
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_that_outlasts_its_time_gives_back_what_is_in_flight() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::hang());
        let mut daemon = draining_for("1s");
        daemon.write(&quorum("orders", &vhost, &backend).set("consumer.timeout", "10m"));
        daemon.start().await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 3)).await;
        backend.wait_for_in_flight(3).await;
        daemon.stop().await;
        daemon.wait_for_log(&["stopped waiting for replies", "\"messages\":3"]).await;
        publisher.wait_for_depth("orders", (3, 0)).await;
        assert_uncounted(&vhost, "orders", 3);
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_the_daemon_at_once() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::hang());
        let mut daemon = draining_for("1h");
        daemon.write(&quorum("orders", &vhost, &backend).set("consumer.timeout", "10m"));
        daemon.start().await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 3)).await;
        backend.wait_for_in_flight(3).await;
        daemon.signal("TERM");
        daemon.wait_for_log(&["stopping: "]).await;
        daemon.signal("INT");
        assert_eq!(daemon.wait_for_exit().await.code(), Some(1));
        daemon.wait_for_log(&["stopping at once"]).await;
        publisher.wait_for_depth("orders", (3, 0)).await;
        assert_uncounted(&vhost, "orders", 3);
    })
    .await;
}

#[tokio::test]
async fn a_stop_while_holding_gives_back_the_window_uncounted() {
    on_every_release(|vhost| async move {
        let backend = Backend::refusing();
        let mut daemon = Daemon::running([&quorum("orders", &vhost, &backend)]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 5)).await;
        daemon.wait_for_log(&["backend unwell, holding"]).await;
        daemon.stop().await;
        publisher.wait_for_depth("orders", (5, 0)).await;
        assert_uncounted(&vhost, "orders", 5);
    })
    .await;
}

#[tokio::test]
async fn a_stop_after_a_hold_has_given_back_the_window_is_a_stop_like_any_other() {
    on_every_release(|vhost| async move {
        let backend = Backend::refusing();
        let agent = quorum("orders", &vhost, &backend).set("hold.release_after", "1s");
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 5)).await;
        daemon.wait_for_log(&["gave the window back"]).await;
        publisher.wait_for_depth("orders", (5, 0)).await;
        daemon.stop().await;
        assert_uncounted(&vhost, "orders", 5);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_waits_for_its_requeue_is_given_back_by_a_stop() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(500));
        let agent = quorum("orders", &vhost, &backend)
            .set("retry.strategy", "requeue")
            .set("retry.delays", vec!["5m"])
            .set("retry.in_place", 0);
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 3)).await;
        backend.wait_for(3).await;
        daemon.stop().await;
        publisher.wait_for_depth("orders", (3, 0)).await;
        assert_uncounted(&vhost, "orders", 3);
    })
    .await;
}

#[tokio::test]
async fn a_stop_while_the_broker_is_unreachable_waits_for_nothing() {
    let backend = Backend::start();
    let vhost = Broker::any().vhost();
    let mut proxy = Proxy::to(vhost.broker.amqp_port);
    proxy.refuse().await;
    let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url());
    let mut daemon = draining_for("1h");
    daemon.write(&agent);
    daemon.start().await;
    daemon.wait_for_log(&["no session: no connection"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_while_the_broker_says_nothing_to_a_login_waits_for_nothing() {
    let backend = Backend::start();
    let vhost = Broker::any().vhost();
    let proxy = Proxy::to(vhost.broker.amqp_port);
    proxy.stall();
    let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
        .set("async/amqp.connect_timeout", "10m");
    let mut daemon = draining_for("1h");
    daemon.write(&agent);
    daemon.start().await;
    proxy.wait_for_connections(1).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_while_the_connection_is_stalled_ends_and_loses_nothing() {
    on_every_release(|vhost| async move {
        let (backend, gate) = gated();
        let proxy = Proxy::to(vhost.broker.amqp_port);
        let agent = quorum("orders", &vhost, &backend)
            .set("async/amqp.host", vhost.url_by(proxy.port()))
            // So that it is the stop that ends it.
            .set("async/amqp.heartbeat", "600s")
            .set("connection.health_interval", "1h");
        let mut daemon = draining_for("1s");
        daemon.write(&agent);
        daemon.start().await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 3)).await;
        backend.wait_for_in_flight(3).await;
        proxy.stall();
        daemon.signal("TERM");
        let status = daemon.wait_for_exit().await;
        assert_eq!(status.code(), Some(1), "what it held could not be given back");
        daemon.wait_for_log(&["did not end in time"]).await;
        assert_eq!(daemon.log().with(0, &["ERROR"]), [""; 0], "nothing is a fault of ours");
        proxy.close();
        publisher.wait_for_depth("orders", (3, 0)).await;
        gate.open();
    })
    .await;
}

#[tokio::test]
async fn after_a_kill_in_mid_flight_every_message_reaches_the_backend() {
    on_every_release(|vhost| async move {
        let (backend, gate) = gated();
        let agent = quorum("orders", &vhost, &backend)
            .set("consumer.workers", 5)
            .set("async/amqp.prefetch_count", 20);
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 50)).await;
        gate.admit(10);
        backend.wait_for(15).await;
        daemon.kill().await;
        let before = backend.wait_for_in_flight(0).await.len();
        gate.open();
        daemon.start().await;
        // The broker's own figures may be from before the kill.
        wait_for_all(&backend, 50).await;
        // What was not among the ten that were answered comes after the kill.
        backend.wait_for(before + 40).await;
        vhost.wait_until_empty("orders", 50).await;
        let after = bodies(&backend.requests()[before..]);
        assert!(after.len() >= 40, "only ten were answered before: {after:?}");
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn five_stops_in_a_row_under_load_dead_letter_nothing() {
    let Some(broker) = Broker::all().iter().find(|broker| broker.release == 4) else {
        eprintln!("SKIPPED: only a quorum queue of RabbitMQ 4.3 tells a nack from a reject");
        return;
    };
    let vhost = broker.vhost();
    vhost.declare_queue("dead");
    let (backend, gate) = gated();
    let agent = quorum("orders", &vhost, &backend)
        .set("async/amqp.arguments.x-delivery-limit", 3)
        .set("async/amqp.arguments.x-dead-letter-exchange", "")
        .set("async/amqp.arguments.x-dead-letter-routing-key", "dead")
        .set("async/amqp.prefetch_count", 50)
        .set("consumer.workers", 2);
    let mut daemon = Daemon::running([&agent]).await;
    vhost.wait_for_consumer("orders").await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish_all(numbered("orders", 200)).await;
    // Four a round leave the queue, so that most of the window is given back each time.
    for round in 1..=5 {
        gate.admit(2);
        backend.wait_for(round * 4).await;
        daemon.signal("TERM");
        let left = 200 - u32::try_from(round * 4).unwrap();
        publisher.wait_for_ready("orders", left).await;
        gate.admit(2);
        let status = daemon.wait_for_exit().await;
        assert!(status.success(), "round {round}: {status}");
        daemon.start().await;
    }
    gate.open();
    wait_for_all(&backend, 200).await;
    publisher.wait_for_depth("orders", (0, 1)).await;
    daemon.stop().await;
    assert_eq!(publisher.depth("dead").await, (0, 0));
    assert_eq!(backend.requests().len(), 200, "none came twice");
}

#[tokio::test]
async fn a_reload_that_comes_while_the_daemon_stops_is_not_done() {
    let vhost = Broker::any().vhost();
    let (backend, gate) = gated();
    let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
    vhost.wait_for_consumer("orders").await;
    Publisher::connect(&vhost).await.publish(Message::to("orders", "0")).await;
    backend.wait_for_in_flight(1).await;
    daemon.signal("TERM");
    daemon.wait_for_log(&["stopping: "]).await;
    daemon.signal("HUP");
    daemon.wait_for_log(&["not reloading"]).await;
    gate.open();
    let status: ExitStatus = daemon.wait_for_exit().await;
    assert!(status.success(), "{status}");
}

/// A backend whose replies wait behind a gate.
fn gated() -> (Backend, Gate) {
    let gate = Gate::new();
    let shut = gate.clone();
    (Backend::replying(move |_| Reply::status(204).after(&shut)), gate)
}

/// An agent of a quorum queue, which counts deliveries; patient with its backend.
fn quorum(queue: &str, vhost: &Vhost, backend: &Backend) -> Agent {
    Agent::new(queue, vhost, backend)
        .set("async/amqp.queue_type", "quorum")
        .set("consumer.timeout", "2m")
}

fn draining_for(limit: &str) -> Daemon {
    let mut daemon = Daemon::new();
    let mut table = toml::Table::new();
    table.insert("drain_timeout".to_owned(), limit.into());
    daemon.set_main("daemon", table);
    daemon
}

/// Messages whose bodies are the numbers from 0.
fn numbered(queue: &str, count: u32) -> impl Iterator<Item = Message> {
    let queue = queue.to_owned();
    (0..count).map(move |number| Message::to(&queue, number.to_string()))
}

fn expected(count: u32) -> BTreeSet<String> {
    (0..count).map(|number| number.to_string()).collect()
}

fn bodies(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::text).collect()
}

/// Waits until each of `count` messages has come at least once.
async fn wait_for_all(backend: &Backend, count: u32) {
    let all = expected(count);
    backend.wait_until("every message", |requests| bodies(requests) == all).await;
}

/// None of the `count` messages that wait in `queue` has a delivery on its account; only
/// RabbitMQ 4.3 tells a requeue that counts from one that does not.
fn assert_uncounted(vhost: &Vhost, queue: &str, count: usize) {
    if vhost.broker.release < 4 {
        return;
    }
    let messages = vhost.peek(queue, 100);
    assert_eq!(messages.len(), count);
    for message in messages {
        let delivered = &message["properties"]["headers"]["x-delivery-count"];
        assert!(delivered.is_null() || *delivered == json!(0), "{message}");
    }
}
