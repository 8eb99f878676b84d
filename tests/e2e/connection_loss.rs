//! However a session ends, the log says why, a new one begins, and every message is delivered.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::admin::Answer;
use crate::support::backend::Request;
use crate::support::vhost::Queue;
use crate::support::wait::eventually;
use crate::support::{
    Agent, Backend, Broker, Daemon, Direction, Flow, Gate, Message, PrivateNode, Proxy, Publisher,
    Reply, Vhost, on_a_private_node_of_every_release, on_every_release,
};

/// What is published before a session ends; more than the window, so that some is never sent.
const BEFORE: usize = 60;
/// The window of the agents here.
const WINDOW: usize = 50;
/// How many of it are at the backend.
const WORKERS: usize = 10;
/// What is published after it ended.
const AFTER: usize = 40;

/// An agent at work: some of what it holds is at the backend, which does not answer.
struct Scene {
    vhost: Vhost,
    proxy: Proxy,
    backend: Backend,
    gate: Gate,
    publisher: Publisher,
    daemon: Daemon,
}

impl Scene {
    async fn begin(vhost: Vhost, adapt: impl FnOnce(Agent) -> Agent) -> Scene {
        let (proxy, gate) = (Proxy::to(vhost.broker.amqp_port), Gate::new());
        let shut = gate.clone();
        let backend = Backend::replying(move |_| Reply::status(204).after(&shut));
        let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
            .set("async/amqp.heartbeat", "4s")
            .set("async/amqp.prefetch_count", i64::try_from(WINDOW).unwrap())
            .set("consumer.workers", i64::try_from(WORKERS).unwrap())
            .set("consumer.timeout", "5m");
        let daemon = Daemon::running([&adapt(agent)]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publish(&mut publisher, 0..BEFORE).await;
        backend.wait_for_in_flight(WORKERS).await;
        vhost.wait_for_queue("orders", "a full window", |q| q.unacked == WINDOW as u64).await;
        // The agent says so too: what the broker has sent may be on its way still, and be lost there.
        let is_full = |answer: &Answer| answer.status == 200 && answer.json()["held"] == WINDOW;
        daemon.admin().wait_for("/agents/orders", "a full window", is_full).await;
        Scene { vhost, proxy, backend, gate, publisher, daemon }
    }

    /// Waits until the log says that the session ended, in words with `reason`.
    async fn ended(&self, reason: &str) {
        self.daemon.wait_for_log(&["WARN", "session ended", reason, "\"next_try_ms\":"]).await;
        self.daemon.wait_for_log(&["gave up what was held", "\"in_flight\":10"]).await;
    }

    /// Another session begins, and everything is delivered and accounted for.
    async fn recovers(self) {
        let totals = self.recovers_in_the_end().await;
        assert_eq!(totals.delivered, (BEFORE + AFTER) as u64, "{totals:?}");
        assert_eq!(totals.abandoned, WINDOW as u64, "{totals:?}");
    }

    /// The same, even if further sessions end before.
    async fn recovers_in_the_end(mut self) -> Totals {
        self.gate.open();
        publish(&mut self.publisher, BEFORE..BEFORE + AFTER).await;
        arrive(&self.backend, 0..BEFORE + AFTER).await;
        is_settled(&self.daemon, BEFORE + AFTER, &mut self.publisher, &self.vhost).await;
        self.daemon.stop().await;
        let totals = totals(&self.daemon);
        // An ack that was sent and never read is counted, and the message comes again.
        assert!(totals.delivered >= (BEFORE + AFTER) as u64, "{totals:?}");
        totals.check();
        nothing_was_settled_twice(&self.daemon);
        totals
    }
}

async fn publish(publisher: &mut Publisher, numbers: std::ops::Range<usize>) {
    publisher.publish_all(numbers.map(|n| Message::to("orders", n.to_string()))).await;
}

/// Waits until the backend has been told each number at least once.
async fn arrive(backend: &Backend, numbers: std::ops::Range<usize>) {
    let wanted: BTreeSet<String> = numbers.map(|number| number.to_string()).collect();
    let is_all = |requests: &[Request]| {
        let seen: BTreeSet<String> = requests.iter().map(Request::text).collect();
        wanted.is_subset(&seen)
    };
    backend.wait_until("each message", is_all).await;
}

/// Waits until the agent has delivered `count` messages, and the queue has nothing left, neither
/// ready nor unsettled: the broker's figures alone may be those of a moment before.
async fn is_settled(daemon: &Daemon, count: usize, publisher: &mut Publisher, vhost: &Vhost) {
    let is_delivered = |answer: &Answer| {
        answer.json()["counts"]["delivered"].as_u64().is_some_and(|seen| seen >= count as u64)
    };
    daemon.admin().wait_for("/agents/orders", "all delivered", is_delivered).await;
    // Of a queue that has just come up the broker has no figures yet, which is not zero.
    vhost.wait_for_queue("orders", "nothing left", |queue| queue.all["messages"] == 0).await;
    publisher.wait_for_ready("orders", 0).await;
}

#[derive(Debug, Default)]
struct Totals {
    received: u64,
    delivered: u64,
    retried: u64,
    dead_lettered: u64,
    requeued: u64,
    discarded: u64,
    abandoned: u64,
}

impl Totals {
    /// The conservation law, once nothing is held any more.
    fn check(&self) {
        let copied = self.retried + self.dead_lettered;
        let gone = self.delivered + copied + self.requeued + self.discarded + self.abandoned;
        assert_eq!(self.received, gone, "{self:?}");
    }
}

/// What the summaries of the log add up to.
fn totals(daemon: &Daemon) -> Totals {
    let mut totals = Totals::default();
    let lines = daemon.log().with(0, &["\"message\":\"summary\"", "\"agent\":\"orders\""]);
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let figure = |key: &str| line[key].as_u64().unwrap();
        totals.received += figure("received");
        totals.delivered += figure("delivered");
        totals.retried += figure("retried");
        totals.dead_lettered += figure("dead_lettered");
        totals.requeued += figure("requeued");
        totals.discarded += figure("discarded");
        totals.abandoned += figure("abandoned");
    }
    let last: Value = serde_json::from_str(lines.last().expect("it summed up")).unwrap();
    assert_eq!(last["held"], 0);
    totals
}

/// A settlement on another channel than the delivery's would end that channel with 406, or the
/// whole connection with 504.
fn nothing_was_settled_twice(daemon: &Daemon) {
    for fragment in ["unknown delivery tag", "504 CHANNEL_ERROR", "panic"] {
        let lines = daemon.log().with(0, &[fragment]);
        assert!(lines.is_empty(), "{lines:#?}");
    }
}

// ----------------------------------------------------------------------------- the network

#[tokio::test]
async fn a_connection_that_is_reset_is_made_anew_and_nothing_is_lost() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.reset();
        scene.ended("the connection was lost: closed or reset").await;
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_closed_is_made_anew_and_nothing_is_lost() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.close();
        scene.ended("the connection was lost: closed or reset").await;
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_network_that_takes_everything_and_brings_nothing_is_noticed_by_missing_heartbeats() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.stall();
        scene.ended("had fallen silent").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_not_heard_any_more_is_noticed_by_missing_heartbeats() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToClient, Flow::Stall);
        scene.ended("had fallen silent").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_does_not_hear_us_ends_the_connection_and_it_is_made_anew() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToServer, Flow::Stall);
        scene.ended("").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_answers_heartbeats_but_no_question_is_given_up() {
    // Heartbeats come, since the broker's way to us is open; what we ask never reaches it.
    let scene =
        Scene::begin(Broker::any().vhost(), |agent| agent.set("async/amqp.heartbeat", "600s"))
            .await;
    scene.proxy.set(Direction::ToServer, Flow::Stall);
    scene.ended("the broker did not answer basic.qos within 20s").await;
    // Ends the connection that the broker still takes for alive.
    scene.proxy.reset();
    scene.proxy.pass();
    scene.recovers().await;
}

#[tokio::test]
async fn a_connection_half_closed_towards_us_is_made_anew() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToClient, Flow::Shut);
        scene.ended("the connection was lost: closed or reset").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_half_closed_towards_the_broker_is_made_anew() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToServer, Flow::Shut);
        scene.ended("the connection was lost: closed or reset").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn corrupt_octets_from_the_broker_end_the_session_and_it_begins_anew() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToClient, Flow::Corrupt);
        scene.ended("").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn corrupt_octets_to_the_broker_end_the_session_with_501_and_it_begins_anew() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        scene.proxy.set(Direction::ToServer, Flow::Corrupt);
        scene.ended("the broker closed the connection: 501 FRAME_ERROR").await;
        scene.proxy.pass();
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_proxy_whose_broker_is_away_is_not_taken_for_a_refused_login() {
    on_every_release(|vhost| async move {
        // Takes connections and closes them, as a load balancer without a target does.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut agents = tokio::task::JoinSet::new();
        agents.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_zero_linger().unwrap();
            }
        });
        let agent = Agent::between("orders", &vhost.url_by(port), "http://127.0.0.1:9");
        let daemon = Daemon::running([&agent]).await;
        let line = daemon.wait_for_log(&["no session", "\"agent\":\"orders\""]).await;
        assert!(line.contains("WARN") && !line.contains("logging in"), "{line}");
        assert!(line.contains("closed before a broker spoke"), "{line}");
    })
    .await;
}

// ------------------------------------------------------------------------------ the broker

#[tokio::test]
async fn a_broker_that_is_stopped_and_started_is_consumed_from_again_and_nothing_is_lost() {
    on_a_private_node_of_every_release(|node| async move {
        let mut scene = Scene::begin(node.broker.vhost(), |agent| agent).await;
        node.stop().await;
        scene.ended("the broker closed the connection: 320 CONNECTION_FORCED").await;
        scene.daemon.wait_for_log(&["no session", "\"agent\":\"orders\"", "WARN"]).await;
        node.start().await;
        scene.publisher = Publisher::connect(&scene.vhost).await;
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_killed_and_started_is_consumed_from_again_and_nothing_is_lost() {
    on_a_private_node_of_every_release(|node| async move {
        let mut scene = Scene::begin(node.broker.vhost(), |agent| agent).await;
        node.kill().await;
        scene.ended("the connection was lost: closed or reset").await;
        node.start().await;
        scene.publisher = Publisher::connect(&scene.vhost).await;
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_freezes_is_given_up_and_taken_up_when_it_goes_on() {
    on_a_private_node_of_every_release(|node| async move {
        let scene = Scene::begin(node.broker.vhost(), |agent| agent).await;
        node.pause().await;
        scene.ended("had fallen silent").await;
        node.resume().await;
        scene.recovers().await;
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_consumer_timeout_closes_is_opened_anew_and_the_reason_is_said() {
    let Some(broker) = Broker::all().iter().find(|broker| broker.release == 3) else { return };
    let node = PrivateNode::lease(broker.release).await;
    let times = |timeout: u32, tick: u32| {
        format!(
            "application:set_env(rabbit, consumer_timeout, {timeout}), \
             application:set_env(rabbit, channel_tick_interval, {tick})."
        )
    };
    node.eval(&times(2000, 500)).await;
    let scene = Scene::begin(node.broker.vhost(), |agent| agent).await;
    scene.ended("the broker closed the channel: 406 PRECONDITION_FAILED").await;
    node.eval(&times(1_800_000, 60_000)).await;
    scene.recovers_in_the_end().await;
}

#[tokio::test]
async fn a_consumer_that_a_timeout_of_rabbitmq_4_cancels_consumes_again() {
    // Of release 4 quorum queues watch over their consumers themselves, and cancel them.
    let Some(broker) = Broker::all().iter().find(|broker| broker.release == 4) else { return };
    let scene = Scene::begin(broker.vhost(), |agent| {
        agent
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.arguments.x-consumer-timeout", 2000)
    })
    .await;
    scene.ended("the broker cancelled the consumer").await;
    scene.recovers_in_the_end().await;
}

// ---------------------------------------------------------------------------- the operator

#[tokio::test]
async fn a_connection_that_an_operator_closes_is_made_anew_and_the_reason_is_said() {
    on_every_release(|vhost| async move {
        let scene = Scene::begin(vhost, |agent| agent).await;
        let name = scene.vhost.wait_for_connections(1).await.remove(0);
        scene.vhost.close_connection(&name);
        scene.ended("the broker closed the connection: 320 CONNECTION_FORCED").await;
        scene.recovers().await;
    })
    .await;
}

/// Deletes the queue under the agent and goes on with the one that it declares instead.
async fn survives_deletion(vhost: Vhost, kind: &'static str) {
    let mut scene = Scene::begin(vhost, |agent| agent.set("async/amqp.queue_type", kind)).await;
    scene.vhost.delete_queue("orders");
    scene.ended("the broker cancelled the consumer").await;
    scene.gate.open();
    // What the deleted queue held is gone, and none of our doing.
    let is_there = |queue: &Queue| queue.consumers > 0;
    let queue = scene.vhost.wait_for_queue("orders", "a consumer", is_there).await;
    assert_eq!(queue.all["type"], kind);
    publish(&mut scene.publisher, BEFORE..BEFORE + AFTER).await;
    arrive(&scene.backend, BEFORE..BEFORE + AFTER).await;
    is_settled(&scene.daemon, AFTER, &mut scene.publisher, &scene.vhost).await;
    scene.daemon.stop().await;
    let totals = totals(&scene.daemon);
    assert_eq!((totals.delivered, totals.abandoned), (AFTER as u64, WINDOW as u64));
    totals.check();
    nothing_was_settled_twice(&scene.daemon);
}

#[tokio::test]
async fn a_classic_queue_deleted_under_us_is_declared_again_and_consumed() {
    on_every_release(|vhost| survives_deletion(vhost, "classic")).await;
}

#[tokio::test]
async fn a_quorum_queue_deleted_under_us_is_declared_again_and_consumed() {
    on_every_release(|vhost| survives_deletion(vhost, "quorum")).await;
}

#[tokio::test]
async fn a_virtual_host_deleted_under_us_is_said_with_the_brokers_text() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
        vhost.wait_for_consumer("orders").await;
        let path = format!("vhosts/{}", vhost.segment());
        vhost.broker.management.delete(&path);
        daemon.wait_for_log(&["session ended"]).await;
        daemon.wait_for_log(&["no session", "530 NOT_ALLOWED", &vhost.name]).await;
        // For the end of the test, which deletes it.
        vhost.broker.management.put(&path, &serde_json::json!({}));
    })
    .await;
}

#[tokio::test]
async fn sessions_that_end_again_and_again_lose_nothing_while_messages_flow() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let proxy = Proxy::to(vhost.broker.amqp_port);
        let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url());
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        for round in 0..5 {
            // More than the last session left in flight: this one brought it, and has logged in. To
            // cut logins again and again would look like refused ones, which are tried anew slowly.
            let before = backend.requests().len();
            publish(&mut publisher, round * 400..(round + 1) * 400).await;
            eventually("some of it at the backend", || {
                let count = backend.requests().len();
                if count > before + 50 { Ok(()) } else { Err(format!("{before}, then {count}")) }
            })
            .await;
            if round % 2 == 0 { proxy.reset() } else { proxy.close() }
        }
        arrive(&backend, 0..2000).await;
        is_settled(&daemon, 2000, &mut publisher, &vhost).await;
        daemon.stop().await;
        let totals = totals(&daemon);
        assert!(totals.delivered >= 2000, "{totals:?}");
        totals.check();
        nothing_was_settled_twice(&daemon);
    })
    .await;
}
