use serde_json::json;

use super::*;

fn daemon(agents: &[serde_json::Value]) -> Daemon {
    let loaded = json!({
        "at": "2026-11-22T20:40:00.000Z", "ok": true, "refused": null, "started": 1, "changed": 0,
        "stopped": 0, "unchanged": 0, "broken_files": 0, "problems": [],
    });
    serde_json::from_value(json!({
        "version": "0.1.0", "pid": 3021, "now": "2026-11-22T20:49:00.000Z",
        "started": "2026-11-22T18:39:00.000Z", "stopping": false, "loaded": loaded,
        "reloads": { "total": 0, "failed": 0 }, "agents": agents,
    }))
    .unwrap()
}

fn agent(name: &str, state: &str, reason: Option<&str>) -> serde_json::Value {
    json!({
        "name": name, "state": state, "ready": state == "consuming", "reason": reason,
        "since": "2026-11-22T20:46:00.000Z", "paused": state == "paused", "file": "x.toml",
        "queue": name, "vhost": "/", "brokers": [], "window": 100, "held": 3, "workers": 10,
        "in_flight": 3,
        "counts": {
            "received": 10, "delivered": 1234, "retried": 1, "requeued": 0, "discarded": 0,
            "abandoned": 0, "tried_in_place": 2, "dead_lettered": { "refused": 1, "attempts": 2 },
        },
        "rate": { "received": 10.0, "delivered": 9.87 }, "p50_ms": 8.959, "p99_ms": null,
        "backends": [{
            "name": "one", "hosts": [], "required": true, "breaker_open": false,
            "unreachable": false,
            "requests": { "2xx": { "delivered": 1234 }, "5xx": { "try_again": 7, "unwell": 1 } },
        }],
        "last_error": { "at": "2026-11-22T20:48:18.000Z", "text": "status 503" },
        "last_received": null, "last_alive": null, "sessions_ended": {}, "panics": 0,
    })
}

#[test]
fn each_agent_is_a_line_and_each_reason_stands_below() {
    let daemon = daemon(&[
        agent("orders", "consuming", None),
        agent("parcels", "holding", Some("shop: no connection")),
        agent("late", "paused", None),
    ]);
    assert_eq!(
        text(&daemon, None, false),
        "\
amqp-agentd 0.1.0, pid 3021, up 2h10m

AGENT    STATE      SINCE  QUEUE    FLIGHT   RATE    OK  FAILED  DEAD    P50  P99  LAST ERROR
orders   consuming  3m     orders    3/100  9.9/s  1234       8     3  9.0ms    -  42s ago: status 503
parcels  holding    3m     parcels   3/100  9.9/s  1234       8     3  9.0ms    -  42s ago: status 503
late     paused     3m     late      3/100  9.9/s  1234       8     3  9.0ms    -  42s ago: status 503

parcels holding 3 messages: shop: no connection
late is paused by a person: amqp-agentd resume late"
    );
}

#[test]
fn lines_are_cut_to_the_terminal_and_states_coloured_after_that() {
    let daemon = daemon(&[agent("consuming", "consuming", None)]);
    let text = text(&daemon, Some(60), true);
    let row = text.lines().last().unwrap();
    assert!(row.starts_with("consuming  \x1b[32mconsuming\x1b[0m  3m"), "{row:?}");
    let visible = row.replace("\x1b[32m", "").replace("\x1b[0m", "");
    assert_eq!((visible.chars().count(), visible.ends_with('…')), (60, true), "{row:?}");
}

#[test]
fn what_others_wrote_moves_no_cursor() {
    let mut agent = agent("orders", "holding", Some("a\nb\x1b[2Jc"));
    agent["last_error"]["text"] = "x\r\x07y".into();
    let text = text(&daemon(&[agent]), None, false);
    assert!(
        text.contains("orders holding 3 messages: a b [2Jc") && text.contains("x  y"),
        "{text:?}"
    );
    assert!(!text.contains(['\x1b', '\r', '\x07']), "{text:?}");
}

#[test]
fn a_daemon_in_trouble_says_so_first() {
    let mut broken = daemon(&[]);
    broken.loaded.broken_files = 2;
    broken.reloads.total = 1;
    broken.stopping = true;
    assert_eq!(
        text(&broken, None, false),
        "amqp-agentd 0.1.0, pid 3021, up 2h10m, reloaded 9m ago, stopping\n\
         2 files are broken: amqp-agentd reload tells why\nno agents"
    );
    broken.loaded.refused = Some("the main file is broken".to_owned());
    assert!(text(&broken, None, false).contains("refused: the main file is broken"));
}

#[test]
fn times_are_told_in_two_units_at_most() {
    for (seconds, wanted) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (3660, "1h01m"), (90_000, "1d1h"), (864_000, "10d0h")]
    {
        assert_eq!(age(Duration::from_secs(seconds)), wanted);
    }
    for (millis, wanted) in [(0.25, "0.2ms"), (9.96, "10ms"), (999.0, "999ms"), (1500.0, "1.5s")] {
        assert_eq!(took(millis), wanted);
    }
}
