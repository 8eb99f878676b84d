//! `check --online`, and the audit that a daemon writes in its log when an agent starts.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::support::vhost::Queue;
use crate::support::wait::within;
use crate::support::{
    Agent, Backend, Broker, Daemon, Message, PrivateNode, Publisher, Reply, Scene, Vhost,
    on_every_release,
};

/// An agent whose backend is never asked.
fn agent(vhost: &Vhost) -> Agent {
    agent_at(&vhost.url())
}

fn agent_at(broker: &str) -> Agent {
    Agent::between("orders", broker, "http://127.0.0.1:1")
}

fn passive(agent: Agent) -> Agent {
    agent.set("async/amqp.declare", "passive")
}

/// The same, which may ask the broker's management interface.
fn managed(agent: Agent, vhost: &Vhost) -> Agent {
    let url = format!("http://guest:guest@127.0.0.1:{}", vhost.broker.management.port);
    agent.set("async/amqp.management", url)
}

/// The exit code of `check --online` of one agent, and what it says.
async fn check(agent: &Agent) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("orders.toml"), agent.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.args(["check", "--online", "--agents"]).arg(dir.path());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within("the end of check --online", output).await.unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_sound_agent_passes_without_a_word() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        assert_eq!(check(&agent(&vhost)).await, (Some(0), String::new()));
        assert_eq!(check(&managed(agent(&vhost), &vhost)).await, (Some(0), String::new()));
    })
    .await;
}

#[tokio::test]
async fn what_does_not_exist_yet_is_said_and_not_declared() {
    on_every_release(|vhost| async move {
        let agent =
            agent(&vhost).set("async/amqp.exchange", "shop").set("consumer.topic", "order.*");
        let (code, said) = check(&agent).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("note: the queue does not exist; it is declared"), "{said}");
        assert!(said.contains("note: the exchange does not exist; it is declared"), "{said}");
        assert_eq!(vhost.queue("orders"), None);
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_missing_and_not_to_be_declared_is_an_error_with_its_place() {
    on_every_release(|vhost| async move {
        for declare in ["passive", "skip"] {
            let (code, said) = check(&agent(&vhost).set("async/amqp.declare", declare)).await;
            assert_eq!(code, Some(78), "{said}");
            let line = said.lines().find(|line| line.contains("the queue does not exist")).unwrap();
            let (place, _) = line.split_once(": the queue does not exist; declare it").unwrap();
            let numbers = place.rsplit_once("orders.toml:").unwrap().1;
            assert!(numbers.split(':').all(|number| number.parse::<u32>().is_ok()), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_was_declared_otherwise_is_an_error() {
    on_every_release(|vhost| async move {
        vhost.declare_queue_with("orders", &json!({ "x-max-length": 5 }));
        let (code, said) = check(&agent(&vhost)).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(": the broker refuses the queue: 406 PRECONDITION_FAILED"), "{said}");
        let (code, said) = check(&passive(agent(&vhost))).await;
        assert_eq!(code, Some(0), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_user_that_may_not_consume_or_not_log_in_is_an_error() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        let user = format!("user-{}", vhost.name);
        vhost.broker.add_user(&user, "secret");
        vhost.permit(&user, "^$", "^$", "^$");
        let port = vhost.broker.amqp_port;
        let (code, said) = check(
            &agent_at(&vhost.url_as(&user, "secret", port)).set("async/amqp.declare", "skip"),
        )
        .await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(": the broker refuses the queue: 403 ACCESS_REFUSED"), "{said}");
        assert!(said.contains("; give the user the permission"), "{said}");
        vhost.permit(&user, "^$", "^$", "^orders$");
        let (code, said) = check(
            &agent_at(&vhost.url_as(&user, "secret", port)).set("async/amqp.declare", "skip"),
        )
        .await;
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = check(&agent_at(&vhost.url_as(&user, "wrong", port))).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("orders.toml: agent orders: no session at 127.0.0.1:"), "{said}");
        assert!(said.contains("user, password or vhost refused?"), "{said}");
        assert!(!said.contains("wrong"), "{said}");
        vhost.broker.remove_user(&user);
    })
    .await;
}

#[tokio::test]
async fn a_user_that_may_not_make_copies_is_an_error() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        let user = format!("copies-{}", vhost.name);
        vhost.broker.add_user(&user, "secret");
        let agent = agent_at(&vhost.url_as(&user, "secret", vhost.broker.amqp_port));
        let cases = [
            ("^orders$", "^orders$", "^orders$", Some("`orders.retry.100ms` for retries: 403")),
            ("^orders$", "^orders$", "^orders$", Some("`orders.dead` for dead letters: 403")),
            (
                "^orders",
                "^orders",
                "^orders",
                Some("copies to queues, by the default exchange: 403"),
            ),
            ("^orders", "^amq\\.default$", "^orders", None),
        ];
        for (configure, write, read, problem) in cases {
            vhost.permit(&user, configure, write, read);
            let (code, said) = check(&agent).await;
            match problem {
                Some(problem) => {
                    assert_eq!(code, Some(78), "{said}");
                    assert!(said.contains(problem), "no {problem} in {said}");
                }
                None => assert_eq!((code, said.as_str()), (Some(0), "")),
            }
        }
        assert_eq!(vhost.queue("orders.retry.100ms"), None);
        assert_eq!(vhost.queue("orders.dead"), None);
        vhost.broker.remove_user(&user);
    })
    .await;
}

#[tokio::test]
async fn a_delay_queue_that_is_none_is_an_error_and_a_dead_letter_queue_is_free() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        vhost.declare_queue_with("orders.dead", &json!({ "x-max-length": 5 }));
        assert_eq!(check(&agent(&vhost)).await, (Some(0), String::new()));
        vhost.declare_queue("orders.retry.100ms");
        let (code, said) = check(&agent(&vhost)).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("the queue `orders.retry.100ms` for retries: 406"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_broker_with_an_alarm_is_asked_all_the_same() {
    for broker in Broker::all() {
        let node = PrivateNode::lease(broker.release).await;
        let vhost = node.broker.vhost();
        vhost.declare_queue("orders");
        node.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).").await;
        let (code, said) = check(&agent(&vhost)).await;
        node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).").await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(": warning: the broker answers nothing once a message"), "{said}");
    }
}

#[tokio::test]
async fn a_place_for_dead_letters_that_is_missing_is_an_error() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        for key in ["dead_letter.queue", "dead_letter.exchange"] {
            let agent = passive(agent(&vhost)).set(key, "nowhere");
            let (code, said) = check(&agent).await;
            assert_eq!(code, Some(78), "{said}");
            assert!(said.contains("`nowhere` for dead letters does not exist"), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_virtual_host_that_is_missing_is_an_error() {
    on_every_release(|vhost| async move {
        let port = vhost.broker.amqp_port;
        let (code, said) =
            check(&agent_at(&format!("amqp://guest:guest@127.0.0.1:{port}/no"))).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("no session at 127.0.0.1:"), "{said}");
        assert!(said.contains("530"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_away_ends_in_1_unless_there_is_another() {
    let vhost = Broker::any().vhost();
    vhost.declare_queue("orders");
    let (code, said) = check(&agent_at("amqp://127.0.0.1:1/")).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(": agent orders: no session at 127.0.0.1:1: no connection: "), "{said}");
    let both =
        agent(&vhost).set("async/amqp.host", vec!["amqp://127.0.0.1:1/".to_owned(), vhost.url()]);
    let (code, said) = check(&both).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: no session at 127.0.0.1:1: "), "{said}");
}

#[tokio::test]
async fn native_retries_pass_only_where_the_broker_has_them() {
    on_every_release(|vhost| async move {
        let agent = agent(&vhost)
            .set("async/amqp.queue_type", "quorum")
            .set("retry.strategy", "native")
            .set("retry.delays", vec!["1s", "5s"]);
        let (code, said) = check(&agent).await;
        if vhost.broker.release == 4 {
            assert_eq!(code, Some(0), "{said}");
            return;
        }
        assert_eq!(code, Some(78), "{said}");
        let problem =
            format!("native retries need RabbitMQ 4.3 or later, and this is {}", vhost.broker);
        assert!(said.contains(&format!(": {problem}; use `queue`, or upgrade")), "{said}");
        let mut daemon = Daemon::running([&agent]).await;
        let needs = "which needs RabbitMQ 4.3 or later";
        daemon.wait_for_log(&["ERROR", "no session", needs, "somebody has to mend this"]).await;
        assert_eq!(vhost.queue("orders"), None);
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_policies_say_is_looked_up() {
    on_every_release(|vhost| async move {
        // Before the queue: what the interface says lags behind.
        let policy = json!({ "expires": 3_600_000, "dead-letter-exchange": "amq.fanout" });
        vhost.set_policy("^orders$", &policy);
        vhost.declare_queue_with("orders", &json!({ "x-queue-type": "quorum" }));
        let agent = passive(agent(&vhost)).set("dead_letter.exchange", "amq.fanout");
        let (code, said) = check(&agent).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("note: the queue is not declared here"), "{said}");
        assert!(!said.contains("warning: "), "{said}");
        // `check` does not ask for ever, and a quorum queue's policies are told late.
        let is_told = |queue: &Queue| queue.all.get("effective_policy_definition").is_some();
        vhost.wait_for_queue("orders", "its policies told", is_told).await;
        let (code, said) = check(&managed(agent, &vhost)).await;
        assert_eq!(code, Some(0), "{said}");
        for finding in [
            "warning: a policy deletes the queue with its messages after 3600 s",
            "warning: what the broker itself dead-letters may be lost on the way",
        ] {
            assert!(said.contains(finding), "no {finding} in: {said}");
        }
        let no_limit = said.contains("warning: the queue has no delivery limit");
        assert_eq!(no_limit, vhost.broker.release == 3, "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_mirrored_queue_is_told() {
    let Some(broker) = Broker::all().iter().find(|broker| broker.release == 3) else { return };
    let vhost = broker.vhost();
    vhost.set_policy("^orders$", &json!({ "ha-mode": "all" }));
    vhost.declare_queue("orders");
    let (code, said) = check(&managed(agent(&vhost), &vhost)).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: a classic mirrored queue may lose messages"), "{said}");
}

#[tokio::test]
async fn a_management_interface_that_does_not_answer_is_a_warning() {
    let vhost = Broker::any().vhost();
    vhost.declare_queue("orders");
    let nobody = agent(&vhost).set("async/amqp.management", "http://guest:secret@127.0.0.1:1");
    let (code, said) = check(&nobody).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the queue could not be looked up: 127.0.0.1:1: "), "{said}");
    let port = vhost.broker.management.port;
    let refused =
        agent(&vhost).set("async/amqp.management", format!("http://guest:secret@127.0.0.1:{port}"));
    let (code, said) = check(&refused).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("401: user or password refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn whatever_answers_in_place_of_a_management_interface_is_a_warning() {
    let vhost = Broker::any().vhost();
    vhost.declare_queue("orders");
    let table = [
        (Reply::status(503), "status 503"),
        (Reply::status(302).header("location", "http://127.0.0.1:1/"), "status 302"),
        (Reply::status(200).body("<html>"), "an answer that is not JSON"),
        (Reply::status(200).body("[]"), "an answer that describes no queue"),
        (Reply::endless(), "an answer of more than 1048576 bytes"),
        (Reply::close(), "127.0.0.1:"),
        (Reply::hang(), "no answer within 10s"),
    ];
    for (reply, problem) in table {
        let odd = Backend::replying(move |_| reply.clone());
        let agent = agent(&vhost).set("async/amqp.management", odd.url());
        let (code, said) = check(&agent).await;
        assert_eq!(code, Some(0), "{said}");
        let warning = "warning: the queue could not be looked up: ";
        assert!(said.contains(warning) && said.contains(problem), "no {problem} in {said}");
    }
}

#[tokio::test]
async fn a_management_interface_that_hangs_holds_up_nothing() {
    let vhost = Broker::any().vhost();
    let (backend, hung) = (Backend::start(), Backend::replying(|_| Reply::hang()));
    let agent = Agent::new("orders", &vhost, &backend).set("async/amqp.management", hung.url());
    let mut scene = Scene::of(vhost, &agent).await;
    hung.wait_for(1).await;
    scene.publish(0..10).await;
    backend.wait_for(10).await;
    assert_eq!(hung.in_flight(), 1);
    scene.end(0).await;
}

#[tokio::test]
async fn no_message_is_taken_and_no_dead_letter_queue_made() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("orders");
        Publisher::connect(&vhost).await.publish(Message::to("orders", "hello")).await;
        let (code, said) = check(&agent(&vhost)).await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(vhost.peek("orders", 1)[0]["redelivered"], false);
        assert_eq!(vhost.queue("orders.dead"), None);
    })
    .await;
}

#[tokio::test]
async fn the_daemon_tells_what_it_finds_once_for_each_life_of_an_agent() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = managed(Agent::new("orders", &vhost, &backend), &vhost)
            .set("async/amqp.nack_discard", true);
        let scene = Scene::of(vhost, &agent).await;
        let finding =
            ["WARN", "audit: a message that fails is lost", "; give the queue a dead-letter"];
        scene.wait_for_lines(1, &finding).await;
        let connections = scene.vhost.wait_for_connections(1).await;
        scene.vhost.close_connection(&connections[0]);
        scene.wait_for_lines(2, &[r#""consuming""#]).await;
        assert_eq!(scene.lines(&finding), 1);
        scene.daemon.write(&agent.set("consumer.workers", 3));
        scene.daemon.reload().await;
        scene.wait_for_lines(2, &finding).await;
        scene.end(0).await;
    })
    .await;
}
