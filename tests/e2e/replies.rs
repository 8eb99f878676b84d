//! What a backend answers, or does not, and what becomes of the message.

use serde_json::json;

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Proxy, Reply, Scene, Vhost, on_every_release};

/// Replies with `reply` to the first delivery of a message, and with 204 to later ones.
fn at_first(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Backend {
    Backend::replying(move |request| match request.header("x-amqp-redelivered") {
        Some("false") => reply(request),
        _ => Reply::status(204),
    })
}

/// The status that the body asks for.
fn wanted(request: &Request) -> u16 {
    request.text().parse().unwrap()
}

fn seen<'a>(requests: &'a [Request], header: &str) -> Vec<Option<&'a str>> {
    requests.iter().map(|request| request.header(header)).collect()
}

/// Waits until each of `bodies` has come `times` times.
async fn each_comes(backend: &Backend, bodies: &[&str], times: usize) -> Vec<Request> {
    backend
        .wait_until(&format!("each message {times} times"), |requests| {
            bodies.iter().all(|body| {
                requests.iter().filter(|request| request.body == body.as_bytes()).count() >= times
            })
        })
        .await
}

fn dead_lettering(vhost: &Vhost, queue: &str) -> serde_json::Value {
    vhost.declare_queue(queue);
    json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue })
}

#[tokio::test]
async fn every_2xx_is_success() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match wanted(request) {
        status @ (204 | 205) => Reply::status(status),
        status => Reply::status(status).body("fine"),
    });
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish([200, 201, 202, 203, 204, 206, 226, 299]).await;
    backend.wait_for(8).await;
    scene.end(0).await;
    assert_eq!(backend.requests().len(), 8);
}

#[tokio::test]
async fn a_refused_message_is_not_tried_again_and_redirects_are_not_followed() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        Reply::status(wanted(request)).header("Location", "/elsewhere").body("no")
    });
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    let statuses = ["301", "302", "303", "307", "308", "400", "405", "413", "418", "422", "501"];
    scene.publish(statuses).await;
    scene.wait_for_depth_of("parcels.dead", 11).await;
    let requests = backend.requests();
    assert_eq!(requests.len(), statuses.len(), "one try for each");
    assert!(requests.iter().all(|request| request.path == "/"));
    for status in statuses {
        let status = format!("status {status}");
        let line = ["not delivered", status.as_str()];
        // The broker has a copy before the daemon says so.
        scene.wait_for_lines(1, &line).await;
        assert_eq!(scene.lines(&line), 1);
    }
    scene.end(0).await;
}

#[tokio::test]
async fn a_requeued_message_counts_at_a_quorum_queue_until_its_limit_dead_letters_it() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(500));
        let mut arguments = dead_lettering(&vhost, "dead");
        arguments["x-delivery-limit"] = json!(2);
        let arguments: toml::Table = serde_json::from_value(arguments).unwrap();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.arguments", arguments)
            .set("retry.strategy", "requeue")
            .set("retry.in_place", 0);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one"]).await;
        scene.wait_for_depth_of("dead", 1).await;
        let requests = backend.requests();
        assert_eq!(seen(&requests, "x-amqp-attempt"), [Some("1"), Some("2"), Some("3")]);
        assert_eq!(seen(&requests, "x-amqp-header-x-delivery-count")[1..], [Some("1"), Some("2")]);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn nack_discard_sends_a_refused_message_to_the_queues_own_dead_letter_exchange() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|request| Reply::status(wanted(request)));
        let arguments: toml::Table =
            serde_json::from_value(dead_lettering(&vhost, "dead")).unwrap();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.nack_discard", true)
            .set("async/amqp.arguments", arguments)
            .set("retry.in_place", 1);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish([400, 500, 200]).await;
        scene.wait_for_depth_of("dead", 2).await;
        // That two have failed says nothing of the third.
        each_comes(&backend, &["200"], 1).await;
        let count =
            |body| backend.requests().iter().filter(|request| request.text() == body).count();
        assert_eq!((count("400"), count("500"), count("200")), (1, 2, 1));
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn auto_ack_acks_whatever_the_backend_says() {
    let vhost = Broker::any().vhost();
    let (backend, refusing) = (
        Backend::replying(|request| match request.text().as_str() {
            "reset" => Reply::reset(),
            _ => Reply::status(wanted(request)),
        }),
        Backend::refusing(),
    );
    let agent = Agent::new("parcels", &vhost, &backend)
        .backend(&refusing.url(), &[])
        .set("async/amqp.auto_ack", true);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["500", "400", "401", "503", "200", "reset"]).await;
    backend.wait_for(6).await;
    scene.end(0).await;
    assert_eq!(backend.requests().len(), 6);
}

#[tokio::test]
async fn a_failure_is_tried_again_in_place_with_the_same_key() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.header("x-amqp-attempt") {
        Some("1") => Reply::status(500).body("oh"),
        Some("2") => Reply::status(502),
        _ => Reply::status(200),
    });
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    let requests = backend.wait_for(3).await;
    assert_eq!(seen(&requests, "x-amqp-attempt"), [Some("1"), Some("2"), Some("3")]);
    assert_eq!(seen(&requests, "x-amqp-redelivered"), [Some("false"); 3]);
    assert_eq!(seen(&requests, "idempotency-key"), [Some("one"); 3]);
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    scene.end(0).await;
}

#[tokio::test]
async fn tries_in_place_that_are_used_up_give_the_message_back() {
    let vhost = Broker::any().vhost();
    let backend = at_first(|_| Reply::status(500));
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("retry.strategy", "requeue")
        .set("retry.in_place", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    let requests = backend.wait_for(3).await;
    let redelivered = [Some("false"), Some("false"), Some("true")];
    assert_eq!(seen(&requests, "x-amqp-redelivered"), redelivered);
    let line = ["not delivered", "status 500"];
    scene.wait_for_lines(1, &line).await;
    assert_eq!(scene.lines(&line), 1, "one closing line");
    scene.end(0).await;
}

#[tokio::test]
async fn retry_after_makes_the_other_messages_wait_too() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(503).header("Retry-After", "3600"));
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    backend.wait_for(1).await;
    backend.wait_for_in_flight(0).await;
    scene.wait_for_depth(0).await;
    scene.end(3).await;
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn once_retry_after_is_over_everything_goes_on() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.number {
        1 => Reply::status(429).header("Retry-After", "1"),
        _ => Reply::status(204),
    });
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    let requests = backend.wait_for(4).await;
    assert_eq!(seen(&requests, "x-amqp-redelivered"), [Some("false"); 4]);
    scene.end(0).await;
}

#[tokio::test]
async fn no_answer_garbage_and_broken_connections_are_tried_again() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        if request.header("x-amqp-attempt") != Some("1") {
            return Reply::status(204);
        }
        match request.text().as_str() {
            "hang" => Reply::hang(),
            "close" => Reply::close(),
            "reset" => Reply::reset(),
            "garbage" => Reply::raw("\0\0\0\x01this is no HTTP\r\n\r\n"),
            "half a head" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Le"),
            "other version" => Reply::raw("HTTP/9.9 200 OK\r\n\r\n"),
            "status" => Reply::raw("HTTP/1.1 9999 OK\r\n\r\n"),
            "flood" => Reply::raw(format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(1 << 17))),
            other => panic!("{other}"),
        }
    });
    // Its timeout is long: nothing but what hangs is to meet it.
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    let faults =
        ["hang", "close", "reset", "garbage", "half a head", "other version", "status", "flood"];
    for (number, fault) in faults.iter().enumerate() {
        // One after the other: many that fail in a row would be the backend's fault.
        scene.publish([fault]).await;
        scene.wait_for_lines(number + 1, &["delivered at last"]).await;
    }
    let requests = each_comes(&backend, &faults, 2).await;
    assert_eq!(requests.len(), 2 * faults.len());
    assert_eq!(seen(&requests, "x-amqp-redelivered"), [Some("false"); 16]);
    assert_eq!(scene.lines(&["holding"]), 0, "something was sent each time");
    scene.end(0).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_before_anything_is_read_loses_no_message() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    // It accepts, finds nobody behind it, and resets.
    let proxy = Proxy::to(backend.port());
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let agent = Agent::between("parcels", &vhost.url(), &url).set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    proxy.wait_for_connections(2).await;
    backend.listen();
    let requests = backend.wait_for(1).await;
    assert_eq!(requests[0].text(), "one");
    scene.end(0).await;
}

#[tokio::test]
async fn a_timeout_counts_as_an_attempt() {
    let vhost = Broker::any().vhost();
    let backend = at_first(|_| Reply::hang());
    let agent = Agent::new("parcels", &vhost, &backend)
        // Long enough for the second, which is answered.
        .set_backend("timeout", "5s")
        .set("retry.strategy", "requeue")
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    let requests = backend.wait_for(2).await;
    assert_eq!(seen(&requests, "x-amqp-attempt"), [Some("1"), Some("2")]);
    let line = ["not delivered", "gave up after"];
    scene.wait_for_lines(1, &line).await;
    assert_eq!(scene.lines(&line), 1);
    scene.end(0).await;
}

#[tokio::test]
async fn the_body_of_a_success_is_not_waited_for_be_it_100_mb_or_endless() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.text().as_str() {
        "large" => Reply::status(200).body(vec![b'x'; 100_000_000]),
        "endless" => Reply::endless(),
        "cut" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
        _ => Reply::status(204),
    });
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["large", "endless", "cut", "next"]).await;
    let requests = backend.wait_for(4).await;
    // Each of the three connections was given up: the backend's writing has failed.
    backend.wait_for_in_flight(0).await;
    let mut connections: Vec<_> = requests.iter().map(|request| request.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), 4);
    assert_eq!(seen(&backend.requests(), "x-amqp-attempt"), [Some("1"); 4]);
    scene.end(0).await;
}

#[tokio::test]
async fn the_body_of_a_failure_is_not_waited_for_either() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.header("x-amqp-attempt") {
        Some("1") => Reply::status(500).body(vec![b'x'; 100_000_000]),
        _ => Reply::status(204),
    });
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    backend.wait_for(2).await;
    backend.wait_for_in_flight(0).await;
    assert_eq!(backend.requests().len(), 2);
    scene.end(0).await;
}

#[tokio::test]
async fn a_status_means_what_the_agent_file_says() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| Reply::status(wanted(request)));
    let status = toml::toml! { success = [404, "3xx"] };
    let agent = Agent::new("parcels", &vhost, &backend).set_backend("status", status);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish([404, 302, 200]).await;
    backend.wait_for(3).await;
    scene.end(0).await;
    assert_eq!(backend.requests().len(), 3);
}

#[tokio::test]
async fn a_wish_for_quiet_is_heard_also_when_its_message_is_not_tried_again() {
    for key in ["nack_discard", "auto_ack"] {
        let vhost = Broker::any().vhost();
        let backend = Backend::replying(|_| Reply::status(503).header("Retry-After", "3600"));
        let agent = Agent::new("parcels", &vhost, &backend)
            .set(&format!("async/amqp.{key}"), true)
            .set("consumer.workers", 1)
            .set("retry.in_place", 0);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one", "two"]).await;
        scene.daemon.wait_for_log(&["not delivered", r#""message_id":"one""#]).await;
        scene.publish(["three"]).await;
        scene.wait_for_depth(0).await;
        scene.end(2).await;
        assert_eq!(backend.requests().len(), 1, "{key}");
    }
}

#[tokio::test]
async fn what_a_stream_cannot_take_back_is_told() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        Reply::status(if request.header("x-amqp-attempt") == Some("2") { 204 } else { 500 })
    });
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("async/amqp.queue_type", "stream")
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["not delivered", "500", "kept and tried on"]).await;
    scene.daemon.wait_for_log(&["delivered at last"]).await;
    scene.daemon.stop().await;
}
