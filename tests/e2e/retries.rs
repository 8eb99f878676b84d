//! Messages that are tried again later: through delay queues, in their own queue, or in the window.

use serde_json::json;

use crate::support::backend::Request;
use crate::support::{
    Agent, Backend, Broker, Daemon, Message, Publisher, Reply, Scene, on_every_release,
};

const KINDS: [&str; 2] = ["classic", "quorum"];

/// The number of the try, by its header.
fn attempt(request: &Request) -> u32 {
    request.header("x-amqp-attempt").unwrap().parse().unwrap()
}

/// Replies with `status` to the first `failures` tries of a message, and then with 204.
fn failing(failures: u32, status: u16) -> Backend {
    Backend::replying(move |request| {
        Reply::status(if attempt(request) <= failures { status } else { 204 })
    })
}

fn seen<'a>(requests: &'a [Request], header: &str) -> Vec<Option<&'a str>> {
    requests.iter().map(|request| request.header(header)).collect()
}

#[tokio::test]
async fn a_message_comes_back_from_its_delay_queues_as_it_was_until_it_is_delivered() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let backend = failing(3, 500);
            let queue = format!("parcels-{kind}");
            let agent = Agent::new(&queue, &vhost, &backend)
                .set("async/amqp.queue_type", kind)
                .set("async/amqp.exchange", format!("shop-{kind}"))
                .set("consumer.topic", "order.#")
                .set("retry.in_place", 0)
                .set("retry.delays", vec!["100ms", "200ms"]);
            let mut daemon = Daemon::running([&agent]).await;
            vhost.wait_for_consumer(&queue).await;
            let mut publisher = Publisher::connect(&vhost).await;
            let exchange = format!("shop-{kind}");
            let message = Message::through(&exchange, "order.created", b"\0\xffbinary")
                .message_id("one")
                .expiration("60000")
                .header("tenant", "acme");
            publisher.publish(message).await;
            let requests = backend.wait_for(4).await;
            daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
            assert!(requests.iter().all(|request| request.body == b"\0\xffbinary"), "{kind}");
            for (header, values) in [
                ("x-amqp-attempt", ["1", "2", "3", "4"]),
                ("x-amqp-exchange", [exchange.as_str(); 4]),
                ("x-amqp-routing-key", ["order.created"; 4]),
                ("idempotency-key", ["one"; 4]),
                ("x-amqp-header-tenant", ["acme"; 4]),
            ] {
                assert_eq!(seen(&requests, header), values.map(Some), "{kind}");
            }
            let names = |request: &Request| {
                let names = request.headers.iter().map(|(name, _)| name.clone());
                names.collect::<Vec<_>>()
            };
            assert_eq!(names(&requests[3]), names(&requests[0]), "the same request each time");
            for (delay, ttl) in [("100ms", 100), ("200ms", 200)] {
                let name = format!("{queue}.retry.{delay}");
                let declared = vhost.queue(&name).expect("it was declared").all;
                assert_eq!(declared["arguments"]["x-message-ttl"], json!(ttl));
                assert_eq!(declared["type"], json!(kind));
                assert_eq!(declared["durable"], json!(true));
                publisher.wait_for_ready(&name, 0).await;
            }
            daemon.stop().await;
            publisher.wait_for_ready(&queue, 0).await;
            assert!(vhost.queue(&format!("{queue}.dead")).is_none(), "nothing was dead-lettered");
        }
    })
    .await;
}

#[tokio::test]
async fn a_retry_tells_only_the_backends_that_failed() {
    let vhost = Broker::any().vhost();
    let (first, second) = (failing(0, 500), failing(2, 500));
    let agent =
        Agent::new("parcels", &vhost, &first).backend(&second.url(), &[]).set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one", "two"]).await;
    second.wait_for(6).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"two""#]).await;
    assert_eq!(first.requests().len(), 2);
    scene.end(0).await;
}

#[tokio::test]
async fn a_backend_that_does_not_decide_is_told_once_whatever_the_others_say() {
    let vhost = Broker::any().vhost();
    let (deciding, aside) = (failing(2, 500), failing(0, 500));
    let agent = Agent::new("parcels", &vhost, &deciding)
        .backend(&aside.url(), &[("required", false.into())])
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    deciding.wait_for(3).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    scene.end(0).await;
    assert_eq!(aside.requests().len(), 1);
}

#[tokio::test]
async fn a_crash_spends_no_attempt() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            let backend = Backend::replying(|_| Reply::hang());
            let queue = format!("parcels-{kind}");
            let agent = Agent::new(&queue, &vhost, &backend)
                .set("async/amqp.queue_type", kind)
                .set("retry.attempts", 2)
                .set("retry.in_place", 0);
            let mut scene = Scene::of(vhost, &agent).await;
            scene.publish(["one"]).await;
            backend.wait_for_in_flight(1).await;
            for crash in 2..=3 {
                scene.daemon.kill().await;
                scene.daemon.start().await;
                backend.wait_for(crash).await;
                backend.wait_for_in_flight(1).await;
            }
            // The first attempt that fails comes now, and a second is left.
            backend.reply_with(|request| {
                Reply::status(if request.header("x-amqp-redelivered") == Some("true") {
                    500
                } else {
                    204
                })
            });
            scene.daemon.kill().await;
            scene.daemon.start().await;
            backend.wait_for(5).await;
            scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
            scene.end(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_delay_queue_that_was_deleted_is_declared_anew() {
    let vhost = Broker::any().vhost();
    let backend = failing(1, 500);
    let agent = Agent::new("parcels", &vhost, &backend).set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    backend.wait_for(2).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    scene.vhost.delete_queue("parcels.retry.100ms");
    scene.publish(["two"]).await;
    backend.wait_for(4).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"two""#]).await;
    scene.wait_for_lines(1, &["copy not safe", "returned"]).await;
    scene.wait_for_lines(1, &["copies of messages are safe again"]).await;
    scene.end(0).await;
}

#[tokio::test]
async fn a_delay_queue_that_cannot_be_declared_costs_no_message_and_no_other_agent() {
    let vhost = Broker::any().vhost();
    // Somebody has it otherwise.
    vhost.declare_queue("parcels.retry.100ms");
    let backend = failing(1, 500);
    let agent = Agent::new("parcels", &vhost, &backend).set("retry.in_place", 0);
    let other = failing(1, 500);
    let neighbour = Agent::new("letters", &vhost, &other).set("retry.in_place", 0);
    let mut daemon = Daemon::running([&agent, &neighbour]).await;
    let mut publisher = Publisher::connect(&vhost).await;
    vhost.wait_for_consumer("parcels").await;
    vhost.wait_for_consumer("letters").await;
    publisher.publish(Message::to("parcels", "one").message_id("one")).await;
    daemon.wait_for_log(&["copy not safe", "406", "parcels"]).await;
    publisher.publish(Message::to("letters", "two").message_id("two")).await;
    daemon.wait_for_log(&["delivered at last", r#""message_id":"two""#]).await;
    // Mended by the operator.
    vhost.delete_queue("parcels.retry.100ms");
    daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    daemon.stop().await;
    publisher.wait_for_ready("parcels", 0).await;
}

#[tokio::test]
async fn a_quorum_queue_of_rabbitmq_4_3_can_do_the_waiting_itself() {
    for broker in Broker::all().iter().filter(|broker| broker.release >= 4) {
        let vhost = broker.vhost();
        let backend = failing(2, 500);
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.queue_type", "quorum")
            .set("retry.strategy", "native")
            .set("retry.attempts", 3)
            .set("retry.delays", vec!["100ms", "300ms"])
            .set("retry.in_place", 0);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one"]).await;
        let requests = backend.wait_for(3).await;
        assert_eq!(seen(&requests, "x-amqp-attempt"), [Some("1"), Some("2"), Some("3")]);
        scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
        // And the attempts are counted by it too.
        backend.reply_with(|_| Reply::status(500));
        scene.publish(["two"]).await;
        backend.wait_for(6).await;
        scene.wait_for_depth_of("parcels.dead", 1).await;
        let dead = scene.vhost.peek("parcels.dead", 1);
        assert_eq!(dead[0]["properties"]["headers"]["x-agent-reason"], json!("attempts"));
        scene.end(0).await;
    }
}

#[tokio::test]
async fn attempts_in_place_keep_the_message_in_the_window() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(500));
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("retry.strategy", "in_place")
        .set("retry.attempts", 3)
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    let requests = backend.requests();
    assert_eq!(seen(&requests, "x-amqp-attempt"), [Some("1"), Some("2"), Some("3")]);
    assert_eq!(seen(&requests, "x-amqp-redelivered"), [Some("false"); 3]);
    let line = ["not delivered", "kept and tried on"];
    scene.wait_for_lines(2, &line).await;
    assert_eq!(scene.lines(&line), 2);
    assert!(scene.vhost.queue("parcels.retry.100ms").is_none());
    scene.end(0).await;
}
