//! The command line: what it says, and the exit codes that scripts and systemd go by.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::wait::within;
use crate::support::{Agent, Backend, Broker, Daemon, Message, Publisher};

#[test]
fn help_teaches_and_is_as_it_is_written_down() {
    for (arguments, file) in [
        (&["--help"][..], "amqp-agentd.txt"),
        (&["run", "--help"], "run.txt"),
        (&["check", "--help"], "check.txt"),
        (&["status", "--help"], "status.txt"),
        (&["pause", "--help"], "pause.txt"),
        (&["resume", "--help"], "resume.txt"),
        (&["reload", "--help"], "reload.txt"),
        (&["redrive", "--help"], "redrive.txt"),
        (&["import", "--help"], "import.txt"),
        (&["explain", "--help"], "explain.txt"),
    ] {
        let output = agentd(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let path = Path::new("tests/fixtures/help").join(file);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &output.stdout).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(said(&output.stdout), expected, "{} differs", path.display());
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let output = agentd(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said(&output.stdout), format!("amqp-agentd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_in_64_and_says_what_is_wrong() {
    for (arguments, word) in [
        (&[][..], "Usage:"),
        (&["fly"], "fly"),
        (&["redrive"], "AGENT"),
        (&["pause"], "AGENT"),
        (&["pause", "orders", "--all"], "--all"),
        (&["status", "--watch=0"], "--watch"),
        (&["status", "--url", "https://127.0.0.1"], "http://HOST:PORT"),
        (&["run", "--agent", "x"], "--agents"),
        (&["run", "--config"], "--config"),
        (&["check", "orders.toml"], "orders.toml"),
    ] {
        let output = agentd(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(said(&output.stderr).contains(word), "{arguments:?}: {}", said(&output.stderr));
    }
}

#[test]
fn check_is_silent_where_nothing_is_wrong() {
    let output = agentd(&["check", "--agents", "agents.d"]);
    assert_eq!((output.status.code(), said(&output.stderr).as_str()), (Some(0), ""));
    assert!(output.stdout.is_empty());
}

#[test]
fn check_prints_every_problem_of_every_file_and_ends_in_78() {
    let files = Files::new(&[
        ("agents.d/one.toml", "names = \"one\"\n[consumer]\nworkers = 0\n"),
        ("agents.d/two.toml", "this is no TOML\n"),
        ("agents.d/notes.txt", "passed over"),
        ("amqp-agentd.toml", "[daemon]\nthreads = 0\n"),
    ]);
    let output = agentd(&["check", "--config", &files.path("amqp-agentd.toml")]);
    assert_eq!(output.status.code(), Some(78));
    let said = said(&output.stderr);
    for place in ["one.toml:1:1: ", "one.toml:3:11: ", "two.toml:1:", "amqp-agentd.toml:2:11: "] {
        assert!(said.contains(place), "no {place} in:\n{said}");
    }
    assert!(!said.contains("notes.txt"), "{said}");
}

#[test]
fn run_and_check_refuse_a_configuration_that_leaves_nothing_to_run() {
    let broken = Files::new(&[("agents.d/one.toml", "[consumer]\nworkers = 0\n")]);
    let main = Files::new(&[
        (
            "agents.d/one.toml",
            &Agent::between("one", "amqp://127.0.0.1:1/", "http://h").to_string(),
        ),
        ("amqp-agentd.toml", "[log]\nlevel = \"inof\"\n"),
    ]);
    let cases = [
        (vec!["--agents".to_owned(), broken.path("agents.d")], "one.toml:2:11: "),
        (vec!["--config".to_owned(), main.path("amqp-agentd.toml")], "amqp-agentd.toml:2:9: "),
        (vec!["--config".to_owned(), main.path("missing.toml")], "missing.toml"),
        (vec!["--agents".to_owned(), main.path("missing.d")], "missing.d"),
    ];
    for (options, word) in cases {
        for command in ["run", "check"] {
            let mut arguments = vec![command];
            arguments.extend(options.iter().map(String::as_str));
            let output = agentd(&arguments);
            assert_eq!(output.status.code(), Some(78), "{arguments:?}");
            let said = said(&output.stderr);
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
    }
}

#[tokio::test]
async fn run_starts_what_is_whole_and_tells_of_what_is_broken() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::new();
    daemon.write(&Agent::new("orders", &vhost, &backend));
    daemon.write_file("broken.toml", "[consumer]\nworkers = 0\n");
    daemon.start().await;
    daemon.wait_for_log(&["ERROR", "broken.toml:2:11: "]).await;
    daemon.notifications().wait_for(0, &["READY=1", "1 agent: ", "1 file broken"]).await;
    vhost.wait_for_consumer("orders").await;
    Publisher::connect(&vhost).await.publish(Message::to("orders", "hello")).await;
    backend.wait_for(1).await;
    daemon.stop().await;
}

#[tokio::test]
async fn run_without_any_agent_waits_for_a_reload_that_brings_one() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::running([]).await;
    daemon.wait_for_log(&["WARN", "no agents"]).await;
    daemon.write(&Agent::new("orders", &vhost, &backend));
    daemon.reload().await;
    vhost.wait_for_consumer("orders").await;
    daemon.stop().await;
}

#[test]
fn a_bad_level_of_the_environment_is_refused_before_anything_starts() {
    for level in ["loud", "info,", "amqp_agentd=loud"] {
        let mut run = command(&["run", "--agents", "agents.d"]);
        let output = output_of(run.env("AMQP_AGENTD_LOG", level));
        assert_eq!(output.status.code(), Some(78), "{level}");
        let said = said(&output.stderr);
        assert!(said.starts_with(&format!("AMQP_AGENTD_LOG: `{level}`")), "{said}");
    }
}

#[tokio::test]
async fn the_environments_level_wins_over_the_main_files() {
    let backend = Backend::start();
    let mut daemon = Daemon::new();
    daemon.set_environment("AMQP_AGENTD_LOG", "warn,amqp_agentd::agent=debug");
    daemon.write(&Agent::between("orders", "amqp://127.0.0.1:1/", &backend.url()));
    daemon.start().await;
    daemon.wait_for_log(&["DEBUG", "no session"]).await;
    daemon.stop().await;
    assert_eq!(daemon.log().with(0, &["\"INFO\"", "\"started\""]), [""; 0]);
}

/// A directory with files.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("agents.d")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Files(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Runs the program to its end.
fn agentd(arguments: &[&str]) -> Output {
    output_of(&mut command(arguments))
}

/// Waits for the end of a program, which must come.
fn output_of(command: &mut Command) -> Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        within("the program's end", command.kill_on_drop(true).output()).await.unwrap()
    })
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.args(arguments).stdin(Stdio::null());
    // Help is as wide as the terminal, where there is one.
    command.env_remove("AMQP_AGENTD_LOG").env_remove("COLUMNS").env_remove("NOTIFY_SOCKET");
    command
}

fn said(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
