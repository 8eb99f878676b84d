//! The admin interface: what it shows is so, what it is told is done, and no guest is in the way.

use serde_json::Value;

use crate::support::admin::{Admin, Answer};
use crate::support::backend::Request;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Proxy, Publisher, Reply, Scene,
};

/// A daemon that answers by TCP too; the port is the system's choice.
fn with_listen(allow_control: bool) -> Daemon {
    let mut daemon = Daemon::new();
    let mut admin = toml::toml! { listen = "0" };
    admin.insert("socket".to_owned(), daemon.admin_socket().display().to_string().into());
    admin.insert("allow_control".to_owned(), allow_control.into());
    daemon.set_main("admin", admin);
    daemon
}

/// The address that the daemon says it answers at.
async fn tcp(daemon: &Daemon) -> Admin {
    // The daemon may say that it is ready before the line has come.
    let line = daemon.wait_for_log(&[r#""message":"started""#]).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let places = line["admin"].as_str().unwrap();
    Admin::Tcp(places.split(", ").nth(1).expect("it listens").to_owned())
}

fn states(answer: &Answer) -> Vec<(String, String)> {
    let agents = answer.json()["agents"].as_array().unwrap().clone();
    let word = |agent: &Value, key: &str| agent[key].as_str().unwrap().to_owned();
    agents.iter().map(|agent| (word(agent, "name"), word(agent, "state"))).collect()
}

#[tokio::test]
async fn every_endpoint_answers_over_socket_and_tcp() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("orders", &vhost, &backend);
    let mut scene = Scene::with(with_listen(false), vhost, &agent).await;
    scene.publish(1..=3).await;
    backend.wait_for(3).await;
    let socket = scene.daemon.admin();
    for admin in [socket, tcp(&scene.daemon).await] {
        let whole = admin
            .wait_for("/agents", "three that are delivered", |answer| {
                let agent = &answer.json()["agents"][0];
                // What is held is told when the turn is over that counts the last of them.
                agent["counts"]["delivered"] == 3 && agent["held"] == 0
            })
            .await;
        assert_eq!(whole.header("content-type"), Some("application/json"));
        assert_eq!(whole.json()["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(whole.json()["pid"], scene.daemon.pid());
        assert_eq!(whole.json()["loaded"]["started"], 1);
        let one = admin.get("/agents/orders").await.json();
        assert_eq!(one["state"], "consuming");
        assert_eq!(one["queue"], "orders");
        assert_eq!(one["held"], 0);
        assert_eq!(one["backends"][0]["requests"]["2xx"]["delivered"], 3);
        assert_eq!(one["backends"][0]["hosts"][0], backend.url().trim_end_matches('/'));
        let live = admin.get("/livez").await;
        assert_eq!((live.status, live.body.as_str()), (200, "ok\n"));
        let ready = admin.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["ready"]), (200, &Value::Bool(true)));
        assert_eq!(states(&ready), [("orders".to_owned(), "consuming".to_owned())]);
        let health = admin.get("/__health").await.json();
        assert_eq!(health["status"], "ok");
        assert!(health["agents"]["orders"].is_string() && health["now"].is_string(), "{health}");
        let metrics = admin.get("/metrics").await;
        assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        assert!(metrics.body.contains("amqp_agentd_"), "{}", metrics.body);
        let open =
            admin.ask_with("GET", "/metrics", "Accept: application/openmetrics-text\r\n").await;
        assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
        assert!(admin.get("/").await.body.contains("/agents/{name}/pause"));
        assert_eq!(admin.get("/openapi.json").await.json()["openapi"], "3.1.0");
    }
    scene.end(0).await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_what_is_right() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
    let admin = daemon.admin();
    let unknown = admin.get("/agents/nobody").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.header("content-type"), Some("application/problem+json"));
    assert_eq!(unknown.json()["agents"][0], "orders");
    assert_eq!(admin.post("/agents/nobody/pause").await.json()["agents"][0], "orders");
    assert_eq!(admin.get("/nowhere").await.json()["status"], 404);
    for (method, path, allow) in [
        ("POST", "/livez", "get,head"),
        ("GET", "/reload", "post"),
        ("HEAD", "/agents/orders/pause", "post"),
        ("DELETE", "/agents/orders", "get,head"),
        ("OPTIONS", "/metrics", "get,head"),
    ] {
        let answer = admin.ask_with(method, path, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    let whole = admin.get("/agents").await;
    let head = admin.ask_with("HEAD", "/agents", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), whole.header("content-type"));
    daemon.stop().await;
}

#[tokio::test]
async fn over_tcp_nothing_is_changed_unless_that_is_allowed_and_never_by_a_page() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("orders", &vhost, &backend);
    for allowed in [false, true] {
        let mut daemon = with_listen(allowed);
        daemon.write(&agent);
        daemon.start().await;
        let (admin, socket) = (tcp(&daemon).await, daemon.admin());
        for path in ["/agents/orders/pause", "/agents/orders/resume", "/reload"] {
            let answer = admin.post(path).await;
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{path}: {answer:?}");
            for header in ["Origin: http://127.0.0.1\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
                assert_eq!(admin.ask_with("POST", path, header).await.status, 403, "{path}");
            }
            assert_eq!(socket.post(path).await.status, 200, "{path}");
        }
        if !allowed {
            assert!(
                admin.post("/reload").await.json()["detail"].to_string().contains("allow_control")
            );
        }
        let rebound = admin.ask_with("GET", "/agents", "Host: evil.example\r\n").await;
        assert_eq!(rebound.status, 421);
        assert!(!rebound.body.contains("orders"), "{rebound:?}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_pause_finishes_what_is_in_flight_and_survives_a_reload_but_no_restart() {
    let vhost = Broker::any().vhost();
    let (backend, gate) = (Backend::start(), Gate::new());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    let agent = Agent::new("orders", &vhost, &backend)
        .set("consumer.workers", 2)
        .set("consumer.timeout", "1m")
        .set("async/amqp.prefetch_count", 5);
    let mut scene = Scene::of(vhost, &agent).await;
    let admin = scene.daemon.admin();
    scene.publish(1..=9).await;
    backend.wait_for_in_flight(2).await;

    assert_eq!(admin.post("/agents/orders/pause").await.json()["paused"], true);
    // The answer waits for the agent to hear of it, but not for long.
    let heard = admin.wait_for_state("orders", "paused").await;
    // Again is the same.
    let paused = admin.post("/agents/orders/pause").await.json();
    assert_eq!((&paused["state"], &paused["paused"]), (&"paused".into(), &true.into()));
    assert_eq!((&paused["in_flight"], &paused["since"]), (&2.into(), &heard["since"]));
    gate.open();
    admin
        .wait_for("/agents/orders", "two that are delivered", |answer| {
            answer.json()["counts"]["delivered"] == 2
        })
        .await;
    let ready = admin.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["agents"][0]["state"]), (200, &"paused".into()));
    assert_eq!(admin.get("/__health").await.json()["status"], "degraded");

    let reloaded = admin.post("/reload").await.json();
    assert_eq!((&reloaded["ok"], &reloaded["unchanged"]), (&true.into(), &1.into()));
    assert_eq!(admin.get("/agents/orders").await.json()["state"], "paused");
    // One that changed is another life, and paused as well.
    scene.daemon.write(&agent.clone().set("consumer.workers", 3));
    assert_eq!(admin.post("/reload").await.json()["changed"], 1);
    // Until the life before has heard of its end, what is shown is its state.
    scene.wait_for_lines(2, &["paused, finishing what is in flight"]).await;
    let changed = admin
        .wait_for("/agents/orders", "a paused life with 3 workers", |answer| {
            let agent = answer.json();
            agent["workers"] == 3 && agent["state"] == "paused"
        })
        .await;
    assert_eq!(changed.json()["counts"]["delivered"], 2, "it counts on");
    assert_eq!(backend.requests().len(), 2, "nothing was handed out");

    assert_eq!(admin.post("/agents/orders/resume").await.json()["paused"], false);
    admin.wait_for_state("orders", "consuming").await;
    let resumed = admin.post("/agents/orders/resume").await.json();
    assert_eq!((&resumed["state"], &resumed["paused"]), (&"consuming".into(), &false.into()));
    backend.wait_for(9).await;
    scene.wait_for_depth(0).await;

    admin.post("/agents/orders/pause").await;
    admin.wait_for_state("orders", "paused").await;
    scene.publish([10]).await;
    scene.daemon.stop().await;
    assert_eq!(backend.requests().len(), 9);
    scene.daemon.start().await;
    backend.wait_for(10).await;
    admin.wait_for_state("orders", "consuming").await;
    scene.end(0).await;
    let mut bodies: Vec<_> = backend.requests().iter().map(Request::text).collect();
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    let wanted: Vec<_> = (1..=10).map(|body| body.to_string()).collect();
    assert_eq!(bodies, wanted, "nothing is lost, and nothing came twice");
}

#[tokio::test]
async fn readiness_follows_an_outage_of_the_backend_and_of_the_broker() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    let mut broker = Proxy::to(vhost.broker.amqp_port);
    let agent = Agent::between("orders", &vhost.url_by(broker.port()), &backend.url());
    let mut scene = Scene::of(vhost, &agent).await;
    let admin = scene.daemon.admin();
    assert_eq!(admin.get("/readyz").await.status, 200);
    scene.publish([1]).await;
    let unready =
        admin.wait_for("/readyz", "a hold", |answer| answer.status == 503).await.json()["agents"]
            [0]
        .clone();
    assert_eq!((&unready["state"], &unready["ready"]), (&"holding".into(), &false.into()));
    assert!(unready["reason"].as_str().unwrap().contains("refused"), "{unready}");
    let health = admin.get("/__health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"degraded".into()));
    // What failed is told after the state that follows from it.
    let agent = admin
        .wait_for("/agents/orders", "what failed", |answer| {
            answer.json()["last_error"]["text"].is_string()
        })
        .await
        .json();
    assert_eq!(agent["backends"][0]["unreachable"], true);
    backend.listen();
    admin.wait_for("/readyz", "the end of the hold", |answer| answer.status == 200).await;

    broker.refuse().await;
    broker.reset();
    let unready = admin
        .wait_for("/readyz", "no session", |answer| answer.status == 503)
        .await
        .json()["agents"][0]
        .clone();
    assert_eq!(unready["state"], "connecting");
    let since = unready["since"].as_str().unwrap().to_owned();
    let health = admin.get("/__health").await.json();
    let alive = health["agents"]["orders"].as_str().unwrap();
    assert!(alive <= since.as_str(), "it is not alive since {since}, and was {alive}");
    broker.listen();
    admin.wait_for("/readyz", "a session", |answer| answer.status == 200).await;
    let ended = admin.get("/agents/orders").await.json()["sessions_ended"].clone();
    assert!(ended.as_object().is_some_and(|causes| !causes.is_empty()), "{ended}");
    assert_eq!(admin.get("/__health").await.json()["status"], "ok");
    scene.end(0).await;
}

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    const SECRETS: [&str; 5] =
        ["hunter2", "topsecret", "hook-token", "query-token", "header-token"];
    let vhost = Broker::any().vhost();
    let user = format!("user-{}", std::process::id());
    vhost.broker.add_user(&user, "hunter2");
    vhost.permit(&user, ".*", ".*", ".*");
    let (backend, unwell) = (Backend::start(), Backend::refusing());
    backend.reply_with(|_| Reply::status(422));
    let mut headers = toml::Table::new();
    headers.insert("Authorization".to_owned(), "Bearer header-token".into());
    let url = vhost.url_as(&user, "hunter2", vhost.broker.amqp_port);
    let agents = [
        Agent::between("orders", &url, &backend.url()),
        Agent::between("unwell", &url, &unwell.url()),
        Agent::between(
            "refused",
            &vhost.url_as(&user, "topsecret", vhost.broker.amqp_port),
            &backend.url(),
        ),
    ]
    .map(|agent| {
        agent
            .set_backend("url_pattern", "/hook-token?key=query-token")
            .set_backend("headers", headers.clone())
    });
    let mut daemon = Daemon::running(&agents).await;
    let admin = daemon.admin();
    let mut publisher = Publisher::connect(&vhost).await;
    for agent in ["orders", "unwell"] {
        admin.wait_for_state(agent, "consuming").await;
        publisher.publish(Message::to(agent, "1")).await;
    }
    admin.wait_for_state("unwell", "holding").await;
    admin
        .wait_for("/agents/refused", "a refused login", |answer| {
            answer.json()["last_error"].is_object()
        })
        .await;
    admin
        .wait_for("/agents/orders", "a dead letter", |answer| {
            answer.json()["last_error"].is_object()
        })
        .await;
    for path in ["/agents", "/agents/orders", "/readyz", "/__health", "/metrics"] {
        let answer = admin.get(path).await;
        for secret in SECRETS {
            assert!(!answer.body.contains(secret), "{path} shows {secret}: {}", answer.body);
        }
    }
    daemon.stop().await;
    vhost.broker.remove_user(&user);
}
