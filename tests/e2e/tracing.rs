//! Spans: of each delivery and each request, in the publisher's trace, and never at a message's cost.

use serde_json::Value;
use toml::Table;

use crate::support::{
    Agent, Backend, Broker, Collector, Daemon, Gate, Message, Proxy, Publisher, Reply, Scene, Span,
    on_every_release,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn message(flags: &str) -> Message {
    Message::to("orders", "x").message_id("one").header("traceparent", traceparent(flags))
}

/// A daemon that sends its spans to `collector`.
fn daemon(collector: &Collector, keys: &[(&str, toml::Value)]) -> Daemon {
    let mut daemon = Daemon::new();
    collector.listen_to(&mut daemon, keys);
    daemon
}

fn deliveries(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.is_consumer).collect()
}

fn requests(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| !span.is_consumer).collect()
}

#[tokio::test]
async fn a_delivery_stands_between_its_publisher_and_its_backend() {
    on_every_release(|vhost| async move {
        let (collector, backend) = (Collector::start(), Backend::start());
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", "order.#");
        let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
        let published = Message::through("shop", "order.created", "twelve bytes")
            .message_id("one")
            .correlation_id("talk")
            .header("traceparent", traceparent("01"))
            .header("tracestate", "vendor=1")
            .header("baggage", "tenant=acme");
        scene.publisher.publish(published).await;
        let spans = collector.wait_for_deliveries(1).await;
        let [delivery] = deliveries(&spans)[..] else { panic!("{spans:#?}") };
        let [request] = requests(&spans)[..] else { panic!("{spans:#?}") };
        assert_eq!((delivery.trace.as_str(), delivery.parent.as_str()), (TRACE, PARENT));
        assert_eq!(
            (&delivery.links[..], delivery.state.as_str()),
            (&[PARENT.into()][..], "vendor=1")
        );
        assert_eq!((request.trace.as_str(), &request.parent), (TRACE, &delivery.id));
        let seen = &backend.requests()[0];
        assert_eq!(seen.header("traceparent"), Some(request.traceparent().as_str()));
        assert_eq!(seen.header("tracestate"), Some("vendor=1"));
        assert_eq!(seen.header("baggage"), Some("tenant=acme"));

        assert_eq!(delivery.name, "process orders");
        let port = scene.vhost.broker.amqp_port.to_string();
        for (name, value) in [
            ("messaging.system", "rabbitmq"),
            ("messaging.destination.name", "shop:order.created:orders"),
            ("messaging.message.id", "one"),
            ("messaging.message.conversation_id", "talk"),
            ("messaging.message.body.size", "12"),
            ("messaging.rabbitmq.message.delivery_tag", "1"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("amqp_agentd.agent", "orders"),
            ("amqp_agentd.settlement", "ack"),
        ] {
            assert_eq!(delivery.says(name), value, "{name}");
        }
        assert_eq!(request.says("url.full"), format!("{}/", backend.url()));
        assert_eq!(request.says("http.response.status_code"), "204");
        assert!(!delivery.is_error && !request.is_error);
        let resource = collector.resource();
        assert_eq!(resource["service.name"], "amqp-agentd");
        for name in ["service.version", "service.instance.id", "host.name", "process.pid"] {
            assert!(!resource[name].is_empty(), "{name}");
        }
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn retries_stay_in_the_trace_and_what_failed_is_an_error() {
    on_every_release(|vhost| async move {
        let collector = Collector::start();
        let backend = Backend::replying(|request| match request.number {
            1 => Reply::status(500),
            2 => Reply::status(503),
            _ => Reply::status(422),
        });
        let agent = Agent::new("orders", &vhost, &backend).set("retry.in_place", 1);
        let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
        // It brings no trace that counts: its first delivery begins one.
        let published = Message::to("orders", "x").message_id("one");
        scene.publisher.publish(published.header("traceparent", "00-1-2-01")).await;
        let spans = collector.wait_for_deliveries(2).await;
        let mut both = deliveries(&spans);
        // A copy may be delivered before the confirm comes that ends the first delivery.
        both.sort_by_key(|span| !span.parent.is_empty());
        let [first, second] = both[..] else { panic!("{spans:#?}") };
        let told = |span: &Span| {
            let names = ["amqp_agentd.settlement", "amqp_agentd.outcome", "error.type"];
            names.map(|name| span.says(name).to_owned())
        };
        assert_eq!((first.parent.as_str(), first.links.len()), ("", 0));
        assert_eq!((&second.trace, &second.parent), (&first.trace, &first.id));
        assert_eq!(told(first), ["retry", "try_again", "503"]);
        assert_eq!(told(second), ["dead_letter", "refused", "422"]);
        assert_eq!(second.says("amqp_agentd.dead_letter.reason"), "refused");
        assert!(spans.iter().all(|span| span.is_error), "{spans:#?}");
        let parents: Vec<_> = requests(&spans).iter().map(|span| &span.parent).collect();
        assert_eq!(parents, [&first.id, &first.id, &second.id]);
        let resent: Vec<_> =
            requests(&spans).iter().map(|span| span.says("http.request.resend_count")).collect();
        assert_eq!(resent, ["", "1", "2"]);
        // Whoever looks into the log finds the trace.
        for line in ["tried again later", "dead-lettered"] {
            let line = scene.daemon.wait_for_log(&[line]).await;
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["trace_id"], first.trace.as_str(), "{line}");
        }
        // And so does who looks into the dead letter.
        scene.wait_for_depth_of("orders.dead", 1).await;
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_publisher_does_not_sample_is_passed_on_and_told_to_nobody() {
    let vhost = Broker::any().vhost();
    let (collector, backend) = (Collector::start(), Backend::start());
    let agent = Agent::new("orders", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
    scene.publisher.publish(message("00")).await;
    // The next one is told, so the first would have been.
    scene.publisher.publish(message("01")).await;
    let spans = collector.wait_for_deliveries(1).await;
    let seen = backend.requests();
    let told = seen[0].header("traceparent").unwrap();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert!(!told.contains(PARENT), "{told}");
    assert_eq!(seen[1].header("traceparent").unwrap(), requests(&spans)[0].traceparent());
    scene.end(0).await;
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn a_share_of_nothing_records_no_new_trace_and_those_that_are_brought() {
    let vhost = Broker::any().vhost();
    let (collector, backend) = (Collector::start(), Backend::start());
    let agent = Agent::new("orders", &vhost, &backend).set("consumer.workers", 1);
    let daemon = daemon(&collector, &[("sample", 0.0.into())]);
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    scene.publish(["new"]).await;
    scene.publisher.publish(message("01")).await;
    let spans = collector.wait_for_deliveries(1).await;
    assert_eq!(deliveries(&spans)[0].trace, TRACE);
    let seen = backend.requests();
    assert!(seen[0].header("traceparent").unwrap().ends_with("-00"));
    scene.end(0).await;
    assert_eq!(deliveries(&collector.spans()).len(), 1);
}

#[tokio::test]
async fn without_a_collector_nothing_is_added_and_the_log_still_names_the_trace() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(422));
    let agent = Agent::new("orders", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["plain"]).await;
    scene.publisher.publish(message("01").header("tracestate", "not valid")).await;
    let seen = backend.wait_for(2).await;
    assert_eq!((seen[0].header("traceparent"), seen[0].header("tracestate")), (None, None));
    assert_eq!(seen[1].header("traceparent"), Some(traceparent("01").as_str()));
    assert_eq!(seen[1].header("tracestate"), Some("not valid"), "as it came");
    scene.wait_for_lines(2, &["dead-lettered"]).await;
    assert_eq!(scene.lines(&["dead-lettered"]), 2);
    // Their copies may be confirmed in any order.
    for (id, trace) in [("plain", Value::Null), ("one", TRACE.into())] {
        let id = format!(r#""message_id":"{id}""#);
        let line = scene.daemon.wait_for_log(&["dead-lettered", &id]).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["trace_id"], trace, "{line}");
    }
    scene.end(0).await;
}

#[tokio::test]
async fn a_collector_that_is_away_or_makes_no_sense_costs_no_message_and_one_line() {
    let replies: [fn() -> Reply; 5] = [
        || Reply::status(500),
        || Reply::status(503).header("Retry-After", "1"),
        || Reply::status(200).body(b"\xff\xff garbage".to_vec()),
        Reply::reset,
        Reply::endless,
    ];
    for reply in replies {
        let vhost = Broker::any().vhost();
        let (collector, backend) = (Collector::start(), Backend::start());
        collector.backend.reply_with(move |_| reply());
        let agent = Agent::new("orders", &vhost, &backend);
        let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
        scene.publish(0..100).await;
        backend.wait_for(100).await;
        collector.backend.wait_for(1).await;
        scene.publish(100..200).await;
        backend.wait_for(200).await;
        let lines = scene.lines(&["spans are not taken"]);
        assert!(lines <= 1, "{lines}");
        scene.end(0).await;
    }
}

#[tokio::test]
async fn a_collector_that_refuses_connections_is_told_once_and_then_heard_of_when_it_is_back() {
    let vhost = Broker::any().vhost();
    let (mut collector, backend) = (Collector { backend: Backend::refusing() }, Backend::start());
    collector.backend.reply_with(|_| Reply::status(200));
    let agent = Agent::new("orders", &vhost, &backend);
    let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
    scene.publish(0..10).await;
    scene.daemon.wait_for_log(&["spans are not taken", "\"WARN\""]).await;
    scene.publish(10..20).await;
    backend.wait_for(20).await;
    collector.backend.listen();
    collector.wait_for_deliveries(20).await;
    scene.daemon.wait_for_log(&["spans are taken again", "\"lost\":0"]).await;
    scene.daemon.stop().await;
    assert_eq!(scene.lines(&["spans are not taken"]), 1);
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_hold_up_the_stop_for_long() {
    let vhost = Broker::any().vhost();
    let (collector, backend) = (Collector::start(), Backend::start());
    collector.backend.reply_with(|_| Reply::hang());
    let agent = Agent::new("orders", &vhost, &backend);
    let keys = [("timeout", "1m".into())];
    let mut scene = Scene::with(daemon(&collector, &keys), vhost, &agent).await;
    scene.publish(0..10).await;
    // What has not begun when the daemon stops has no span.
    backend.wait_for(10).await;
    collector.backend.wait_for_in_flight(1).await;
    // The deadline of the test's own is far below a minute.
    scene.daemon.stop().await;
    scene.daemon.wait_for_log(&["spans were not sent", "\"spans\":20"]).await;
    scene.wait_for_depth(0).await;
}

#[tokio::test]
async fn the_last_spans_leave_before_the_daemon_does() {
    let vhost = Broker::any().vhost();
    let (collector, gate) = (Collector::start(), Gate::new());
    let shut = gate.clone();
    let backend = Backend::replying(move |_| Reply::status(204).after(&shut));
    let agent = Agent::new("orders", &vhost, &backend).set("consumer.timeout", "1m");
    let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
    scene.publish(0..5).await;
    backend.wait_for_in_flight(5).await;
    scene.daemon.signal("TERM");
    scene.daemon.wait_for_log(&["stopping"]).await;
    gate.open();
    assert!(scene.daemon.wait_for_exit().await.success());
    assert_eq!(deliveries(&collector.spans()).len(), 5);
    scene.wait_for_depth(0).await;
}

#[tokio::test]
async fn a_delivery_that_the_session_took_along_says_so() {
    let vhost = Broker::any().vhost();
    let (collector, gate) = (Collector::start(), Gate::new());
    let shut = gate.clone();
    let backend = Backend::replying(move |_| Reply::status(204).after(&shut));
    let proxy = Proxy::to(vhost.broker.amqp_port);
    let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
        .set("consumer.timeout", "1m");
    let mut scene = Scene::with(daemon(&collector, &[]), vhost, &agent).await;
    scene.publisher.publish(message("01")).await;
    backend.wait_for_in_flight(1).await;
    proxy.reset();
    let spans = collector.wait_for_deliveries(1).await;
    let [lost] = deliveries(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!(lost.says("amqp_agentd.settlement"), "abandoned");
    assert!(lost.is_error);
    gate.open();
    let spans = collector.wait_for_deliveries(2).await;
    let again = deliveries(&spans)[1];
    assert_eq!((again.trace.as_str(), again.says("amqp_agentd.redelivered")), (TRACE, "true"));
    scene.end(0).await;
}

#[tokio::test]
async fn no_secret_body_or_header_value_is_ever_in_a_span_or_told_with_the_collector() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match request.number % 2 {
        0 => Reply::status(422).body("hunter2-reply").header("X-Reply", "hunter2-reply-header"),
        _ => Reply::status(500),
    });
    let mut headers = Table::new();
    headers.insert("Authorization".to_owned(), "Bearer hunter2-token".into());
    let with_login = backend.url().replace("http://", "http://user:hunter2-login@");
    let agent = Agent::between("orders", &vhost.url(), &with_login)
        .set_backend("url_pattern", "/hooks/${file:path}?key=hunter2-key")
        .backend(
            &backend.url(),
            &[("headers", headers.into()), ("url_pattern", "/b?t=hunter2-t".into())],
        );
    let collector = Collector::start();
    let mut own = Table::new();
    own.insert("X-Api-Key".to_owned(), "${env:COLLECTOR_KEY}".into());
    let mut daemon = daemon(&collector, &[("headers", own.into())]);
    daemon.set_environment("COLLECTOR_KEY", "hunter2-collector");
    daemon.set_environment("AMQP_AGENTD_LOG", "debug");
    daemon.write_file("path", "hunter2-path\n");
    daemon.write(&agent);
    daemon.start().await;
    vhost.wait_for_consumer("orders").await;
    let mut publisher = Publisher::connect(&vhost).await;
    let private = Message::to("orders", "hunter2-body").header("X-Private", "hunter2-header");
    publisher.publish_all((0..10).map(|_| private.clone())).await;
    let spans = collector.wait_for_deliveries(10).await;
    assert_eq!(collector.backend.requests()[0].header("x-api-key"), Some("hunter2-collector"));
    daemon.stop().await;
    assert!(
        requests(&spans).iter().any(|span| span.says("url.full").ends_with("/REDACTED?REDACTED"))
    );
    assert!(requests(&spans).iter().any(|span| span.says("url.full").ends_with("/b?t=REDACTED")));
    assert!(!format!("{:?}", collector.spans()).contains("hunter2"));
    assert_eq!(daemon.log().with(0, &["hunter2"]), [""; 0]);
}
