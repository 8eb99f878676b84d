//! `explain`: what it says is what the daemon then does.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::backend::Request;
use crate::support::wait::within;
use crate::support::{
    Agent, Backend, Broker, Daemon, Message, Publisher, Reply, Scene, Vhost, on_every_release,
};

/// Runs `explain` on the agents of a directory, with `input` on standard input.
async fn explain(agents: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.arg("explain").args(arguments).arg("--agents").arg(agents);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("AMQP_AGENTD_LOG").env("EXPLAIN_TOKEN", "hunter2").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the daemon was built");
    let mut stdin = child.stdin.take().unwrap();
    // One that wants no input may have ended.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    within("explain", child.wait_with_output()).await.unwrap()
}

/// The JSON that it prints.
async fn explained(agents: &Path, arguments: &[&str], input: &str) -> Value {
    let output = explain(agents, &[arguments, &["--json"]].concat(), input).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What `explain` says of a request, as a backend sees it; a value that is not shown is taken from
/// `seen`, where it must not be empty.
fn told(told: &Value, seen: &Request) -> Request {
    let request = &told["request"];
    let headers = request["headers"].as_array().unwrap().iter().map(|header| {
        let name = header["name"].as_str().unwrap();
        let value = header["value"].as_str().map(str::to_owned);
        assert_eq!(header["secret"], json!(value.is_none()), "{name}");
        let value = value.unwrap_or_else(|| {
            assert_eq!(name, "x-token", "only what was put in is not shown");
            seen.header(name).expect("it was sent").to_owned()
        });
        (name.to_owned(), value)
    });
    Request {
        method: request["method"].as_str().unwrap().to_owned(),
        path: request["target"].as_str().unwrap().to_owned(),
        headers: headers.collect(),
        body: request["body"].as_str().unwrap().as_bytes().to_vec(),
        ..seen.clone()
    }
}

/// A message with all that a message may have.
fn message(body: &str) -> Message {
    Message::through("shop", "order.created", body)
        .message_id("one")
        .content_type("application/json")
        .content_encoding("identity")
        .correlation_id("c-1")
        .message_type("order")
        .app_id("shop")
        .reply_to("answers")
        .timestamp(1_700_000_000)
        .priority(3)
        .expiration("60000")
        .header("tenant", "acme")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .raw_header("yes", b't', &[1])
        .raw_header("count", b'l', &5_i64.to_be_bytes())
        .raw_header("half", b'd', &0.5_f64.to_be_bytes())
}

/// The same as the management interface shows it.
fn shown(body: &str) -> Value {
    json!([{
        "payload": body, "payload_encoding": "string", "payload_bytes": body.len(),
        "message_count": 0, "redelivered": false,
        "exchange": "shop", "routing_key": "order.created",
        "properties": {
            "message_id": "one", "content_type": "application/json",
            "content_encoding": "identity", "correlation_id": "c-1", "type": "order",
            "app_id": "shop", "reply_to": "answers", "timestamp": 1_700_000_000, "priority": 3,
            "expiration": "60000", "delivery_mode": 2,
            "headers": {
                "tenant": "acme", "yes": true, "count": 5, "half": 0.5,
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            },
        },
    }])
}

#[tokio::test]
async fn a_request_is_what_the_backend_then_receives_header_by_header() {
    const METHODS: [&str; 5] = ["POST", "PUT", "GET", "DELETE", "PURGE"];
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut agent = Agent::new("orders", &vhost, &backend)
        .set("async/amqp.exchange", "shop")
        .set("consumer.topic", "order.#")
        .set_backend("required", true);
    for method in METHODS {
        let headers = toml::toml! {
            Content-Type = "application/x-own"
            X-Tenant = "acme"
            X-Token = "Bearer ${env:EXPLAIN_TOKEN}"
        };
        let keys = [
            ("name", method.into()),
            ("method", method.into()),
            ("url_pattern", format!("/{method}?to=a%20b").into()),
            ("required", (method != "PURGE").into()),
        ];
        agent = agent.backend(&backend.url(), &keys);
        if method == "PUT" {
            agent = agent.set_backend("headers", headers);
        }
    }
    let mut daemon = Daemon::new();
    daemon.set_environment("EXPLAIN_TOKEN", "hunter2");
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    for body in ["{\"id\": 7}\n", ""] {
        let (message, shown) = (message(body), shown(body));
        let before = backend.requests().len();
        scene.publisher.publish(message).await;
        let seen = backend.wait_for(before + METHODS.len() + 1).await.split_off(before);
        let arguments = ["orders", "--message", "-"];
        let explained = explained(&scene.daemon.agents_dir(), &arguments, &shown.to_string()).await;
        assert!(!explained.to_string().contains("hunter2"), "{explained}");
        let requests = explained["requests"].as_array().unwrap();
        assert_eq!(requests.len(), seen.len());
        for request in requests {
            let target = &request["request"]["target"];
            let seen = seen.iter().find(|seen| *target == seen.path).expect("it was sent");
            assert_eq!(told(request, seen), *seen);
        }
    }
    scene.end(0).await;
}

/// The numbers of the requests, as the backend saw them.
fn attempts_seen(backend: &Backend) -> Vec<String> {
    let requests = backend.requests();
    requests.iter().map(|request| request.header("x-amqp-attempt").unwrap().to_owned()).collect()
}

/// The numbers of the requests, as the story has them.
fn attempts_told(story: &Value) -> Vec<String> {
    let steps = story["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["event"] == "tried").map(|step| step["attempt"].to_string()).collect()
}

/// Runs a daemon against a backend that always answers with `status`, and compares.
async fn does_what_was_said(vhost: Vhost, agent: &Agent, backend: &Backend, status: &str) {
    let queue = agent.name.clone();
    let mut scene = Scene::of(vhost, agent).await;
    let arguments = [queue.as_str(), "--reply", status];
    let story = explained(&scene.daemon.agents_dir(), &arguments, "").await["story"].take();
    scene.publish(["one"]).await;
    if let Some(dead) = story["ending"]["routing_key"].as_str() {
        scene.wait_for_depth_of(dead, 1).await;
        let dead = &scene.vhost.peek(dead, 1)[0]["properties"]["headers"];
        assert_eq!(dead["x-agent-reason"], story["ending"]["reason"], "{story}");
        assert_eq!(dead["x-agent-tries"], story["requests"], "{story}");
    } else {
        scene.daemon.wait_for_log(&["not delivered", "discarded"]).await;
    }
    assert_eq!(attempts_seen(backend), attempts_told(&story), "{story}");
    for step in story["steps"].as_array().unwrap() {
        if let Some(delay) = step["queue"].as_str() {
            scene.vhost.wait_for_queue(delay, "a declaration", |_| true).await;
        }
    }
    scene.end(0).await;
}

#[tokio::test]
async fn a_message_that_always_fails_goes_the_way_that_was_told() {
    on_every_release(|vhost| async move {
        let backend = |status| Backend::replying(move |_| Reply::status(status));
        for kind in ["classic", "quorum"] {
            let (vhost, backend) = (vhost.broker.vhost(), backend(503));
            let agent = Agent::new("orders", &vhost, &backend)
                .set("async/amqp.queue_type", kind)
                .set("retry.attempts", 3)
                .set("retry.in_place", 1)
                .set("retry.delays", vec!["100ms", "200ms"]);
            does_what_was_said(vhost, &agent, &backend, "503").await;
        }
        for (status, kind, strategy) in [
            ("503", "classic", "in_place"),
            ("500", "quorum", "requeue"),
            ("404", "classic", "queue"),
            ("422", "quorum", "queue"),
            ("500", "quorum", "native"),
        ] {
            if strategy == "native" && vhost.broker.release < 4 {
                continue;
            }
            let (vhost, backend) = (vhost.broker.vhost(), backend(status.parse().unwrap()));
            let agent = Agent::new("orders", &vhost, &backend)
                .set("async/amqp.queue_type", kind)
                .set("retry.strategy", strategy)
                .set("retry.attempts", 3)
                .set("retry.in_place", 0);
            does_what_was_said(vhost, &agent, &backend, status).await;
        }
        let (vhost, backend) = (vhost.broker.vhost(), backend(503));
        let agent = Agent::new("orders", &vhost, &backend).set("async/amqp.nack_discard", true);
        does_what_was_said(vhost, &agent, &backend, "503").await;
    })
    .await;
}

#[tokio::test]
async fn a_hold_and_a_backend_that_recovers_go_the_way_that_was_told() {
    let vhost = Broker::any().vhost();
    let turning_away = |times: usize, status: u16| {
        Backend::replying(move |request| {
            Reply::status(if request.number <= times { status } else { 204 })
        })
    };
    let (first, second) = (turning_away(4, 401), turning_away(2, 503));
    let agent = Agent::new("orders", &vhost, &first)
        .set_backend("name", "first")
        .backend(&second.url(), &[("name", "second".into())])
        .set("dispatch.mode", "sequential")
        .set("retry.in_place", 0);
    let mut scene = Scene::of(vhost, &agent).await;
    let mut arguments = vec!["orders"];
    for reply in [["first=401"; 4].as_slice(), &["first=204"]].concat() {
        arguments.extend(["--reply", reply]);
    }
    for reply in
        [["second=204"; 4].as_slice(), &["second=503", "second=503", "second=204"]].concat()
    {
        arguments.extend(["--reply", reply]);
    }
    let story = explained(&scene.daemon.agents_dir(), &arguments, "").await["story"].take();
    assert_eq!(story["ending"]["how"], "delivered", "{story}");
    let told = |name: &str| {
        let steps = story["steps"].as_array().unwrap().iter();
        let said = steps.filter_map(|step| step["said"].as_array()).flatten();
        said.filter(|said| said["backend"] == name).count()
    };
    assert_eq!((told("first"), told("second")), (5, 3), "{story}");
    scene.publish(["one"]).await;
    second.wait_for(3).await;
    scene.daemon.wait_for_log(&["delivered at last", r#""message_id":"one""#]).await;
    assert_eq!((first.requests().len(), second.requests().len()), (5, 3));
    scene.wait_for_lines(1, &["backend unwell, holding"]).await;
    let holds = story["steps"].as_array().unwrap().iter();
    assert_eq!(holds.filter(|step| step["event"] == "hold_began").count(), 1, "{story}");
    scene.end(0).await;
}

#[tokio::test]
async fn a_peek_leaves_the_queue_as_it_is() {
    on_every_release(|vhost| async move {
        for kind in ["classic", "quorum"] {
            let vhost = vhost.broker.vhost();
            // Such a queue puts at its end what comes back.
            let moves = kind == "quorum" && vhost.broker.release < 4;
            let backend = Backend::start();
            vhost.declare_queue_with("orders", &json!({ "x-queue-type": kind }));
            let files =
                agents(
                    &[Agent::new("orders", &vhost, &backend).set("async/amqp.queue_type", kind)],
                );
            let mut publisher = Publisher::connect(&vhost).await;
            for body in ["one", "two", "three"] {
                publisher.publish(Message::to("orders", body).message_id(body)).await;
            }
            let mut first = "one".to_owned();
            for _ in 0..2 {
                let explained = explained(files.path(), &["orders", "--peek"], "").await;
                assert_eq!(explained["message"]["message_id"], first, "{kind}: {explained}");
                assert_eq!(explained["requests"][0]["request"]["body"], first);
                publisher.wait_for_ready("orders", 3).await;
                first = if moves { "two" } else { "one" }.to_owned();
            }
            let mut left = Vec::new();
            while let Some((_, body)) = publisher.get("orders").await {
                left.push(String::from_utf8(body).unwrap());
            }
            let order = if moves { ["three", "one", "two"] } else { ["one", "two", "three"] };
            assert_eq!(left, order, "{kind}");
            let output = explain(files.path(), &["orders", "--peek"], "").await;
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("no message is waiting in `orders`"), "{said}");
            assert!(backend.requests().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_one_more_look_would_end_is_not_lost() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let arguments = json!({ "x-queue-type": "quorum", "x-delivery-limit": 1 });
        vhost.declare_queue_with("orders", &arguments);
        let mut limit = toml::Table::new();
        limit.insert("x-delivery-limit".to_owned(), 1.into());
        let agent = Agent::new("orders", &vhost, &backend)
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.arguments", limit);
        let files = agents(&[agent]);
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish(Message::to("orders", "one").message_id("one").header("a", "b")).await;
        for _ in 0..4 {
            let explained = explained(files.path(), &["orders", "--peek"], "").await;
            assert_eq!(explained["message"]["message_id"], "one", "{explained}");
            publisher.wait_for_ready("orders", 1).await;
        }
        let (_, body) = publisher.get("orders").await.expect("it is still there");
        assert_eq!(body, b"one");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_shown_is_said_with_its_reason() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let files = agents(&[
        Agent::new("orders", &vhost, &backend),
        Agent::new("history", &vhost, &backend).set("async/amqp.queue_type", "stream"),
        Agent::between("nowhere", "amqp://127.0.0.1:1/", &backend.url()),
    ]);
    std::fs::write(files.path().join("broken.toml"), "[consumer]\nworkers = 0\n").unwrap();
    for (arguments, input, code, words) in [
        (&["letters"][..], "", 64, &["no agent `letters`", "history, nowhere, orders"][..]),
        (&["orders", "--reply", "teapot"], "", 64, &["a status, 200 to 599, or timeout"]),
        (&["orders", "--reply", "shop=500"], "", 64, &["no backend is named `shop`"]),
        (&["orders", "--retry-after", "5"], "", 64, &["--reply"]),
        (&["orders", "--peek", "--message", "-"], "", 64, &["cannot be used with"]),
        (
            &["orders", "--message", "-"],
            "{\"playload\": 1}",
            78,
            &["standard input:1:", "`payload`?"],
        ),
        (&["orders", "--message", "/nowhere/m.json"], "", 78, &["/nowhere/m.json: "]),
        (&["broken"], "", 78, &["broken.toml:2:11: "]),
        (&["history", "--peek"], "", 1, &["a stream gives no single message away"]),
        (&["nowhere", "--peek"], "", 1, &["no broker could be asked: 127.0.0.1:1: "]),
        (&["orders", "--peek"], "", 1, &["404"]),
    ] {
        let output = explain(files.path(), arguments, input).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn credentials_need_not_be_there_and_nobody_is_asked() {
    let agent =
        Agent::between("orders", "amqp://shop:${cred:amqp}@127.0.0.1:1/", "http://127.0.0.1:1")
            .set_backend("headers", toml::toml! { Authorization = "Bearer ${cred:token}" });
    let files = agents(&[agent]);
    let output = explain(files.path(), &["orders", "--reply", "refused"], "").await;
    let (text, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in
        ["POST / HTTP/1.1\n", "\nauthorization: <secret>\n", "hold: 127.0.0.1:1 cannot be reached"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// A directory with the files of these agents.
fn agents(agents: &[Agent]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for agent in agents {
        let path = dir.path().join(format!("{}.toml", agent.name));
        std::fs::write(path, agent.to_string()).unwrap();
    }
    dir
}
