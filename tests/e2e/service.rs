//! The daemon as a service: what it tells systemd, and the unit that it runs in.

use std::process::Command;

use crate::support::{Agent, Backend, Broker, Daemon};

#[tokio::test]
async fn ready_does_not_wait_for_a_broker() {
    let backend = Backend::start();
    let agent = Agent::between("orders", "amqp://127.0.0.1:1/", &backend.url());
    let mut daemon = Daemon::running([&agent]).await;
    let first = daemon.notifications().lines().swap_remove(0);
    assert_eq!(first, "READY=1 STATUS=1 agent: 1 connecting");
    daemon.stop().await;
}

#[tokio::test]
async fn systemd_is_told_of_start_reload_and_stop_in_order() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
    daemon.notifications().wait_for(0, &["STATUS=1 agent: 1 consuming"]).await;
    let before = daemon.notifications().lines().len();
    daemon.reload().await;
    daemon.reload().await;
    daemon.stop().await;
    daemon.notifications().wait_for(before, &["STOPPING=1"]).await;
    let lines = daemon.notifications().lines();
    assert!(lines[0].starts_with("READY=1 STATUS="), "{lines:#?}");
    assert!(lines[1..before].iter().all(|line| line.starts_with("STATUS=")), "{lines:#?}");
    let kinds: Vec<_> = lines[before..]
        .iter()
        .map(|line| line.split('=').next().unwrap_or_default())
        .filter(|kind| *kind != "STATUS")
        .collect();
    assert_eq!(kinds, ["RELOADING", "READY", "RELOADING", "READY", "STOPPING"]);
    // Both in one datagram, or systemd fails the reload.
    for reloading in lines.iter().filter(|line| line.contains("RELOADING")) {
        let clock = reloading.strip_prefix("RELOADING=1 MONOTONIC_USEC=");
        assert!(clock.is_some_and(|clock| clock.parse::<u64>().is_ok()), "{reloading}");
    }
    assert!(lines.last().unwrap().starts_with("STOPPING=1 STATUS="), "{lines:#?}");
}

#[tokio::test]
async fn the_watchdog_hears_of_the_daemon_again_and_again() {
    let mut daemon = Daemon::new();
    daemon.set_environment("WATCHDOG_USEC", "100000");
    daemon.start().await;
    let mut from = 0;
    for _ in 0..5 {
        daemon.notifications().wait_for(from, &["WATCHDOG=1"]).await;
        let lines = daemon.notifications().lines();
        from = 1 + from + lines[from..].iter().position(|line| line == "WATCHDOG=1").unwrap();
    }
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_watchdog_and_without_systemd_it_runs_all_the_same() {
    let mut daemon = Daemon::new();
    daemon.set_environment("NOTIFY_SOCKET", "");
    daemon.spawn();
    daemon.wait_for_log(&["\"started\""]).await;
    daemon.stop().await;
    assert!(daemon.notifications().lines().is_empty());
}

#[test]
fn the_unit_is_valid_and_well_sandboxed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze here; .ci/run installs it");
        return;
    }
    // The daemon is not installed here, so a copy of the unit names a program that exists.
    let unit = std::fs::read_to_string("systemd/amqp-agentd.service").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("amqp-agentd.service");
    std::fs::write(&copy, unit.replace("/usr/bin/amqp-agentd", "/bin/true")).unwrap();
    let verify = ["verify", "--man=no"];
    let security = ["security", "--no-pager", "--offline=true", "--threshold=12"];
    for arguments in [&verify[..], &security[..]] {
        let output = Command::new("systemd-analyze").args(arguments).arg(&copy).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(!said.contains("amqp-agentd.service:"), "{said}");
    }
}

#[test]
fn the_unit_gives_the_daemon_time_to_drain() {
    let unit = std::fs::read_to_string("systemd/amqp-agentd.service").unwrap();
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    let stop: u64 = stop.strip_suffix('s').unwrap().parse().unwrap();
    let drain = amqp_agentd::config::definition::DaemonSettings::default().drain_timeout;
    // What an agent may take beyond its drain to give back what it holds.
    assert!(stop >= drain.as_secs() + 8, "{stop} s");
}
