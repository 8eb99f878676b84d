//! A session begins as the agent's file says, or says why it cannot.

use serde_json::{Value, json};
use toml::Table;

use crate::support::backend::Request;
use crate::support::management::segment;
use crate::support::wait::eventually;
use crate::support::{
    Agent, Backend, Broker, Daemon, Message, Proxy, Publisher, Reply, Vhost, on_every_release,
};

// ------------------------------------------------------------------------------- declaring

#[tokio::test]
async fn exchange_queue_and_each_binding_are_declared_as_the_file_says() {
    on_every_release(|vhost| async move {
        vhost.declare_exchange("spare", "fanout");
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("async/amqp.exchange_type", "direct")
            .set("async/amqp.exchange_arguments.alternate-exchange", "spare")
            .set("async/amqp.arguments.x-max-length", 1000)
            .set("async/amqp.arguments.x-overflow", "reject-publish")
            .set("async/amqp.arguments.x-single-active-consumer", true)
            .set("consumer.topic", vec!["order.new", "order.paid"]);
        let _daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;

        let exchange = find(&vhost, "exchanges", "shop");
        assert_eq!(exchange["type"], "direct");
        assert_eq!((&exchange["durable"], &exchange["auto_delete"]), (&json!(true), &json!(false)));
        assert_eq!(exchange["arguments"], json!({ "alternate-exchange": "spare" }));
        let queue = find(&vhost, "queues", "orders");
        assert_eq!((&queue["durable"], &queue["auto_delete"]), (&json!(true), &json!(false)));
        assert_eq!(queue["exclusive"], false);
        assert_eq!(queue["arguments"]["x-max-length"], 1000);
        assert_eq!(queue["arguments"]["x-overflow"], "reject-publish");
        assert_eq!(queue["arguments"]["x-single-active-consumer"], true);
        assert_eq!(bindings(&vhost, "shop", "orders"), ["order.new", "order.paid"]);

        let mut publisher = Publisher::connect(&vhost).await;
        for key in ["order.new", "order.paid"] {
            publisher.publish(Message::through("shop", key, key)).await;
        }
        let mut bodies: Vec<_> = backend.wait_for(2).await.iter().map(Request::text).collect();
        bodies.sort();
        assert_eq!(bodies, ["order.new", "order.paid"]);
    })
    .await;
}

#[tokio::test]
async fn an_exchange_is_of_type_topic_unless_the_file_says_otherwise() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", "order.*");
        let _daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        assert_eq!(find(&vhost, "exchanges", "shop")["type"], "topic");
        Publisher::connect(&vhost).await.publish(Message::through("shop", "order.x", "1")).await;
        backend.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_fanout_exchange_needs_no_topic_and_amq_exchanges_are_used_as_they_are() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let fanout = Agent::new("fanout", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("async/amqp.exchange_type", "fanout");
        let topic = Agent::new("topic", &vhost, &backend)
            .set("async/amqp.exchange", "amq.topic")
            .set("consumer.topic", "order.#");
        let _daemon = Daemon::running([&fanout, &topic]).await;
        vhost.wait_for_consumer("fanout").await;
        vhost.wait_for_consumer("topic").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish(Message::through("shop", "anything", "by fanout")).await;
        publisher.publish(Message::through("amq.topic", "order.a.b", "by topic")).await;
        let mut bodies: Vec<_> = backend.wait_for(2).await.iter().map(Request::text).collect();
        bodies.sort();
        assert_eq!(bodies, ["by fanout", "by topic"]);
    })
    .await;
}

#[tokio::test]
async fn an_exclusive_queue_that_does_not_last_is_declared_so_and_gone_with_the_agent() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("fleeting", &vhost, &backend)
            .set("async/amqp.exchange", "shop")
            .set("async/amqp.durable", false)
            .set("async/amqp.delete", true)
            .set("async/amqp.exclusive", true)
            .set("consumer.topic", "#");
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("fleeting").await;
        let exchange = find(&vhost, "exchanges", "shop");
        assert_eq!((&exchange["durable"], &exchange["auto_delete"]), (&json!(false), &json!(true)));
        let queue = find(&vhost, "queues", "fleeting");
        assert_eq!((&queue["durable"], &queue["auto_delete"]), (&json!(false), &json!(true)));
        assert_eq!(queue["exclusive"], true);
        assert_eq!(consumer(&vhost, "fleeting").await["exclusive"], true);
        daemon.stop().await;
        eventually("the queue to be gone", || match vhost.queue("fleeting") {
            None => Ok(()),
            Some(queue) => Err(format!("{queue:?}")),
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_queue_is_of_the_type_that_the_file_says_and_each_type_is_consumed() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agents = ["classic", "quorum", "stream"]
            .map(|kind| Agent::new(kind, &vhost, &backend).set("async/amqp.queue_type", kind));
        let _daemon = Daemon::running(&agents).await;
        let mut publisher = Publisher::connect(&vhost).await;
        for kind in ["classic", "quorum", "stream"] {
            vhost.wait_for_consumer(kind).await;
            assert_eq!(find(&vhost, "queues", kind)["type"], kind);
            publisher.publish(Message::to(kind, kind)).await;
        }
        let mut bodies: Vec<_> = backend.wait_for(3).await.iter().map(Request::text).collect();
        bodies.sort();
        assert_eq!(bodies, ["classic", "quorum", "stream"]);
    })
    .await;
}

#[tokio::test]
async fn passive_and_skip_declare_nothing_and_take_what_is_there() {
    on_every_release(|vhost| async move {
        // Otherwise than an agent would declare them.
        vhost.declare_queue_with("passive", &json!({ "x-max-length": 77 }));
        vhost.declare_queue_with("skip", &json!({ "x-max-length": 77 }));
        vhost.declare_exchange("shop", "direct");
        let backend = Backend::start();
        let agents = ["passive", "skip"].map(|declare| {
            Agent::new(declare, &vhost, &backend)
                .set("async/amqp.declare", declare)
                .set("async/amqp.exchange", "shop")
        });
        let _daemon = Daemon::running(&agents).await;
        let mut publisher = Publisher::connect(&vhost).await;
        for queue in ["passive", "skip"] {
            publisher.publish(Message::to(queue, queue)).await;
        }
        backend.wait_for(2).await;
        assert_eq!(find(&vhost, "exchanges", "shop")["type"], "direct");
        assert!(bindings(&vhost, "shop", "passive").is_empty());
    })
    .await;
}

// ------------------------------------------------------------------------------- consuming

#[tokio::test]
async fn window_tag_and_priority_are_what_the_file_says() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.prefetch_count", 7)
            .set("async/amqp.consumer_tag", "the one that prints")
            .set("async/amqp.consumer_priority", -3);
        let daemon = Daemon::running([&agent]).await;
        let consumer = consumer(&vhost, "orders").await;
        assert_eq!(consumer["prefetch_count"], 7);
        assert_eq!(consumer["consumer_tag"], "the one that prints");
        assert_eq!(consumer["arguments"]["x-priority"], -3);
        assert_eq!(consumer["ack_required"], true);
        daemon.wait_for_log(&["consuming", "\"window\":7", "the one that prints"]).await;
    })
    .await;
}

#[tokio::test]
async fn by_default_tag_and_connection_name_the_agent_and_the_window_is_100() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend);
        let daemon = Daemon::running([&agent]).await;
        let consumer = consumer(&vhost, "orders").await;
        assert_eq!(consumer["prefetch_count"], 100);
        assert_eq!(consumer["arguments"], json!({}));
        let tag = consumer["consumer_tag"].as_str().unwrap();
        assert!(tag.starts_with("amqp-agentd.orders@"), "{tag}");
        assert!(tag.ends_with(&format!(".{}", daemon.pid())), "{tag}");
        let connection = connection(&vhost).await;
        assert_eq!(connection["user_provided_name"], tag);
        let line = daemon.wait_for_log(&["consuming", "\"agent\":\"orders\""]).await;
        assert!(line.contains("\"user\":\"guest\""), "{line}");
        assert!(line.contains(&format!("127.0.0.1:{}", vhost.broker.amqp_port)), "{line}");
    })
    .await;
}

#[tokio::test]
async fn the_heartbeat_offered_is_what_the_file_says() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend).set("async/amqp.heartbeat", "17s");
        let _daemon = Daemon::running([&agent]).await;
        assert_eq!(connection(&vhost).await["timeout"], 17);
    })
    .await;
}

// --------------------------------------------------------------------------------- refused

/// Waits until the agent has been refused twice, and checks that it was said once, as an error
/// that somebody has to mend.
async fn is_said_once(daemon: &Daemon, agent: &str, fragments: &[&str]) {
    let agent = format!("\"agent\":\"{agent}\"");
    let mut again = vec!["\"level\":\"DEBUG\"", "\"tries\":2", "no session", &agent];
    again.extend(fragments);
    daemon.wait_for_log(&again).await;
    let mut loud = vec!["\"level\":\"ERROR\"", "somebody has to mend this", "no session", &agent];
    loud.extend(fragments);
    assert_eq!(daemon.log().with(0, &loud).len(), 1, "{loud:?}");
    for level in ["WARN", "ERROR"] {
        let level = format!("\"level\":\"{level}\"");
        let most = usize::from(level.contains("ERROR"));
        let lines = daemon.log().with(0, &[&level, &agent]);
        assert_eq!(lines.len(), most, "{lines:#?}");
    }
}

/// A daemon that also says what it leaves out by default.
async fn talkative<'a>(agents: impl IntoIterator<Item = &'a Agent>) -> Daemon {
    let mut daemon = Daemon::new();
    let mut log = Table::new();
    log.insert("format".to_owned(), "json".into());
    log.insert("level".to_owned(), "debug".into());
    daemon.set_main("log", log);
    for agent in agents {
        daemon.write(agent);
    }
    daemon.start().await;
    daemon
}

#[tokio::test]
async fn a_refused_login_is_said_once_and_recovers_once_the_password_is_mended() {
    on_every_release(|vhost| async move {
        let user = vhost.name.clone();
        vhost.broker.add_user(&user, "old");
        vhost.permit(&user, ".*", ".*", ".*");
        let backend = Backend::start();
        let url = vhost.url_as(&user, "new", vhost.broker.amqp_port);
        let agent = Agent::between("orders", &url, &backend.url());
        let daemon = talkative([&agent]).await;
        is_said_once(&daemon, "orders", &["while logging in", "password"]).await;
        vhost.broker.add_user(&user, "new");
        // The next try comes a minute after the last: longer than other waits here.
        for _ in 0..2 {
            let fragments = &["\"message\":\"consuming\""];
            let log = daemon.log().wait_for(0, fragments);
            if tokio::time::timeout(std::time::Duration::from_secs(55), log).await.is_ok() {
                break;
            }
        }
        vhost.wait_for_consumer("orders").await;
        Publisher::connect(&vhost).await.publish(Message::to("orders", "1")).await;
        backend.wait_for(1).await;
        vhost.broker.remove_user(&user);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_virtual_host_is_said_once_with_the_brokers_code_and_text() {
    on_every_release(|vhost| async move {
        let url = format!("amqp://guest:guest@127.0.0.1:{}/nowhere", vhost.broker.amqp_port);
        let daemon = talkative([&Agent::between("orders", &url, "http://127.0.0.1:9")]).await;
        is_said_once(
            &daemon,
            "orders",
            &["closed the connection: 530 NOT_ALLOWED", "vhost nowhere not found"],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_user_without_rights_is_said_once_with_403_and_the_brokers_text() {
    on_every_release(|vhost| async move {
        let user = vhost.name.clone();
        vhost.broker.add_user(&user, "word");
        vhost.permit(&user, "^$", ".*", ".*");
        let url = vhost.url_as(&user, "word", vhost.broker.amqp_port);
        let daemon = talkative([&Agent::between("orders", &url, "http://127.0.0.1:9")]).await;
        is_said_once(&daemon, "orders", &["403 ACCESS_REFUSED", "queue 'orders'"]).await;
        vhost.broker.remove_user(&user);
    })
    .await;
}

#[tokio::test]
async fn a_missing_queue_is_said_once_with_404_whether_it_is_declared_passively_or_not_at_all() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agents = ["passive", "skip"].map(|declare| {
            Agent::new(declare, &vhost, &backend).set("async/amqp.declare", declare)
        });
        let daemon = talkative(&agents).await;
        is_said_once(&daemon, "passive", &["404 NOT_FOUND", "no queue 'passive'"]).await;
        is_said_once(&daemon, "skip", &["404 NOT_FOUND", "no queue 'skip'"]).await;
        assert_eq!(vhost.queue("passive"), None);
    })
    .await;
}

#[tokio::test]
async fn an_exchange_of_another_type_is_said_once_with_406_and_what_differs() {
    on_every_release(|vhost| async move {
        vhost.declare_exchange("shop", "fanout");
        let agent = Agent::new("orders", &vhost, &Backend::start())
            .set("async/amqp.exchange", "shop")
            .set("consumer.topic", "#");
        let daemon = talkative([&agent]).await;
        let fragments = ["406 PRECONDITION_FAILED", "'type' for exchange 'shop'", "fanout"];
        is_said_once(&daemon, "orders", &fragments).await;
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_exists_otherwise_is_said_once_with_406_and_what_differs() {
    on_every_release(|vhost| async move {
        vhost.declare_queue_with("orders", &json!({ "x-max-length": 5 }));
        let agent = Agent::new("orders", &vhost, &Backend::start())
            .set("async/amqp.arguments.x-max-length", 6);
        let daemon = talkative([&agent]).await;
        let fragments = ["406 PRECONDITION_FAILED", "'x-max-length' for queue 'orders'"];
        is_said_once(&daemon, "orders", &fragments).await;
        // The queue is as it was.
        assert_eq!(find(&vhost, "queues", "orders")["arguments"]["x-max-length"], 5);
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_somebody_else_uses_exclusively_is_taken_up_when_they_leave() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.durable", false)
            .set("async/amqp.exclusive", true);
        let mut first = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let second = Daemon::running([&agent]).await;
        second.wait_for_log(&["no session", "405 RESOURCE_LOCKED", "'orders'", "WARN"]).await;
        first.stop().await;
        second.wait_for_log(&["\"message\":\"consuming\""]).await;
        Publisher::connect(&vhost).await.publish(Message::to("orders", "1")).await;
        backend.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn max_retries_used_up_stops_that_agent_alone_loudly() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let dead = Backend::refusing();
        let url = vhost.url_by(dead.port());
        let gives_up =
            Agent::between("given-up", &url, &backend.url()).set("connection.max_retries", 2);
        let goes_on = Agent::new("going-on", &vhost, &backend);
        let daemon = Daemon::running([&gives_up, &goes_on]).await;
        let agent = "\"agent\":\"given-up\"";
        let line = daemon.wait_for_log(&["connection.max_retries is used up", agent]).await;
        assert!(line.contains("\"level\":\"ERROR\""), "{line}");
        assert!(line.contains("\"tries\":3"), "{line}");
        assert!(line.contains("onnection refused"), "{line}");
        daemon.notifications().wait_for(0, &["1 stopped", "1 consuming"]).await;
        vhost.wait_for_consumer("going-on").await;
        Publisher::connect(&vhost).await.publish(Message::to("going-on", "1")).await;
        backend.wait_for(1).await;
    })
    .await;
}

// ------------------------------------------------------------------------------ addressing

#[tokio::test]
async fn a_virtual_host_may_have_any_name() {
    on_every_release(|vhost| async move {
        let odd = Vhost::create(&vhost.broker, "a/b ü%?#@:");
        let backend = Backend::start();
        let _daemon = Daemon::running([&Agent::new("orders", &odd, &backend)]).await;
        odd.wait_for_consumer("orders").await;
        Publisher::connect(&odd).await.publish(Message::to("orders", "1")).await;
        backend.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn user_and_password_may_hold_any_character_and_the_password_is_not_logged() {
    on_every_release(|vhost| async move {
        for (number, mechanism) in ["plain", "amqplain"].into_iter().enumerate() {
            let user = format!("us er:ö@/{number} {}", vhost.name);
            let password = "p\u{e4}ss:w@rd/%41#?&=\u{1f511}";
            vhost.broker.add_user(&user, password);
            vhost.permit(&user, ".*", ".*", ".*");
            let url = vhost.url_as(&user, password, vhost.broker.amqp_port);
            let url = format!("{url}?auth_mechanism={mechanism}");
            let backend = Backend::start();
            let agent = Agent::between(mechanism, &url, &backend.url());
            let daemon = talkative([&agent]).await;
            vhost.wait_for_consumer(mechanism).await;
            daemon.wait_for_log(&["consuming", &user]).await;
            Publisher::connect(&vhost).await.publish(Message::to(mechanism, "1")).await;
            backend.wait_for(1).await;
            let encoded = segment(password);
            for line in daemon.log().lines() {
                assert!(!line.contains("w@rd") && !line.contains(&encoded), "{line}");
            }
            vhost.broker.remove_user(&user);
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_of_brokers_is_tried_in_order_each_time() {
    on_every_release(|vhost| async move {
        let mut first = Proxy::to(vhost.broker.amqp_port);
        let second = Proxy::to(vhost.broker.amqp_port);
        first.refuse().await;
        let backend = Backend::start();
        let urls = vec![vhost.url_by(first.port()), vhost.url_by(second.port())];
        let agent = Agent::between("orders", "", &backend.url()).set("async/amqp.host", urls);
        let daemon = Daemon::running([&agent]).await;
        let port = |proxy: &Proxy| format!("\"broker\":\"127.0.0.1:{}\"", proxy.port());
        daemon.wait_for_log(&["\"message\":\"consuming\"", &port(&second)]).await;
        assert_eq!((first.connections(), second.connections()), (0, 1));
        // Failing over is nothing to be loud about.
        assert!(daemon.log().with(0, &["WARN"]).is_empty());
        first.listen();
        second.reset();
        daemon.wait_for_log(&["\"message\":\"consuming\"", &port(&first)]).await;
        assert_eq!((first.connections(), second.connections()), (1, 1));
        Publisher::connect(&vhost).await.publish(Message::to("orders", "1")).await;
        backend.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn each_broker_of_a_list_is_named_with_its_own_reason_and_none_waits_for_another() {
    on_every_release(|vhost| async move {
        let mut second = Proxy::to(vhost.broker.amqp_port);
        second.refuse().await;
        let first = vhost.url_as("nobody", "knows", vhost.broker.amqp_port);
        let backend = Backend::start();
        let urls = vec![first, vhost.url_by(second.port())];
        let agent = Agent::between("orders", "", &backend.url()).set("async/amqp.host", urls);
        let daemon = talkative([&agent]).await;
        let broker = |port: u16| format!("\"broker\":\"127.0.0.1:{port}\"");
        let (port, text) = (vhost.broker.amqp_port, "while logging in");
        daemon.wait_for_log(&["ERROR", "no session", text, &broker(port)]).await;
        let text = "onnection refused";
        daemon.wait_for_log(&["WARN", "no session", text, &broker(second.port())]).await;
        daemon.wait_for_log(&["DEBUG", "no session", "\"tries\":2"]).await;
        second.listen();
        daemon.wait_for_log(&["\"message\":\"consuming\"", &broker(second.port())]).await;
        for level in ["WARN", "ERROR"] {
            assert_eq!(daemon.log().with(0, &[level]).len(), 1, "{level}");
        }
    })
    .await;
}

// ------------------------------------------------------------------------------------- TLS

/// An agent that speaks TLS to the broker, by what stands in `host` and follows the vhost.
fn by_tls(vhost: &Vhost, host: &str, query: &str, backend: &Backend) -> Agent {
    let (port, name) = (vhost.broker.amqps_port, vhost.segment());
    let url = format!("amqps://guest:guest@{host}:{port}/{name}{query}");
    Agent::between("orders", &url, &backend.url())
}

fn tls_file(broker: &Broker, name: &str) -> String {
    broker.tls_dir.join(name).to_str().unwrap().to_owned()
}

async fn delivers(vhost: &Vhost, backend: &Backend) {
    vhost.wait_for_consumer("orders").await;
    Publisher::connect(vhost).await.publish(Message::to("orders", "1")).await;
    backend.wait_for(1).await;
}

#[tokio::test]
async fn a_broker_is_spoken_to_by_tls_with_an_own_ca() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = by_tls(&vhost, "localhost", "", &backend)
            .set("async/amqp.tls.ca", tls_file(&vhost.broker, "ca.pem"));
        let daemon = Daemon::running([&agent]).await;
        delivers(&vhost, &backend).await;
        assert_eq!(connection(&vhost).await["ssl"], true);
        daemon.wait_for_log(&["consuming", "\"tls\":true"]).await;
    })
    .await;
}

#[tokio::test]
async fn copies_go_by_tls_as_their_messages_came() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(422));
        let agent = by_tls(&vhost, "localhost", "", &backend)
            .set("async/amqp.tls.ca", tls_file(&vhost.broker, "ca.pem"));
        let daemon = Daemon::running([&agent]).await;
        delivers(&vhost, &backend).await;
        daemon.wait_for_log(&["not delivered", "dead-lettered", "orders.dead"]).await;
        let names = ["amqp-agentd.orders@", "amqp-agentd copies@"];
        for connection in vhost.connections() {
            let name = connection["client_properties"]["connection_name"].as_str();
            if names.iter().any(|ours| name.is_some_and(|name| name.starts_with(ours))) {
                assert_eq!(connection["ssl"], true, "{name:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_of_a_ca_that_is_not_trusted_is_refused_and_said_so() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("other-ca.pem");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&ca, other.cert.pem()).unwrap();
        let agent = by_tls(&vhost, "localhost", "", &backend)
            .set("async/amqp.tls.ca", ca.to_str().unwrap());
        let daemon = Daemon::running([&agent]).await;
        let line = daemon.wait_for_log(&["no session", "certificate"]).await;
        assert!(line.contains("UnknownIssuer"), "{line}");
    })
    .await;
}

#[tokio::test]
async fn the_server_name_of_the_file_is_checked_in_place_of_the_hosts() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let ca = tls_file(&vhost.broker, "ca.pem");
        let agent = by_tls(&vhost, "127.0.0.1", "", &backend).set("async/amqp.tls.ca", ca);
        let mistaken = agent.clone().set("async/amqp.tls.server_name", "rabbit.example");
        let daemon = Daemon::running([&mistaken]).await;
        daemon.wait_for_log(&["no session", "certificate", "rabbit.example"]).await;
        daemon.write(&agent.set("async/amqp.tls.server_name", "localhost"));
        daemon.reload().await;
        delivers(&vhost, &backend).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_certificate_alone_logs_in_where_external_is_asked_for() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let query = format!(
            "?auth_mechanism=EXTERNAL&cacertfile={}&certfile={}&keyfile={}",
            segment(&tls_file(&vhost.broker, "ca.pem")),
            segment(&tls_file(&vhost.broker, "client.pem")),
            segment(&tls_file(&vhost.broker, "client.key")),
        );
        let (port, name) = (vhost.broker.amqps_port, vhost.segment());
        let url = format!("amqps://localhost:{port}/{name}{query}");
        let agent = Agent::between("orders", &url, &backend.url());
        let daemon = Daemon::running([&agent]).await;
        delivers(&vhost, &backend).await;
        let connection = connection(&vhost).await;
        assert_eq!(connection["auth_mechanism"], "EXTERNAL");
        assert_eq!(connection["user"], "guest");
        assert_eq!(connection["peer_cert_subject"], "CN=guest");
        daemon.wait_for_log(&["consuming", "by certificate"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_beside_a_password_too() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = by_tls(&vhost, "localhost", "", &backend)
            .set("async/amqp.tls.ca", tls_file(&vhost.broker, "ca.pem"))
            .set("async/amqp.tls.cert", tls_file(&vhost.broker, "client.pem"))
            .set("async/amqp.tls.key", tls_file(&vhost.broker, "client.key"));
        let _daemon = Daemon::running([&agent]).await;
        delivers(&vhost, &backend).await;
        let connection = connection(&vhost).await;
        assert_eq!(connection["auth_mechanism"], "PLAIN");
        assert_eq!(connection["peer_cert_subject"], "CN=guest");
    })
    .await;
}

#[tokio::test]
async fn plain_amqp_to_a_tls_port_and_tls_to_a_plain_port_are_said_and_tried_again() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let plain = Agent::between("plain", &vhost.url_by(vhost.broker.amqps_port), &backend.url());
        let url = vhost.url().replacen("amqp:", "amqps:", 1);
        let secure = Agent::between("secure", &url, &backend.url())
            .set("async/amqp.tls.ca", tls_file(&vhost.broker, "ca.pem"));
        let daemon = talkative([&plain, &secure]).await;
        for agent in ["plain", "secure"] {
            let agent = format!("\"agent\":\"{agent}\"");
            let line = daemon.wait_for_log(&["WARN", "no session: no connection", &agent]).await;
            assert!(!line.contains("logging in"), "{line}");
            daemon.wait_for_log(&["DEBUG", "no session", &agent, "\"tries\":2"]).await;
        }
    })
    .await;
}

// --------------------------------------------------------------------------------- helpers

fn find(vhost: &Vhost, kind: &str, name: &str) -> Value {
    vhost.broker.management.get(&format!("{kind}/{}/{}", vhost.segment(), segment(name)))
}

/// The keys by which `queue` is bound to `exchange`.
fn bindings(vhost: &Vhost, exchange: &str, queue: &str) -> Vec<String> {
    let path = format!("bindings/{}/e/{exchange}/q/{queue}", vhost.segment());
    let all = vhost.broker.management.get(&path);
    let keys = all.as_array().unwrap().iter();
    let mut keys: Vec<_> =
        keys.map(|one| one["routing_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

/// The one consumer of a queue, as the management interface tells of it.
async fn consumer(vhost: &Vhost, queue: &str) -> Value {
    eventually("the queue's consumer", || {
        let mut all = vhost.consumers();
        all.retain(|consumer| consumer["queue"]["name"] == queue);
        if all.len() == 1 { Ok(all.remove(0)) } else { Err(format!("{all:?}")) }
    })
    .await
}

/// The one connection of an agent, as the management interface tells of it.
async fn connection(vhost: &Vhost) -> Value {
    let name = vhost.wait_for_connections(1).await.remove(0);
    eventually("the connection's details", || {
        let path = format!("connections/{}", segment(&name));
        let found = vhost.broker.management.find(&path).unwrap_or_default();
        if found["timeout"].is_u64() && found["user_provided_name"].is_string() {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    })
    .await
}
