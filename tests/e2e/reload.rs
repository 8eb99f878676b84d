//! SIGHUP: what changed is replaced, what is unchanged is not touched, what is broken is told.

use serde_json::Value;
use toml::Table;

use crate::support::wait::eventually;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Proxy, Publisher, Reply, Vhost,
};

#[tokio::test]
async fn a_reload_touches_only_what_differs() {
    let vhost = Broker::any().vhost();
    let (backend, gate) = (Backend::start(), Gate::new());
    // What is in flight stays so for as long as the test takes.
    let agents = ["stays", "changes", "leaves"]
        .map(|name| Agent::new(name, &vhost, &backend).set("consumer.timeout", "2m"));
    let mut daemon = Daemon::running(&agents).await;
    for queue in ["stays", "changes", "leaves"] {
        // Its last line before the reload: one that came late would look like one of the reload.
        daemon.wait_for_log(&["\"consuming\"", &format!("\"agent\":\"{queue}\"")]).await;
        vhost.wait_for_consumer(queue).await;
    }
    let untouched = connection_of(&vhost, "stays").await;
    let mut publisher = Publisher::connect(&vhost).await;
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    publisher.publish(Message::to("changes", "in flight")).await;
    backend.wait_for_in_flight(1).await;

    let [_, changes, _] = &agents;
    daemon.write(&changes.clone().set("consumer.workers", 7));
    daemon.remove("leaves");
    daemon.write(&Agent::new("comes", &vhost, &backend));
    let from = daemon.log().lines().len();
    daemon.reload().await;

    daemon.log().wait_for(from, &["\"reloaded\"", "\"started\":1", "\"unchanged\":1"]).await;
    daemon.log().wait_for(from, &["consuming", "\"agent\":\"comes\""]).await;
    daemon.log().wait_for(from, &["\"stopped\"", "\"agent\":\"leaves\""]).await;
    // The one that changed first finishes what is in flight.
    let replaced = ["\"consuming\"", "\"agent\":\"changes\"", "\"workers\":7"];
    assert_eq!(daemon.log().with(from, &replaced), [""; 0]);
    gate.open();
    daemon.log().wait_for(from, &replaced).await;
    vhost.wait_until_empty("changes", 1).await;
    publisher.wait_for_depth("leaves", (0, 0)).await;
    publisher.wait_for_depth("comes", (0, 1)).await;
    assert_eq!(backend.requests().len(), 1, "what was in flight was finished, not repeated");
    assert_eq!(connection_of(&vhost, "stays").await, untouched);
    assert_eq!(daemon.log().with(from, &["\"agent\":\"stays\""]), [""; 0]);
    for queue in ["stays", "changes", "comes"] {
        publisher.publish(Message::to(queue, queue)).await;
    }
    backend.wait_for(4).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_agent_running_and_says_where_and_why() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agents = ["orders", "parcels"].map(|name| Agent::new(name, &vhost, &backend));
    let mut daemon = Daemon::running(&agents).await;
    vhost.wait_for_consumer("orders").await;
    let untouched = connection_of(&vhost, "orders").await;

    daemon.write_file("orders.toml", "[async/amqp]\nhost = 1\n");
    daemon.write(&Agent::new("new", &vhost, &backend));
    daemon.reload().await;
    daemon.wait_for_log(&["ERROR", "orders.toml:1:7: "]).await;
    daemon.wait_for_log(&["runs on as it was", "\"agent\":\"orders\""]).await;
    daemon.wait_for_log(&["\"reloaded\"", "\"broken_files\":1", "\"unchanged\":2"]).await;
    daemon.notifications().wait_for(0, &["STATUS=", "at the reload: 1 file broken"]).await;
    vhost.wait_for_consumer("new").await;
    assert_eq!(connection_of(&vhost, "orders").await, untouched);
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish(Message::to("orders", "to the old one")).await;
    backend.wait_for(1).await;

    // Mended, and a second time read from the broken state.
    daemon.write(&agents[0].clone().set("consumer.workers", 3));
    daemon.reload().await;
    daemon.wait_for_log(&["\"consuming\"", "\"agent\":\"orders\"", "\"workers\":3"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_broken_main_file_refuses_the_whole_reload() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
    vhost.wait_for_consumer("orders").await;
    daemon.write_file("../amqp-agentd.toml", "[daemon]\nthreads = \"many\"\n");
    daemon.write(&Agent::new("new", &vhost, &backend));
    // Done although it is refused: systemd would end a service whose reload never ends.
    daemon.reload().await;
    daemon.wait_for_log(&["ERROR", "amqp-agentd.toml:2:11: "]).await;
    daemon.wait_for_log(&["ERROR", "reload refused"]).await;
    daemon.notifications().wait_for(0, &["READY=1", "STATUS=", "reload refused"]).await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish(Message::to("orders", "still taken")).await;
    backend.wait_for(1).await;
    assert_eq!(daemon.log().with(0, &["\"agent\":\"new\""]), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_gone_is_no_wish_to_stop_every_agent() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::new();
    daemon.let_find_agents();
    daemon.write(&Agent::new("orders", &vhost, &backend));
    daemon.start().await;
    daemon.wait_for_log(&["\"consuming\""]).await;
    let away = daemon.agents_dir().with_extension("away");
    std::fs::rename(daemon.agents_dir(), &away).unwrap();
    daemon.reload().await;
    daemon.wait_for_log(&["ERROR", "reload refused", "agents.d is gone"]).await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish(Message::to("orders", "still taken")).await;
    backend.wait_for(1).await;
    std::fs::rename(&away, daemon.agents_dir()).unwrap();
    daemon.reload().await;
    daemon.wait_for_log(&["\"reloaded\"", "\"unchanged\":1"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn changed_settings_of_the_daemon_itself_wait_for_a_restart_and_say_so() {
    for (table, key, value) in
        [("daemon", "threads", toml::Value::from(2)), ("log", "level", "warn".into())]
    {
        let vhost = Broker::any().vhost();
        let backend = Backend::start();
        let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
        let mut settings = Table::new();
        settings.insert(key.to_owned(), value);
        daemon.set_main(table, settings);
        daemon.write(&Agent::new("new", &vhost, &backend));
        daemon.reload().await;
        daemon.wait_for_log(&["WARN", "takes a restart"]).await;
        // Agents are reloaded all the same, and the log's level is what it was.
        daemon.wait_for_log(&["INFO", "\"consuming\"", "\"agent\":\"new\""]).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn an_agent_that_gave_up_begins_again_at_a_reload() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut proxy = Proxy::to(vhost.broker.amqp_port);
    proxy.refuse().await;
    let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
        .set("connection.max_retries", 1);
    let mut daemon = Daemon::running([&agent]).await;
    daemon.wait_for_log(&["ERROR", "connection.max_retries is used up"]).await;
    daemon.notifications().wait_for(0, &["STATUS=1 agent: 1 stopped"]).await;
    proxy.listen();
    daemon.reload().await;
    daemon.wait_for_log(&["\"consuming\"", "\"agent\":\"orders\""]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn an_agent_that_gave_up_can_be_removed_by_a_reload() {
    let backend = Backend::start();
    let agent = Agent::between("orders", "amqp://127.0.0.1:1/", &backend.url())
        .set("connection.max_retries", 1);
    let mut daemon = Daemon::running([&agent]).await;
    daemon.wait_for_log(&["ERROR", "connection.max_retries is used up"]).await;
    daemon.remove("orders");
    daemon.reload().await;
    daemon.notifications().wait_for(0, &["STATUS=no agents"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_disabled_agent_is_stopped_by_a_reload_and_started_by_the_next() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("orders", &vhost, &backend);
    let mut daemon = Daemon::running([&agent]).await;
    vhost.wait_for_consumer("orders").await;
    daemon.write(&agent.clone().set("enabled", false));
    daemon.reload().await;
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.wait_for_depth("orders", (0, 0)).await;
    daemon.write(&agent);
    daemon.reload().await;
    publisher.wait_for_depth("orders", (0, 1)).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_and_a_rotated_certificate_replace_their_agents() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let ca = std::fs::read_to_string(vhost.broker.tls_dir.join("ca.pem")).unwrap();
    let mut headers = Table::new();
    headers.insert("X-Token".to_owned(), "${file:token}".into());
    let mut tls = Table::new();
    tls.insert("ca".to_owned(), "ca.pem".into());
    let with_secret = Agent::new("secret", &vhost, &backend).set_backend("headers", headers);
    let url = format!("amqps://127.0.0.1:{}/{}", vhost.broker.amqps_port, vhost.segment());
    let with_tls = Agent::between("tls", &url, &backend.url()).set("async/amqp.tls", tls);
    let mut daemon = Daemon::new();
    daemon.write_file("token", "one\n");
    daemon.write_file("ca.pem", &ca);
    daemon.write(&with_secret);
    daemon.write(&with_tls);
    daemon.start().await;
    for queue in ["secret", "tls"] {
        vhost.wait_for_consumer(queue).await;
    }
    daemon.reload().await;
    daemon.wait_for_log(&["\"reloaded\"", "\"changed\":0", "\"unchanged\":2"]).await;

    daemon.write_file("token", "two\n");
    daemon.write_file("ca.pem", &format!("{ca}\n{ca}"));
    daemon.reload().await;
    daemon.wait_for_log(&["\"reloaded\"", "\"changed\":2", "\"unchanged\":0"]).await;
    Publisher::connect(&vhost).await.publish(Message::to("secret", "hello")).await;
    let requests = backend.wait_for(1).await;
    assert_eq!(requests[0].header("x-token"), Some("two"));
    daemon.stop().await;
}

/// The name by which the broker knows an agent's connection: its two ends.
async fn connection_of(vhost: &Vhost, agent: &str) -> String {
    let wanted = format!("amqp-agentd.{agent}@");
    eventually(&format!("a connection of {agent}"), || {
        let connections = vhost.connections();
        let said = |connection: &&Value| {
            connection["user_provided_name"].as_str().is_some_and(|name| name.starts_with(&wanted))
        };
        let found: Vec<_> = connections.iter().filter(said).collect();
        match found.as_slice() {
            [one] => Ok(one["name"].as_str().unwrap_or_default().to_owned()),
            _ => Err(format!("{connections:?}")),
        }
    })
    .await
}
