//! Dead letters, and back: each that is asked for once, and none is ever in neither queue.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::support::wait::{DEADLINE, POLL, within};
use crate::support::{
    Agent, Backend, Broker, Daemon, Direction, Flow, Message, PrivateNode, Proxy, Publisher, Reply,
    Scene, Vhost, on_every_release,
};

const KINDS: [&str; 2] = ["classic", "quorum"];

/// The most messages that may come twice.
const WINDOW: usize = 50;

/// Starts the command on the daemon's files.
fn start(daemon: &Daemon, arguments: &[&str]) -> Child {
    start_in(&daemon.agents_dir(), arguments)
}

fn start_in(agents: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.arg("redrive").args(arguments).arg("--json").arg("--agents").arg(agents);
    command.env_remove("AMQP_AGENTD_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("the program was built")
}

/// What it came to: exit code, the JSON, and what it said beside.
async fn end(child: Child) -> (i32, Value, String) {
    let Output { status, stdout, stderr } =
        within("the end of redrive", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let json = serde_json::from_slice(&stdout).unwrap_or_default();
    (status.code().unwrap_or(-1), json, said)
}

async fn redrive(daemon: &Daemon, arguments: &[&str]) -> (i32, Value, String) {
    end(start(daemon, arguments)).await
}

/// The same where it has to succeed.
async fn redriven(daemon: &Daemon, arguments: &[&str]) -> Value {
    let (code, json, said) = redrive(daemon, arguments).await;
    assert_eq!(code, 0, "{said} {json}");
    json
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let status = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
    assert!(status.success());
}

/// Takes all messages out of a queue, and gives their bodies in order.
async fn bodies(publisher: &mut Publisher, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some((_, body)) = publisher.get(queue).await {
        bodies.push(String::from_utf8(body).unwrap());
    }
    bodies
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A dead letter as an agent named `parcels` makes it, of `seconds` ago.
fn dead(id: &str, reason: &str, seconds: u64) -> Message {
    dead_of("parcels", id, reason, seconds)
}

/// The same of any agent.
fn dead_of(agent: &str, id: &str, reason: &str, seconds: u64) -> Message {
    Message::to("parcels.dead", id)
        .message_id(id)
        .header("x-agent-dead-lettered-by", agent)
        .header("x-agent-reason", reason)
        .raw_header("x-agent-last-failure", b'T', &(now() - seconds).to_be_bytes())
        .raw_header("x-agent-attempts", b'l', &3_i64.to_be_bytes())
}

/// So many, refused just now; their ids count from 0.
fn numbered(count: u32) -> impl Iterator<Item = Message> {
    (0..count).map(|id| dead(&id.to_string(), "refused", 1))
}

/// A daemon that does not run, whose agent `parcels` has a queue and a dead-letter queue.
async fn idle(vhost: &Vhost, kind: &str) -> (Daemon, Publisher) {
    let backend = Backend::start();
    let daemon = Daemon::new();
    daemon.write(&Agent::new("parcels", vhost, &backend).set("async/amqp.queue_type", kind));
    for queue in ["parcels", "parcels.dead"] {
        vhost.declare_queue_with(queue, &json!({ "x-queue-type": kind }));
    }
    (daemon, Publisher::connect(vhost).await)
}

/// All messages are somewhere, and at most a window of them in both queues.
async fn assert_none_lost(publisher: &mut Publisher, count: usize, twice_max: usize) {
    let (mut back, mut left) = (Vec::new(), Vec::new());
    let end = Instant::now() + DEADLINE;
    // What was held is there again once the broker has seen the end of its connection, of which its
    // figures may tell too early: they are of some seconds ago.
    loop {
        back.extend(bodies(publisher, "parcels").await);
        left.extend(bodies(publisher, "parcels.dead").await);
        let all: BTreeSet<_> = back.iter().chain(&left).collect();
        if all.len() == count {
            break;
        }
        let seen = all.len();
        assert!(Instant::now() < end, "{seen}: {} back, {} left", back.len(), left.len());
        sleep(POLL).await;
    }
    let twice = back.len() + left.len() - count;
    assert!(twice <= twice_max, "{twice} are there twice");
}

#[tokio::test]
async fn dead_letters_come_back_once_and_as_they_were_published() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            vhost.declare_exchange("shop", "topic");
            let backend = Backend::replying(|_| Reply::status(422).body("no such article"));
            let agent = Agent::new("parcels", &vhost, &backend)
                .set("async/amqp.queue_type", kind)
                .set("async/amqp.exchange", "shop")
                .set("consumer.topic", "parcel.*");
            let mut scene = Scene::of(vhost, &agent).await;
            for number in 0..3 {
                let message = Message::through("shop", "parcel.sent", [0, 0xff, number])
                    .message_id(number.to_string())
                    .expiration("600000")
                    .correlation_id("c")
                    .header("tenant", "acme");
                scene.publisher.publish(message).await;
            }
            scene.wait_for_depth_of("parcels.dead", 3).await;
            backend.reply_with(|_| Reply::status(204));
            let report = redriven(&scene.daemon, &["parcels"]).await;
            assert_eq!(report["moved"], json!(3), "{report}");
            assert_eq!(report["left"], json!(0), "{report}");
            assert_eq!(report["reasons"]["refused"]["moved"], json!(3), "{report}");
            let requests = backend.wait_for(6).await;
            let mut again = requests[3..].to_vec();
            again.sort_by_key(|request| request.body.clone());
            for (number, request) in again.iter().enumerate() {
                let number = u8::try_from(number).unwrap();
                assert_eq!(request.body, [0, 0xff, number], "{kind}");
                for (header, value) in [
                    ("x-amqp-attempt", "1"),
                    ("x-amqp-exchange", "shop"),
                    ("x-amqp-routing-key", "parcel.sent"),
                    ("x-amqp-correlation-id", "c"),
                    ("x-amqp-header-tenant", "acme"),
                    ("idempotency-key", &number.to_string()),
                ] {
                    assert_eq!(request.header(header), Some(value), "{kind}: {header}");
                }
            }
            scene.wait_for_depth_of("parcels.dead", 0).await;
            scene.end(0).await;
            assert_eq!(backend.requests().len(), 6);
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_backends_that_failed_are_told_again_unless_all_are_to_be() {
    let vhost = Broker::any().vhost();
    let (takes_it, refuses) = (Backend::start(), Backend::replying(|_| Reply::status(422)));
    let agent = Agent::new("parcels", &vhost, &takes_it).backend(&refuses.url(), &[]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    // Refused once more.
    assert_eq!(redriven(&scene.daemon, &["parcels"]).await["moved"], json!(1));
    refuses.wait_for(2).await;
    scene.wait_for_depth_of("parcels.dead", 1).await;
    assert_eq!(takes_it.requests().len(), 1);
    refuses.reply_with(|_| Reply::status(204));
    redriven(&scene.daemon, &["parcels", "--all-backends"]).await;
    takes_it.wait_for(2).await;
    refuses.wait_for(3).await;
    scene.end(0).await;
}

#[tokio::test]
async fn only_what_is_asked_for_goes_back_and_the_rest_keeps_its_order() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            let (daemon, mut publisher) = idle(&vhost, kind).await;
            let letters = [
                dead("a", "refused", 10).header("tenant", "acme"),
                dead("b", "attempts", 7200),
                dead("c", "refused", 7200),
                dead("d", "attempts", 10).raw_header("shop", b'I', &7_i32.to_be_bytes()),
                Message::to("parcels.dead", "e"),
                dead_of("letters", "f", "refused", 10),
            ];
            publisher.publish_all(letters).await;
            for (arguments, selected) in [
                (&[][..], 5),
                (&["--reason", "refused"], 2),
                (&["--reason", "max_age"], 0),
                (&["--older-than", "1h"], 2),
                (&["--newer-than", "1h"], 2),
                (&["--older-than", "1h", "--reason", "refused"], 1),
                (&["--header", "tenant=acme"], 1),
                (&["--header", "shop=7"], 1),
                (&["--header", "shop=7", "--header", "tenant=acme"], 0),
                (&["--header", "x-agent-dead-lettered-by=letters"], 1),
            ] {
                let all = [&["parcels", "--dry-run"][..], arguments].concat();
                let report = redriven(&daemon, &all).await;
                assert_eq!(report["selected"], json!(selected), "{arguments:?}: {report}");
                assert_eq!(report["moved"], json!(0), "{report}");
                publisher.wait_for_ready("parcels.dead", 6).await;
                publisher.wait_for_ready("parcels", 0).await;
            }
            let report = redriven(&daemon, &["parcels", "--reason", "attempts"]).await;
            assert_eq!(report["moved"], json!(2), "{report}");
            assert_eq!(report["passed_over"], json!(4), "{report}");
            assert_eq!(report["of_others"], json!(1), "{report}");
            publisher.wait_for_ready("parcels.dead", 4).await;
            let left = bodies(&mut publisher, "parcels.dead").await;
            assert_eq!(left, ["a", "c", "e", "f"], "{kind}");
            assert_eq!(bodies(&mut publisher, "parcels").await, ["b", "d"], "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_shows_the_first_ids() {
    on_every_release(|vhost| async move {
        for (kind, count) in [("classic", 30), ("classic", 1100), ("quorum", 30)] {
            let vhost = vhost.broker.vhost();
            let (daemon, mut publisher) = idle(&vhost, kind).await;
            publisher.publish_all(numbered(count)).await;
            let report = redriven(&daemon, &["parcels", "--dry-run"]).await;
            assert_eq!(report["found"], json!(count), "{report}");
            assert_eq!(report["ids"].as_array().unwrap().len(), 20, "{report}");
            assert_eq!(report["ids"][7], json!("7"), "{report}");
            publisher.wait_for_ready("parcels.dead", count).await;
            let expected: Vec<_> = (0..count).map(|id| id.to_string()).collect();
            assert_eq!(bodies(&mut publisher, "parcels.dead").await, expected, "{kind}");
            assert_eq!(publisher.depth("parcels").await.0, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_limit_takes_no_more_than_it_says() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            let (daemon, mut publisher) = idle(&vhost, kind).await;
            publisher.publish_all(numbered(10)).await;
            let report = redriven(&daemon, &["parcels", "--limit", "4"]).await;
            assert_eq!(report["ended"], json!("limit"));
            assert_eq!((&report["looked_at"], &report["left"]), (&json!(4), &json!(6)), "{report}");
            assert_eq!(bodies(&mut publisher, "parcels").await, ["0", "1", "2", "3"]);
            let report = redriven(&daemon, &["parcels", "--limit", "2", "--dry-run"]).await;
            assert_eq!(report["ids"], json!(["4", "5"]), "{report}");
            publisher.wait_for_ready("parcels.dead", 6).await;
            let mut left = bodies(&mut publisher, "parcels.dead").await;
            if kind == "quorum" {
                // What is given back goes to the end of the queue.
                left.sort();
            }
            assert_eq!(left, ["4", "5", "6", "7", "8", "9"], "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_signal_ends_a_run_in_good_order() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            let (daemon, mut publisher) = idle(&vhost, kind).await;
            publisher.publish(dead("other", "attempts", 1)).await;
            publisher.publish_all(numbered(5)).await;
            let arguments = ["parcels", "--reason", "refused", "--rate", "0.0001"];
            let child = start(&daemon, &arguments);
            publisher.wait_for_ready("parcels", 1).await;
            signal(&child, "TERM");
            let (code, report, said) = end(child).await;
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("cut short by a signal"), "{said}");
            assert_eq!(report["ended"], json!("stopped"), "{report}");
            assert_eq!(report["moved"], json!(1), "{report}");
            assert_eq!(report["twice_max"], json!(0), "{report}");
            publisher.wait_for_ready("parcels.dead", 5).await;
            assert_eq!(bodies(&mut publisher, "parcels").await, ["0"]);
            let mut left = bodies(&mut publisher, "parcels.dead").await;
            left.sort();
            assert_eq!(left, ["1", "2", "3", "4", "other"], "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_arrives_during_a_run_is_left_alone() {
    let vhost = Broker::any().vhost();
    let (daemon, mut publisher) = idle(&vhost, "classic").await;
    publisher.publish_all(numbered(3)).await;
    let child = start(&daemon, &["parcels", "--rate", "2"]);
    publisher.wait_until_some("parcels").await;
    publisher.publish(dead("late", "refused", 1)).await;
    let (code, report, said) = end(child).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(report["moved"], json!(3), "{report}");
    assert_eq!(vhost.peek("parcels.dead", 2)[0]["redelivered"], json!(false));
    assert_eq!(bodies(&mut publisher, "parcels.dead").await, ["late"]);
}

#[tokio::test]
async fn a_run_that_is_killed_loses_nothing_and_doubles_no_more_than_a_window() {
    on_every_release(|vhost| async move {
        for kind in KINDS {
            let vhost = vhost.broker.vhost();
            let (daemon, mut publisher) = idle(&vhost, kind).await;
            publisher.publish_all(numbered(1000)).await;
            let mut child = start(&daemon, &["parcels"]);
            publisher.wait_until_some("parcels").await;
            signal(&child, "KILL");
            within("its end", child.wait()).await.unwrap();
            vhost.wait_for_queue("parcels.dead", "nothing held", |queue| queue.unacked == 0).await;
            assert_none_lost(&mut publisher, 1000, WINDOW).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_near_its_delivery_limit_is_not_passed_over_lightly() {
    for broker in Broker::all() {
        let vhost = broker.vhost();
        let (daemon, mut publisher) = idle(&vhost, "classic").await;
        let tired = dead("tired", "refused", 1);
        let tired = tired.raw_header("x-delivery-count", b'l', &16_i64.to_be_bytes());
        publisher.publish_all([tired, dead("fresh", "refused", 1)]).await;
        let (code, report, said) = redrive(&daemon, &["parcels", "--dry-run"]).await;
        // The limit is of 4.0.
        let is_limited = broker.release >= 4;
        assert_eq!(code, i32::from(is_limited), "{report}");
        assert_eq!(said.contains("tired was handed out 16 times"), is_limited, "{said}");
        assert_eq!(report["looked_at"], json!(if is_limited { 1 } else { 2 }));
        publisher.wait_for_ready("parcels.dead", 2).await;
        assert_eq!(redriven(&daemon, &["parcels"]).await["moved"], json!(2));
    }
}

#[tokio::test]
async fn a_lost_connection_ends_a_run_and_loses_nothing() {
    let vhost = Broker::any().vhost();
    let (daemon, mut publisher) = idle(&vhost, "quorum").await;
    let proxy = Proxy::to(vhost.broker.amqp_port);
    // So that it is not over before it is cut: each of a thousand questions takes its time.
    proxy.set(Direction::ToServer, Flow::Slow);
    proxy.set(Direction::ToClient, Flow::Slow);
    let through = Agent::between("parcels", &vhost.url_by(proxy.port()), "http://127.0.0.1:1");
    daemon.write(&through);
    publisher.publish_all(numbered(1000)).await;
    let child = start(&daemon, &["parcels"]);
    publisher.wait_until_some("parcels").await;
    proxy.reset();
    let (code, report, said) = end(child).await;
    assert_eq!(code, 1, "{report}");
    assert!(said.contains("lost") || said.contains("not safe"), "{said}");
    vhost.wait_for_queue("parcels.dead", "nothing held", |queue| queue.unacked == 0).await;
    assert_none_lost(&mut publisher, 1000, WINDOW).await;
}

#[tokio::test]
async fn copies_that_the_broker_does_not_confirm_are_waited_for_until_a_second_signal() {
    let node = PrivateNode::lease(Broker::any().release).await;
    let vhost = node.broker.vhost();
    let (daemon, mut publisher) = idle(&vhost, "classic").await;
    publisher.publish_all(numbered(200)).await;
    node.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).").await;
    let child = start(&daemon, &["parcels"]);
    vhost.wait_for_queue("parcels.dead", "a window held", |queue| queue.unacked == 50).await;
    signal(&child, "TERM");
    signal(&child, "INT");
    let (code, report, said) = end(child).await;
    assert_eq!(code, 1, "{said}");
    assert_eq!(report["moved"], json!(0), "{report}");
    assert!(said.contains("at most 50 messages may come twice"), "{said}");
    node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).").await;
    vhost.wait_for_queue("parcels.dead", "nothing held", |queue| queue.unacked == 0).await;
    assert_none_lost(&mut publisher, 200, WINDOW).await;
}

#[tokio::test]
async fn a_signal_ends_a_run_also_while_the_broker_does_not_answer() {
    let vhost = Broker::any().vhost();
    let (daemon, mut publisher) = idle(&vhost, "classic").await;
    publisher.publish(dead("one", "refused", 1)).await;
    let proxy = Proxy::to(vhost.broker.amqp_port);
    proxy.stall();
    daemon.write(
        &Agent::between("parcels", &vhost.url_by(proxy.port()), "http://127.0.0.1:1")
            .set("async/amqp.connect_timeout", "1h"),
    );
    let child = start(&daemon, &["parcels"]);
    proxy.wait_for_connections(1).await;
    signal(&child, "INT");
    let (code, _, said) = end(child).await;
    assert_eq!((code, said.as_str()), (1, "nothing was changed: cut short by a signal\n"));
    assert_eq!(bodies(&mut publisher, "parcels.dead").await, ["one"]);
}

#[tokio::test]
async fn a_copy_that_no_queue_takes_ends_the_run_and_stays_a_dead_letter() {
    on_every_release(|vhost| async move {
        let (daemon, mut publisher) = idle(&vhost, "classic").await;
        publisher.publish_all(numbered(100)).await;
        vhost.delete_queue("parcels");
        let (code, report, said) = redrive(&daemon, &["parcels"]).await;
        assert_eq!(code, 1);
        assert!(said.contains("not safe") && said.contains("312"), "{said}");
        assert_eq!((&report["moved"], &report["ended"]), (&json!(0), &json!("not_safe")));
        assert_eq!(report["twice_max"], json!(0));
        publisher.wait_for_ready("parcels.dead", 100).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_broker_dead_lettered_goes_back_too() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        vhost.declare_exchange("shop", "fanout");
        vhost.declare_queue("parcels.dead");
        let arguments =
            json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "parcels.dead" });
        vhost.declare_queue_with("parcels", &arguments);
        vhost.bind("shop", "parcels", "");
        let daemon = Daemon::new();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.declare", "passive")
            .set("dead_letter.queue", "parcels.dead");
        daemon.write(&agent);
        let mut publisher = Publisher::connect(&vhost).await;
        let message = Message::through("shop", "parcel.sent", "one").message_id("one");
        publisher.publish(message.expiration("1").header("tenant", "acme")).await;
        publisher.wait_for_ready("parcels.dead", 1).await;
        let report = redriven(&daemon, &["parcels", "--older-than", "1h"]).await;
        assert_eq!(report["selected"], json!(0), "{report}");
        publisher.wait_for_ready("parcels.dead", 1).await;
        let arguments = ["parcels", "--reason", "expired", "--newer-than", "1h"];
        let report = redriven(&daemon, &arguments).await;
        assert_eq!(report["reasons"]["expired"]["moved"], json!(1), "{report}");
        let headers = vhost.peek("parcels", 1)[0]["properties"]["headers"].clone();
        assert!(headers["x-death"].is_null(), "{headers}");
        assert_eq!(headers["tenant"], json!("acme"));
        let mut daemon = daemon;
        daemon.start().await;
        let requests = backend.wait_for(1).await;
        assert_eq!(requests[0].header("x-amqp-exchange"), Some("shop"));
        assert_eq!(requests[0].header("x-amqp-routing-key"), Some("parcel.sent"));
        daemon.stop().await;
        publisher.wait_for_ready("parcels", 0).await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let vhost = Broker::any().vhost();
    let (daemon, mut publisher) = idle(&vhost, "classic").await;
    publisher.publish(dead("one", "refused", 1)).await;
    daemon.write(
        &Agent::between("letters", &vhost.url(), "http://127.0.0.1:1")
            .set("dead_letter.exchange", "graveyard"),
    );
    daemon.write(&Agent::between("away", "amqp://127.0.0.1:1/", "http://127.0.0.1:1"));
    daemon.write(&Agent::between("gone", &vhost.url(), "http://127.0.0.1:1"));
    daemon.write_file("broken.toml", "[consumer]\nworkers = 0\n");
    for (arguments, code, words) in [
        (&["parcel"][..], 64, "did you mean `parcels`?"),
        (&["zebra"], 64, "no agent `zebra`"),
        (&["broken"], 78, "broken.toml:2:11: "),
        (&["letters"], 64, "exchange `graveyard`"),
        (&["parcels", "--queue", "parcels"], 64, "queue of `parcels` itself"),
        (&["parcels", "--header", "tenant"], 64, "NAME=VALUE"),
        (&["parcels", "--rate", "0"], 64, "--rate"),
        (&["parcels", "--limit", "0"], 64, "--limit"),
        (&["parcels", "--older-than", "soon"], 64, "--older-than"),
        (&["away"], 1, "127.0.0.1:1: no connection"),
        (&["gone"], 1, "there is no queue `gone.dead` (404)"),
    ] {
        let (got, _, said) = redrive(&daemon, arguments).await;
        assert_eq!(got, code, "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(bodies(&mut publisher, "parcels.dead").await, ["one"]);
}

#[tokio::test]
async fn another_queue_can_be_named_and_people_get_a_table() {
    let vhost = Broker::any().vhost();
    let (daemon, mut publisher) = idle(&vhost, "classic").await;
    vhost.declare_queue("graveyard");
    publisher.publish_all(["a", "b"].map(|id| Message::to("graveyard", id))).await;
    let agents = daemon.agents_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.args(["redrive", "parcels", "--queue", "graveyard", "--agents"]).arg(agents);
    let output = within("its end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "graveyard to parcels\n\
         reason    looked at       moved  passed over\n\
         unknown           2           2            0\n\
         all               2           2            0\n\
         0 left in graveyard of the 2 that were there\n"
    );
    assert_eq!(bodies(&mut publisher, "parcels").await, ["a", "b"]);
}
