//! `status`, `pause`, `resume`, `reload`: what people and scripts get to see of a running daemon.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::support::admin::Answer;
use crate::support::terminal::Terminal;
use crate::support::wait::{eventually, within};
use crate::support::{Agent, Backend, Broker, Daemon, Message, Scene};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.args(arguments).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// Runs the program with the daemon's main file: the exit code, and what it said.
async fn ask(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    let main = daemon.main_file();
    let mut command = command(arguments);
    command.arg("--config").arg(main).kill_on_drop(true);
    let Output { status, stdout, stderr } =
        within("the program's end", command.output()).await.unwrap();
    let said = |octets| String::from_utf8(octets).unwrap();
    (status.code().unwrap(), said(stdout), said(stderr))
}

#[tokio::test]
async fn status_shows_each_agent_and_its_code_tells_whether_all_are_well() {
    let vhost = Broker::any().vhost();
    let (well, unwell) = (Backend::start(), Backend::refusing());
    let agent = Agent::new("orders", &vhost, &well);
    let daemon = Daemon::new();
    daemon.write(&Agent::new("parcels", &vhost, &unwell));
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    scene.publish(1..=3).await;
    let counted = |answer: &Answer| {
        let agent = answer.json();
        agent["counts"]["delivered"] == 3 && agent["in_flight"] == 0
    };
    scene.daemon.admin().wait_for("/agents/orders", "three that are delivered", counted).await;
    scene.daemon.admin().wait_for_state("parcels", "consuming").await;
    let (code, out, err) = ask(&scene.daemon, &["status"]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with(concat!("amqp-agentd ", env!("CARGO_PKG_VERSION"), ", pid ")), "{out}");
    assert!(!out.contains('\x1b'), "no colours in a pipe: {out:?}");
    let row = out.lines().find(|line| line.starts_with("orders")).unwrap();
    let columns: Vec<_> = row.split_whitespace().collect();
    assert_eq!((columns[1], columns[3], columns[4]), ("consuming", "orders", "0/100"), "{out}");
    assert_eq!((columns[6], columns[7], columns[8]), ("3", "0", "0"), "{out}");

    scene.publisher.publish(Message::to("parcels", "1")).await;
    scene.daemon.admin().wait_for_state("parcels", "holding").await;
    let (code, out, _) = ask(&scene.daemon, &["status"]).await;
    assert_eq!(code, 1, "{out}");
    let reason = out.lines().last().unwrap();
    assert!(
        reason.starts_with("parcels holding 1 message: ") && reason.contains("refused"),
        "{out}"
    );
    let (code, out, _) = ask(&scene.daemon, &["status", "orders"]).await;
    assert_eq!(code, 0, "only one is asked for: {out}");
    assert!(!out.contains("parcels"), "{out}");
    let (code, _, err) = ask(&scene.daemon, &["status", "order"]).await;
    assert_eq!((code, err.as_str()), (64, "no agent `order`; did you mean `orders`?\n"));
    let (code, _, err) = ask(&scene.daemon, &["status", "--watch", "1"]).await;
    assert_eq!(code, 64, "a slip is not repeated for ever: {err}");

    let (code, out, _) = ask(&scene.daemon, &["status", "--json"]).await;
    let whole: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, whole["agents"].as_array().unwrap().len()), (1, 2));
    let (code, out, _) = ask(&scene.daemon, &["status", "orders", "--json"]).await;
    let one: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &one["counts"]["delivered"]), (0, &3.into()));
    scene.end(0).await;
}

#[tokio::test]
async fn in_a_terminal_it_is_refreshed_in_place_and_the_cursor_comes_back() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("orders", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    let main = scene.daemon.main_file().display().to_string();
    let watching = ["status", "--watch=1", "--config", &main];
    let terminal = Terminal::run(command(&watching), 40, 10);
    eventually("it is shown three times", || {
        let text = terminal.text();
        if text.matches("\x1b[H").count() >= 3 { Ok(()) } else { Err(format!("{text:?}")) }
    })
    .await;
    terminal.signal("INT");
    let (status, text) = terminal.end().await;
    assert_eq!(status.code(), Some(0), "{text:?}");
    assert!(text.starts_with("\x1b[?25l\x1b[2J\x1b[H"), "{text:?}");
    assert_eq!(text.matches("\x1b[2J").count(), 1, "it does not flicker: {text:?}");
    assert!(text.contains("\x1b[32mconsuming\x1b[0m"), "{text:?}");
    assert!(text.ends_with("\x1b[?25h"), "{text:?}");
    let mut bare = text;
    for code in ["?25l", "?25h", "2J", "H", "K", "J", "1m", "32m", "0m"] {
        bare = bare.replace(&format!("\x1b[{code}"), "");
    }
    assert!(!bare.contains('\x1b'), "{bare:?}");
    for line in bare.lines() {
        assert!(line.trim_end().chars().count() <= 40, "{line:?}");
    }

    let mut plain = command(&["status", "--config", &main]);
    plain.env("NO_COLOR", "1");
    let (status, text) = Terminal::run(plain, 200, 40).end().await;
    assert_eq!(status.code(), Some(0), "{text:?}");
    assert!(text.contains("consuming") && !text.contains('\x1b'), "{text:?}");
    scene.publish([1]).await;
    backend.wait_for(1).await;
    scene.end(0).await;
}

#[tokio::test]
async fn watching_outlives_the_daemon_and_sees_the_next() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agent = Agent::new("orders", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    let main = scene.daemon.main_file().display().to_string();
    let terminal = Terminal::run(command(&["status", "--watch=1", "--config", &main]), 200, 40);
    let shown = async |what: &str, from: usize| {
        eventually(what, || {
            let text = terminal.text();
            let new = &text[from.min(text.len())..];
            if new.contains(what) { Ok(text.len()) } else { Err(format!("{new:?}")) }
        })
        .await
    };
    let from = shown("consuming", 0).await;
    scene.daemon.stop().await;
    let from = shown("no daemon answers", from).await;
    scene.daemon.start().await;
    shown("consuming", from).await;
    terminal.signal("TERM");
    assert_eq!(terminal.end().await.0.code(), Some(0));
    scene.end(0).await;
}

#[tokio::test]
async fn pause_resume_and_reload_say_what_came_of_it() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let agents = ["orders", "parcels"].map(|name| Agent::new(name, &vhost, &backend));
    let mut daemon = Daemon::running(&agents).await;
    let admin = daemon.admin();
    for agent in ["orders", "parcels"] {
        admin.wait_for_state(agent, "consuming").await;
    }
    // Twice is once; the first may be answered before the agent has heard of it.
    let (code, out, err) = ask(&daemon, &["pause", "orders"]).await;
    assert_eq!(code, 0, "{out}{err}");
    admin.wait_for_state("orders", "paused").await;
    let (code, out, err) = ask(&daemon, &["pause", "orders"]).await;
    assert_eq!((code, out.as_str()), (0, "orders: paused, nothing is in flight\n"), "{err}");
    let (code, out, _) = ask(&daemon, &["status"]).await;
    assert_eq!(code, 0, "a pause is as a person wants it");
    assert!(out.ends_with("orders is paused by a person: amqp-agentd resume orders\n"), "{out}");
    let (code, out, err) = ask(&daemon, &["resume", "orders"]).await;
    assert_eq!(code, 0, "{out}{err}");
    admin.wait_for_state("orders", "consuming").await;
    let (code, out, err) = ask(&daemon, &["resume", "nobody", "orders"]).await;
    assert_eq!((code, out.as_str()), (64, "orders: consuming\n"));
    assert_eq!(err, "no agent `nobody`; there are: orders, parcels\n");
    ask(&daemon, &["pause", "--all"]).await;
    for agent in ["orders", "parcels"] {
        admin.wait_for_state(agent, "paused").await;
    }
    let (_, out, _) = ask(&daemon, &["pause", "--all"]).await;
    assert_eq!(out.lines().filter(|line| line.contains(": paused")).count(), 2, "{out}");
    let (_, out, _) = ask(&daemon, &["resume", "--all", "--json"]).await;
    assert!(out.lines().all(|line| line.starts_with(r#"{"name":""#)), "{out}");

    daemon.write(&agents[0].clone().set("consumer.workers", 3));
    let (code, out, err) = ask(&daemon, &["reload"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "reloaded: 0 started, 1 changed, 0 stopped, 1 unchanged\n");
    daemon.write_file("parcels.toml", "x = 1\n");
    let (code, out, err) = ask(&daemon, &["reload"]).await;
    assert_eq!(code, 78, "{out}{err}");
    assert!(err.contains("parcels.toml:1:1: unknown key `x`"), "{err}");
    assert!(err.contains("a file is broken"), "{err}");
    let (_, out, _) = ask(&daemon, &["status"]).await;
    assert!(out.contains("1 file is broken"), "{out}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_that_cannot_be_asked_is_told_with_the_reason() {
    let mut daemon = Daemon::new();
    let (code, out, err) = ask(&daemon, &["status"]).await;
    let socket = daemon.admin_socket().display().to_string();
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&format!("there is no socket {socket}")), "{err}");
    daemon.start().await;
    daemon.kill().await;
    let (code, _, err) = ask(&daemon, &["pause", "orders"]).await;
    assert_eq!(code, 1);
    assert!(err.contains(&format!("no daemon answers at {socket}")), "{err}");
    daemon.start().await;
    daemon.signal("STOP");
    let (code, _, err) = ask(&daemon, &["status"]).await;
    daemon.signal("CONT");
    assert_eq!(code, 1);
    assert!(err.contains("does not answer within 5 s"), "{err}");
    daemon.stop().await;
    daemon.set_main("admin", toml::toml! { socket = "" });
    let (code, _, err) = ask(&daemon, &["status"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("turns the admin interface off"), "{err}");
    daemon.set_main("admin", toml::toml! { sockets = "" });
    let (code, _, err) = ask(&daemon, &["status"]).await;
    assert_eq!(code, 78);
    assert!(err.contains("unknown key `sockets`"), "{err}");
}
