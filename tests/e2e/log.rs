//! The log: what an operator needs at 3 a.m., and nothing that nobody may read.
//!
//! What is not tested here: the journal's own format, since its socket has a fixed path; that
//! it is chosen only where systemd connected standard error to the journal is.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use toml::Table;

use crate::support::backend::Request;
use crate::support::{
    Agent, Backend, Broker, Daemon, Message, Proxy, Publisher, Reply, Vhost, on_every_release,
};

#[tokio::test]
async fn each_line_is_json_where_json_is_asked_for() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|_| Reply::status(422));
    let mut daemon = traced();
    daemon.write(&Agent::new("orders", &vhost, &backend));
    daemon.start().await;
    vhost.wait_for_consumer("orders").await;
    let message = Message::to("orders", "x").message_id("line\nbreak \"quote\" \u{1b}[31m");
    Publisher::connect(&vhost).await.publish(message).await;
    daemon.wait_for_log(&["not delivered"]).await;
    daemon.stop().await;
    let lines = daemon.log().lines();
    assert!(lines.len() > 4, "{lines:#?}");
    for line in lines {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "no {field} in {line}");
        }
    }
}

#[tokio::test]
async fn the_consuming_line_says_where_and_as_whom() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.name", "parcels")
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", vec!["a.*", "b.#"])
            .set("async/amqp.prefetch_count", 33)
            .set("consumer.workers", 3);
        let mut daemon = Daemon::running([&agent]).await;
        let line = daemon.wait_for_log(&["\"consuming\""]).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["agent"], "orders");
        assert_eq!(line["broker"], format!("127.0.0.1:{}", vhost.broker.amqp_port));
        assert_eq!(line["user"], "guest");
        assert_eq!(line["vhost"], vhost.name.as_str());
        assert_eq!(line["queue"], "parcels");
        assert_eq!(line["exchange"], "shop");
        assert_eq!(line["topics"], r#"["a.*", "b.#"]"#);
        assert_eq!(line["declare"], "create");
        assert_eq!((&line["window"], &line["workers"]), (&33.into(), &3.into()));
        assert!(line["consumer_tag"].as_str().unwrap().contains("orders"), "{line}");
        daemon.stop().await;
    })
    .await;
}

/// The path of a backend that does not decide.
const BESIDE: &str = "/beside";

/// The number of a request among those that decide, or among those that do not; from 1.
fn next(counts: &[AtomicUsize; 2], request: &Request) -> usize {
    counts[usize::from(request.path == BESIDE)].fetch_add(1, Ordering::Relaxed) + 1
}

#[tokio::test]
async fn no_secret_body_or_header_value_is_ever_in_the_log() {
    let vhost = Broker::any().vhost();
    let user = format!("user-{}", vhost.name);
    vhost.broker.add_user(&user, "hunter2-password");
    vhost.permit(&user, ".*", ".*", ".*");
    // Every kind of line: delivered, refused, tried again, reset, a backend beside. Each of the two
    // backends counts for itself, so that neither misses a kind however their requests mingle.
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let backend = Backend::replying(move |request| match next(&counts, request) % 4 {
        0 => Reply::status(422).body("hunter2-reply").header("X-Reply", "hunter2-reply-header"),
        1 => Reply::status(500),
        2 => Reply::reset(),
        _ => Reply::status(204),
    });
    let mut headers = Table::new();
    headers.insert("Authorization".to_owned(), "Bearer hunter2-token".into());
    headers.insert("X-File".to_owned(), "${file:token}".into());
    let address = vhost.url_as(&user, "hunter2-password", vhost.broker.amqp_port);
    let agent = Agent::between("orders", &address, &backend.url())
        .set_backend("headers", headers.clone())
        .backend(
            &backend.url(),
            &[
                ("required", false.into()),
                ("headers", headers.into()),
                ("url_pattern", BESIDE.into()),
            ],
        );
    // One whose login is refused, and one whose file is broken beside its secret.
    let refused = vhost.url_as(&user, "hunter2-wrong", vhost.broker.amqp_port);
    let refused = Agent::between("refused", &refused, &backend.url());
    let mut daemon = traced();
    daemon.write_file("token", "hunter2-file\n");
    daemon.write_file(
        "broken.toml",
        "[\"async/amqp\"]\nhost = \"amqp://u:hunter2-broken@h:99999/\"\nname = \"${file:token}\"\nexchange = 1\n",
    );
    daemon.write(&agent);
    daemon.write(&refused);
    daemon.start().await;
    vhost.wait_for_consumer("orders").await;
    daemon.wait_for_log(&["no session", "\"agent\":\"refused\""]).await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher
        .publish_all(
            (0..20).map(|_| {
                Message::to("orders", "hunter2-body").header("X-Private", "hunter2-header")
            }),
        )
        .await;
    // Half of the requests that decide end a message: taken, or refused.
    let decide = |all: &[Request]| all.iter().filter(|one| one.path != BESIDE).count();
    backend.wait_until("the end of all messages", |all| decide(all) >= 40).await;
    for kind in [
        ["not delivered", "status 422"],
        ["trying again", "status 500"],
        ["trying again", "connection lost"],
        ["not told, and not required to be", "orders"],
    ] {
        daemon.wait_for_log(&kind).await;
    }
    daemon.reload().await;
    daemon.stop().await;
    vhost.broker.remove_user(&user);
    let requests = backend.requests();
    assert!(requests.iter().all(|request| request.text() == "hunter2-body"));
    assert_eq!(requests[0].header("authorization"), Some("Bearer hunter2-token"));
    assert!(daemon.log().lines().len() > 50, "trace says more than that");
    assert_eq!(daemon.log().with(0, &["hunter2"]), [""; 0]);
    assert_eq!(daemon.notifications().with(0, &["hunter2"]), [""; 0]);
}

#[tokio::test]
async fn each_message_that_did_not_simply_succeed_has_one_closing_line() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| match (request.text().as_str(), request.number) {
        ("refused", _) => Reply::status(422),
        ("late", 1) => Reply::status(500),
        _ => Reply::status(204),
    });
    let agent = Agent::new("orders", &vhost, &backend)
        .set("retry.delays", vec!["5m"])
        .set("consumer.workers", 1)
        .set_backend("name", "the shop");
    let mut daemon = Daemon::running([&agent]).await;
    vhost.wait_for_consumer("orders").await;
    let mut publisher = Publisher::connect(&vhost).await;
    for body in ["late", "refused", "fine"] {
        publisher.publish(Message::to("orders", body).message_id(body)).await;
    }
    daemon.wait_for_log(&["\"late\""]).await;
    daemon.wait_for_log(&["\"refused\""]).await;
    daemon.stop().await;
    let line = |id: &str| -> Value {
        let lines = daemon.log().with(0, &[&format!("\"message_id\":\"{id}\"")]);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        serde_json::from_str(&lines[0]).unwrap()
    };
    let refused = line("refused");
    assert_eq!(refused["level"], "WARN");
    assert_eq!(refused["message"], "not delivered: status 422");
    assert_eq!(refused["agent"], "orders");
    assert_eq!(refused["routing_key"], "orders");
    assert_eq!(refused["backend"], "the shop");
    assert_eq!(refused["status"], 422);
    assert_eq!(refused["attempt"], 1);
    assert_eq!(refused["action"], "dead-lettered");
    assert_eq!(refused["reason"], "refused");
    assert_eq!(refused["to"], "orders.dead");
    let late = line("late");
    assert_eq!((&late["level"], &late["attempt"]), (&"INFO".into(), &2.into()));
    assert_eq!(late["message"], "delivered at last");
    assert_eq!(daemon.log().with(0, &["\"message_id\":\"fine\""]), [""; 0]);
}

#[tokio::test]
async fn an_agent_that_moved_sums_up_when_it_ends() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agents = ["moved", "idle"].map(|name| Agent::new(name, &vhost, &backend));
    let mut daemon = Daemon::running(&agents).await;
    vhost.wait_for_consumer("moved").await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish_all((0..5).map(|_| Message::to("moved", "x"))).await;
    // The stop finishes what has begun.
    backend.wait_for(5).await;
    daemon.stop().await;
    let lines = daemon.log().with(0, &["\"summary\""]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["agent"], "moved");
    assert_eq!((&line["received"], &line["delivered"]), (&5.into(), &5.into()));
    for none in
        ["retried", "dead_lettered", "requeued", "discarded", "abandoned", "held", "in_flight"]
    {
        assert_eq!(line[none], 0, "{line}");
    }
    assert!(line["p50_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["p99_ms"].as_f64() >= line["p50_ms"].as_f64(), "{line}");
}

#[tokio::test]
async fn the_same_fault_of_a_connection_is_said_once_and_then_counted() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut proxy = Proxy::to(vhost.broker.amqp_port);
    proxy.refuse().await;
    let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url());
    let mut daemon = traced();
    daemon.write(&agent);
    daemon.start().await;
    daemon.wait_for_log(&["DEBUG", "\"tries\":3"]).await;
    proxy.listen();
    let line = daemon.wait_for_log(&["\"consuming\""]).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["failed_tries"].as_u64() >= Some(3), "{line}");
    daemon.stop().await;
    let said = daemon.log().with(0, &["WARN", "no session"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("next_try_ms"), "{said:?}");
}

#[tokio::test]
async fn text_is_plain_and_one_line_an_event_where_no_terminal_reads() {
    for format in ["auto", "text"] {
        let vhost = Broker::any().vhost();
        let backend = Backend::replying(|_| Reply::status(422));
        let mut daemon = in_format(format);
        daemon.write(&Agent::new("orders", &vhost, &backend));
        daemon.start().await;
        vhost.wait_for_consumer("orders").await;
        let odd = "\u{1b}[31m\nINFO forged";
        publish_odd(&vhost, odd).await;
        let line = daemon.wait_for_log(&["WARN not delivered: status 422", "agent=orders"]).await;
        assert!(line.contains("attempt=1") && line.contains("status=422"), "{line}");
        daemon.stop().await;
        for line in daemon.log().lines() {
            assert!(!line.contains('\u{1b}'), "{line:?}");
            assert!(line.starts_with("20") && line.contains('Z'), "no time in {line}");
        }
    }
}

#[tokio::test]
async fn the_journal_is_chosen_only_where_standard_error_is_its_stream() {
    // Standard error is not the stream that systemd made: another program's, passed on.
    let mut daemon = in_format("auto");
    daemon.set_environment("JOURNAL_STREAM", "1:1");
    daemon.start().await;
    let line = daemon.wait_for_log(&["started"]).await;
    assert!(line.starts_with("20"), "a time stands first: {line}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_journal_asked_for_where_there_is_none_is_a_bad_configuration() {
    if std::fs::metadata("/run/systemd/journal/socket").is_ok_and(|socket| socket.ino() > 0) {
        eprintln!("SKIPPED: this machine has a journal");
        return;
    }
    let mut daemon = in_format("journal");
    daemon.spawn();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(78));
    daemon.wait_for_log(&["journal"]).await;
}

/// A message whose names try to break out of their line.
async fn publish_odd(vhost: &Vhost, odd: &str) {
    vhost.declare_exchange("shop", "fanout");
    let bind = serde_json::json!({ "routing_key": "" });
    let path = format!("bindings/{}/e/shop/q/orders", vhost.segment());
    vhost.broker.management.post(&path, &bind);
    let message = Message::through("shop", odd, "x").message_id(odd);
    Publisher::connect(vhost).await.publish(message).await;
}

/// A daemon whose log holds all that it can say.
fn traced() -> Daemon {
    let mut daemon = Daemon::new();
    daemon.set_environment("AMQP_AGENTD_LOG", "trace");
    daemon
}

fn in_format(format: &str) -> Daemon {
    let mut daemon = Daemon::new();
    let mut log = Table::new();
    log.insert("format".to_owned(), format.into());
    daemon.set_main("log", log);
    daemon
}
