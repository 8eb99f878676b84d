//! From message to request: what a backend is sent, how many at once, and how fast.

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Gate, Message, Reply, Scene, on_every_release};

/// All headers, names in small letters, sorted.
fn lines(request: &Request) -> Vec<String> {
    let line = |(name, value): &(String, String)| format!("{}: {value}", name.to_lowercase());
    let mut lines: Vec<_> = request.headers.iter().map(line).collect();
    lines.sort();
    lines
}

const USER_AGENT: &str = concat!("user-agent: amqp-agentd/", env!("CARGO_PKG_VERSION"));

#[tokio::test]
async fn a_message_with_every_property_becomes_exactly_this_request() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", "order.*")
            .set_backend("url_pattern", "/orders?from=queue")
            .set_backend("headers", toml::toml! { Authorization = "Bearer hunter2" });
        let mut scene = Scene::of(vhost, &agent).await;
        let message = Message::through("shop", "order.created", r#"{"id":7}"#)
            .content_type("application/json")
            .content_encoding("identity")
            .message_id("m-1")
            .correlation_id("c-1")
            .message_type("created")
            .app_id("till")
            .reply_to("answers")
            .timestamp(1_700_000_000)
            .priority(3)
            .header("Tenant", "acme")
            .raw_header("count", b'l', &7_i64.to_be_bytes())
            .raw_header("urgent", b't', &[1])
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .header("tracestate", "a=b")
            .header("baggage", "c=d");
        scene.publisher.publish(message).await;
        let requests = backend.wait_for(1).await;
        assert_eq!(requests[0].method, "POST");
        assert_eq!(requests[0].path, "/orders?from=queue");
        assert_eq!(requests[0].text(), r#"{"id":7}"#);
        let host = format!("host: 127.0.0.1:{}", backend.port());
        let expected = [
            "accept: */*",
            "authorization: Bearer hunter2",
            "baggage: c=d",
            "content-encoding: identity",
            "content-length: 8",
            "content-type: application/json",
            &host,
            "idempotency-key: m-1",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate: a=b",
            USER_AGENT,
            "x-amqp-app-id: till",
            "x-amqp-attempt: 1",
            "x-amqp-correlation-id: c-1",
            "x-amqp-exchange: shop",
            "x-amqp-header-count: 7",
            "x-amqp-header-tenant: acme",
            "x-amqp-header-urgent: true",
            "x-amqp-message-id: m-1",
            "x-amqp-priority: 3",
            "x-amqp-redelivered: false",
            "x-amqp-reply-to: answers",
            "x-amqp-routing-key: order.created",
            "x-amqp-timestamp: 1700000000",
            "x-amqp-type: created",
        ];
        assert_eq!(lines(&requests[0]), expected);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_without_properties_is_octets() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publisher.publish(Message::to("parcels", "hello")).await;
    let requests = backend.wait_for(1).await;
    let expected = [
        "accept: */*",
        "content-length: 5",
        "content-type: application/octet-stream",
        &format!("host: 127.0.0.1:{}", backend.port()),
        USER_AGENT,
        "x-amqp-attempt: 1",
        "x-amqp-redelivered: false",
        "x-amqp-routing-key: parcels",
    ];
    assert_eq!(lines(&requests[0]), expected);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/"));
    scene.end(0).await;
}

#[tokio::test]
async fn bodies_arrive_unchanged_be_they_empty_binary_or_16_mib() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        // One worker, for the order; and time for 16 MiB, wherever this runs.
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("consumer.workers", 1)
            .set("consumer.timeout", "5m");
        let mut scene = Scene::of(vhost, &agent).await;
        let binary: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let large: Vec<u8> = (0..16 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
        let bodies = [Vec::new(), binary, b"GET / HTTP/1.1\r\n\r\n".to_vec(), large, Vec::new()];
        let messages = bodies.clone().map(|body| Message::to("parcels", body));
        scene.publisher.publish_all(messages).await;
        let requests = backend.wait_for(bodies.len()).await;
        for (request, body) in requests.iter().zip(&bodies) {
            assert!(request.body == *body, "a body of {} octets changed", body.len());
            let length = body.len().to_string();
            assert_eq!(request.header("content-length"), Some(length.as_str()));
        }
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_that_tries_to_smuggle_makes_one_clean_request() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", "#")
            .set("consumer.workers", 1);
        let mut scene = Scene::of(vhost, &agent).await;
        let evil = "x\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n";
        let message = Message::through("shop", "a\r\nX-Evil: 1", "hello")
            .content_type(evil)
            .content_encoding("gzip\nX-Evil: 1")
            .message_id("m\0")
            .correlation_id(evil)
            .message_type("\r\n\r\n")
            .app_id(evil)
            .reply_to(evil)
            .header("value", evil)
            .header("zero", "a\0b")
            .header("traceparent", evil)
            .header("a: b\r\nX-Evil", "1")
            .header("a b", "1")
            .header("", "1")
            .header("Content-Length", "0")
            .header("Transfer-Encoding", "chunked")
            .header("Host", "evil")
            .header("Connection", "close");
        scene.publisher.publish(message).await;
        scene.publisher.publish(Message::to("parcels", "next")).await;
        let requests = backend.wait_for(2).await;
        let expected = [
            "accept: */*",
            "content-length: 5",
            "content-type: application/octet-stream",
            &format!("host: 127.0.0.1:{}", backend.port()),
            USER_AGENT,
            "x-amqp-attempt: 1",
            "x-amqp-exchange: shop",
            "x-amqp-header-connection: close",
            "x-amqp-header-content-length: 0",
            "x-amqp-header-host: evil",
            "x-amqp-header-transfer-encoding: chunked",
            "x-amqp-redelivered: false",
        ];
        assert_eq!(lines(&requests[0]), expected);
        assert_eq!((requests[0].text(), requests[1].text()), ("hello".into(), "next".into()));
        assert_eq!(requests.len(), 2);
        assert_eq!(backend.connections(), 1, "the connection is still in step");
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn never_more_than_workers_are_in_flight_nor_more_than_the_window_held() {
    on_every_release(|vhost| async move {
        let (gate, backend) = (Gate::new(), Backend::start());
        let shut = gate.clone();
        backend.reply_with(move |_| Reply::status(204).after(&shut));
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.prefetch_count", 5)
            .set("consumer.workers", 2);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=12).await;
        backend.wait_for_in_flight(2).await;
        scene.wait_for_depth(7).await;
        gate.admit(1);
        backend.wait_for(3).await;
        gate.open();
        backend.wait_for(12).await;
        assert_eq!(backend.in_flight_max(), 2);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_low_rate_lets_the_first_message_through_and_keeps_the_others() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.max_rate", 0.01);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    backend.wait_for(1).await;
    scene.wait_for_depth(0).await;
    scene.end(2).await;
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn a_rate_delays_messages_and_loses_none() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    // One worker: two requests on two connections may be read in any order.
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("consumer.max_rate", 50.0)
        .set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=20).await;
    let requests = backend.wait_for(20).await;
    let bodies: Vec<_> = requests.iter().map(Request::text).collect();
    assert_eq!(bodies, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
    scene.end(0).await;
}
