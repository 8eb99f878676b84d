//! Messages that are not tried again: where they go, what is said of them, and that none is dropped.

use serde_json::{Value, json};

use crate::support::{
    Agent, Backend, Broker, Message, PrivateNode, Publisher, Reply, Scene, Vhost, on_every_release,
};

/// The headers of the one dead letter in `queue`.
fn headers(vhost: &Vhost, queue: &str) -> Value {
    let messages = vhost.peek(queue, 2);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0]["properties"]["headers"].clone()
}

#[tokio::test]
async fn a_refused_message_is_dead_lettered_as_it_was_with_all_that_is_known() {
    on_every_release(|vhost| async move {
        for kind in ["classic", "quorum"] {
            let vhost = vhost.broker.vhost();
            let backend = Backend::replying(|_| Reply::status(422).body("no such article"));
            let queue = format!("parcels-{kind}");
            let agent = Agent::new(&queue, &vhost, &backend).set("async/amqp.queue_type", kind);
            let mut scene = Scene::of(vhost, &agent).await;
            let message = Message::to(&queue, b"\0body\xff")
                .message_id("one")
                .expiration("600000")
                .correlation_id("c")
                .priority(3)
                .header("tenant", "acme");
            scene.publisher.publish(message).await;
            let dead = format!("{queue}.dead");
            scene.wait_for_depth_of(&dead, 1).await;
            let line = scene.daemon.wait_for_log(&["not delivered", "dead-lettered"]).await;
            assert!(line.contains(r#""reason":"refused""#), "{line}");
            let letter = scene.vhost.peek(&dead, 1)[0].clone();
            let properties = &letter["properties"];
            assert_eq!(properties["message_id"], json!("one"));
            assert_eq!(properties["correlation_id"], json!("c"));
            assert_eq!(properties["priority"], json!(3));
            assert!(properties["expiration"].is_null(), "it would expire: {properties}");
            let headers = &properties["headers"];
            for (name, value) in [
                ("tenant", json!("acme")),
                ("x-agent-dead-lettered-by", json!(queue)),
                ("x-agent-reason", json!("refused")),
                ("x-agent-status", json!(422)),
                ("x-agent-error", json!("status 422")),
                ("x-agent-reply", json!("no such article")),
                ("x-agent-attempts", json!(1)),
                ("x-agent-exchange", json!("")),
                ("x-agent-routing-key", json!(queue)),
                ("x-agent-expiration", json!("600000")),
            ] {
                assert_eq!(headers[name], value, "{name}: {headers}");
            }
            assert!(headers["x-agent-last-failure"].is_number(), "{headers}");
            let queue = scene.vhost.wait_for_queue(&dead, "a declaration", |_| true).await;
            assert_eq!(queue.all["type"], json!(kind));
            let limit = &queue.all["arguments"]["x-delivery-limit"];
            let is_unlimited = kind == "quorum" && scene.vhost.broker.release >= 4;
            assert_eq!(*limit == json!(-1), is_unlimited, "who looks at it does not end it");
            assert_eq!(backend.requests().len(), 1, "it is not tried again");
            scene.end(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_whose_attempts_are_used_up_is_dead_lettered() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(500));
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("retry.attempts", 3)
            .set("retry.in_place", 0);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one"]).await;
        scene.wait_for_depth_of("parcels.dead", 1).await;
        let headers = headers(&scene.vhost, "parcels.dead");
        assert_eq!(headers["x-agent-reason"], json!("attempts"));
        assert_eq!(headers["x-agent-attempts"], json!(3));
        assert!(headers["x-death"].is_null(), "{headers}");
        assert_eq!(backend.requests().len(), 3);
        scene.wait_for_lines(1, &["not delivered", "dead-lettered"]).await;
        // Each is written when its copy is confirmed, in whatever order the broker does that.
        let again = ["not delivered", "tried again later"];
        scene.wait_for_lines(2, &again).await;
        assert_eq!(scene.lines(&again), 2);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn of_several_backends_the_dead_letter_names_the_one_that_refused() {
    let vhost = Broker::any().vhost();
    let broken = Backend::replying(|_| Reply::reset());
    let strict = Backend::replying(|_| Reply::status(422));
    let agent =
        Agent::new("parcels", &vhost, &broken).backend(&strict.url(), &[("name", "strict".into())]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    let headers = headers(&scene.vhost, "parcels.dead");
    assert_eq!(headers["x-agent-reason"], json!("refused"));
    assert_eq!(headers["x-agent-backend"], json!("strict"));
    assert_eq!(headers["x-agent-status"], json!(422));
    scene.end(0).await;
}

#[tokio::test]
async fn a_404_has_few_attempts() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(404));
    let agent = Agent::new("parcels", &vhost, &backend).set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    assert_eq!(backend.requests().len(), 3);
    scene.end(0).await;
}

#[tokio::test]
async fn a_message_that_failed_first_too_long_ago_is_dead_lettered() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(500));
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("retry.attempts", 1000)
        .set("retry.max_age", "1s")
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    let headers = headers(&scene.vhost, "parcels.dead");
    assert_eq!(headers["x-agent-reason"], json!("max_age"));
    scene.end(0).await;
}

#[tokio::test]
async fn a_queue_with_a_dead_letter_exchange_of_its_own_has_its_dead_letters_there() {
    let vhost = Broker::any().vhost();
    vhost.declare_queue("graveyard");
    let backend = Backend::replying(|_| Reply::status(422));
    let arguments = toml::toml! {
        x-dead-letter-exchange = ""
        x-dead-letter-routing-key = "graveyard"
    };
    let agent = Agent::new("parcels", &vhost, &backend).set("async/amqp.arguments", arguments);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("graveyard", 1).await;
    assert_eq!(headers(&scene.vhost, "graveyard")["x-agent-reason"], json!("refused"));
    scene.end(0).await;
}

#[tokio::test]
async fn where_the_dead_letter_queue_is_missing_a_message_is_kept_until_there_is_one() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("parcels");
        let backend = Backend::replying(|request| {
            Reply::status(if request.text() == "bad" { 422 } else { 204 })
        });
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.declare", "passive")
            .set("dead_letter.queue", "graveyard");
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["bad"]).await;
        scene.daemon.wait_for_log(&["copy not safe", "312"]).await;
        scene.publish(["good"]).await;
        backend.wait_for(2).await;
        scene.vhost.declare_queue("graveyard");
        scene.wait_for_depth_of("graveyard", 1).await;
        scene.daemon.wait_for_log(&["copies of messages are safe again"]).await;
        scene.end(0).await;
        assert_eq!(backend.requests().len(), 2, "the copy was repeated, not the request");
    })
    .await;
}

#[tokio::test]
async fn a_place_that_takes_no_copies_is_told_once_while_another_does() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.text().as_str() {
        "bad" => Reply::status(422),
        _ if request.header("x-amqp-attempt") == Some("1") => Reply::status(500),
        _ => Reply::status(204),
    });
    vhost.declare_exchange("graves", "direct");
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("dead_letter.exchange", "graves")
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["bad"]).await;
    scene.daemon.wait_for_log(&["copy not safe", "312", "graves"]).await;
    // Each of these is copied to a delay queue, which is fine, while the other is tried on.
    for number in 1..=3 {
        scene.publish([number]).await;
        scene.wait_for_lines(number, &["delivered at last"]).await;
    }
    assert_eq!(scene.lines(&["copy not safe"]), 1);
    assert_eq!(scene.lines(&["copies of messages are safe again"]), 0);
    scene.end(1).await;
}

#[tokio::test]
async fn where_there_is_no_dead_letter_queue_a_message_is_kept_and_never_dropped() {
    let vhost = Broker::any().vhost();
    vhost.declare_queue("parcels");
    let backend =
        Backend::replying(|request| Reply::status(if request.text() == "bad" { 422 } else { 204 }));
    let agent = Agent::new("parcels", &vhost, &backend).set("async/amqp.declare", "passive");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["bad", "good"]).await;
    backend.wait_for(4).await;
    scene.wait_for_lines(2, &["not delivered", "there is no dead-letter queue"]).await;
    scene.end(1).await;
}

#[tokio::test]
async fn while_the_broker_has_an_alarm_nothing_is_acked_and_then_everything_goes_on() {
    for broker in Broker::all() {
        let node = PrivateNode::lease(broker.release).await;
        let vhost = node.broker.vhost();
        let backend = Backend::replying(|_| Reply::status(422));
        let agent = Agent::new("parcels", &vhost, &backend);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one", "two"]).await;
        scene.wait_for_depth_of("parcels.dead", 2).await;
        // Published before, handed out during the alarm.
        scene.daemon.stop().await;
        scene.publish(["three"]).await;
        node.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).").await;
        scene.daemon.start().await;
        scene.daemon.wait_for_log(&["does not confirm"]).await;
        assert_eq!(scene.lines(&["not delivered", r#""message_id":"three""#]), 0);
        node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).").await;
        scene.wait_for_depth_of("parcels.dead", 3).await;
        scene.wait_for_lines(1, &["not delivered", r#""message_id":"three""#]).await;
        scene.end(0).await;
    }
}

#[tokio::test]
async fn a_body_of_a_megabyte_and_headers_near_the_limit_reach_the_dead_letters() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(422).body(vec![b'x'; 10_000]));
        let agent = Agent::new("parcels", &vhost, &backend);
        let mut scene = Scene::of(vhost, &agent).await;
        let huge = "h".repeat(125_000);
        let large = Message::to("parcels", vec![b'b'; 1 << 20]).message_id("large");
        let full = Message::to("parcels", "").message_id("full").header("huge", &huge);
        scene.publisher.publish_all([large, full]).await;
        scene.wait_for_depth_of("parcels.dead", 2).await;
        let mut publisher = Publisher::connect(&scene.vhost).await;
        assert_eq!(publisher.depth("parcels.dead").await.0, 2);
        scene.end(0).await;
    })
    .await;
}
