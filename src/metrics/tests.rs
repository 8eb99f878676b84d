use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::agent::State;
use crate::config::definition::tests::definition;
use crate::desk::{AgentView, Changes, Reloaded};
use crate::meters::{Class, Figures, Judged, Meters};
use crate::outcome::{Outcome, Reply};

mod shipped;

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn agent(name: &str, meters: Meters) -> AgentView {
    AgentView {
        definition: Arc::new(definition(name)),
        state: State::Holding("no connection".into()),
        since: START + Duration::from_millis(1_700_000_000_500),
        paused: false,
        meters: Arc::new(meters),
        figures: Figures::default(),
    }
}

fn view(agents: Vec<AgentView>) -> View {
    let changes = Changes { broken_files: 3, ..Changes::default() };
    View {
        now: START,
        started: START + Duration::from_secs(1_600_000_000),
        stopping: false,
        loaded: Reloaded { at: START, result: Ok(changes), problems: Vec::new() },
        reloads: (5, 2),
        agents,
    }
}

fn shown(view: View, format: Format) -> String {
    let process = Process {
        cpu_seconds: 1.5,
        resident_bytes: 2,
        virtual_bytes: 3,
        open_files: 4,
        open_files_max: Some(5),
        threads: 6,
    };
    written(Scrape { view, process: Some(process) }, format)
}

/// An agent to which everything that is ever shown has happened once.
fn seasoned() -> Meters {
    let meters = Meters::default();
    for number in meters.sessions_ended.iter().chain(&meters.dead_lettered) {
        number.add(1);
    }
    meters.last_alive.set(1_700_000_000_000);
    meters.last_received.set(1_700_000_000_250);
    meters.delay.record(Duration::from_secs(90));
    meters.backend(&Arc::from("billing")).replied(
        &Reply::Answered { status: 204, retry_after: None },
        Outcome::Delivered,
        Duration::from_millis(20),
    );
    for class in &meters.backends()[0].requests {
        for number in class {
            number.add(1);
        }
    }
    meters
}

/// A metric's type and its labels' names, by the name of its samples without a histogram's suffixes.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What the text format shows, read as a scraper would.
fn metrics(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            current = name.to_owned();
            let known = metrics.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
            assert_eq!(known, None, "{name} is shown in two places");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(&current), "{line} under {current}");
            let labels =
                line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let names = labels.split(',').filter(|label| !label.is_empty());
            let names = names.map(|label| label.split_once('=').unwrap().0.to_owned());
            metrics.get_mut(&current).unwrap().1.extend(names.filter(|name| name != "le"));
        }
    }
    metrics
}

/// The same as docs/metrics.md tells it.
fn told() -> Metrics {
    let document = fs::read_to_string("docs/metrics.md").unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let mut metrics = Metrics::new();
    for row in rows.filter(|row| row.contains("amqp_agentd_") || row.contains("`process_")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names = cells[2].split([',', ' ']).map(|label| label.trim_matches('`'));
        let labels = names.filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let name = cells[0].trim_matches('`').to_owned();
        assert!(!cells[3].is_empty(), "{name} has no meaning");
        let known = metrics.insert(name, (cells[1].to_owned(), labels));
        assert_eq!(known, None, "told twice: {row}");
    }
    metrics
}

#[test]
fn the_document_tells_of_every_metric_with_its_type_and_labels_and_of_no_other() {
    let shown = metrics(&shown(view(vec![agent("orders", seasoned())]), Format::Text));
    let told = told();
    assert!(shown.len() > 30, "{shown:#?}");
    for (name, metric) in &shown {
        assert_eq!(told.get(name), Some(metric), "docs/metrics.md on {name}");
    }
    let extra: Vec<_> = told.keys().filter(|name| !shown.contains_key(*name)).collect();
    assert!(extra.is_empty(), "docs/metrics.md tells of what is not there: {extra:?}");
}

#[test]
fn the_document_counts_the_series_of_an_agent_with_one_backend() {
    let meters = seasoned();
    for number in meters.sessions_ended.iter().chain(meters.backends()[0].requests.as_flattened()) {
        number.set(0);
    }
    let text = shown(view(vec![agent("orders", meters)]), Format::Text);
    let count = text.lines().filter(|line| line.contains("agent=\"orders\"")).count();
    let document = fs::read_to_string("docs/metrics.md").unwrap();
    assert!(document.contains(&format!("has {count} series")), "{count}");
}

#[test]
fn values_are_what_the_meters_say() {
    let meters = seasoned();
    meters.received.add(7);
    meters.delivered.add(5);
    meters.panics.add(2);
    meters.held.set(2);
    meters.in_flight.set(1);
    let text = shown(view(vec![agent("orders", meters)]), Format::OpenMetrics);
    for line in [
        "amqp_agentd_config_reloads_total{result=\"ok\"} 3",
        "amqp_agentd_config_reloads_total{result=\"failed\"} 2",
        "amqp_agentd_config_last_load_successful 0",
        "amqp_agentd_config_broken_files 3",
        "amqp_agentd_agent_state{agent=\"orders\",state=\"holding\"} 1",
        "amqp_agentd_agent_state{agent=\"orders\",state=\"consuming\"} 0",
        "amqp_agentd_agent_state_since_timestamp_seconds{agent=\"orders\"} 1700000000.5",
        "amqp_agentd_agent_panics_total{agent=\"orders\"} 2",
        "amqp_agentd_sessions_ended_total{agent=\"orders\",cause=\"no_delayed_retry\"} 1",
        "amqp_agentd_last_received_timestamp_seconds{agent=\"orders\"} 1700000000.25",
        "amqp_agentd_messages_received_total{agent=\"orders\"} 7",
        "amqp_agentd_messages_settled_total{agent=\"orders\",kind=\"delivered\"} 5",
        "amqp_agentd_messages_settled_total{agent=\"orders\",kind=\"dead_lettered\"} 4",
        "amqp_agentd_dead_letters_total{agent=\"orders\",reason=\"max_age\"} 1",
        "amqp_agentd_messages_held{agent=\"orders\"} 2",
        "amqp_agentd_messages_in_flight{agent=\"orders\"} 1",
        "amqp_agentd_window_messages{agent=\"orders\"} 100",
        "process_cpu_seconds_total 1.5",
        "process_max_fds 5",
        "process_start_time_seconds 1600000000.0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn a_histogram_counts_up_to_each_of_its_bounds() {
    let meters = Meters::default();
    let backend = meters.backend(&Arc::from("billing"));
    let reply = Reply::Answered { status: 200, retry_after: None };
    for millis in [1, 3, 3, 900, 1_000, 1_001, 70_000] {
        backend.replied(&reply, Outcome::Delivered, Duration::from_millis(millis));
    }
    let text = shown(view(vec![agent("orders", meters)]), Format::Text);
    let value = |rest: &str| {
        let name = "amqp_agentd_backend_request_duration_seconds";
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(rest));
        lines.next().map(str::trim).map(str::to_owned)
    };
    let of = "agent=\"orders\",backend=\"billing\"}";
    for (bound, count) in
        [("0.001", 1), ("0.0025", 1), ("0.005", 3), ("0.5", 3), ("1.0", 5), ("2.5", 6), ("60.0", 6)]
    {
        let found = value(&format!("_bucket{{le=\"{bound}\",{of}"));
        assert_eq!(found, Some(count.to_string()), "up to {bound}\n{text}");
    }
    assert_eq!(value(&format!("_bucket{{le=\"+Inf\",{of}")), Some("7".into()));
    assert_eq!(value(&format!("_count{{{of}")), Some("7".into()));
    assert_eq!(value(&format!("_sum{{{of}")), Some("72.908".into()));
}

#[test]
fn what_never_happened_takes_no_series_but_what_alerts_wait_for_is_there() {
    let meters = Meters::default();
    drop(meters.backend(&Arc::from("billing")));
    let text = shown(view(vec![agent("orders", meters)]), Format::Text);
    for absent in
        ["max_age\"} 1", "login_refused", "5xx", "_bucket", "last_alive_timestamp_seconds{"]
    {
        assert!(!text.contains(absent), "{absent} is in\n{text}");
    }
    let usual = format!(
        "status_class=\"{}\",outcome=\"{}\"}} 0",
        Class::Success.text(),
        Judged::Delivered.text()
    );
    for there in
        [&*usual, "cause=\"lost\"} 0", "reason=\"max_age\"} 0", "backend_breaker_open{agent"]
    {
        assert!(text.contains(there), "{there} is not in\n{text}");
    }
}

#[test]
fn a_daemon_without_agents_shows_itself() {
    let text = shown(view(Vec::new()), Format::Text);
    let version =
        format!("amqp_agentd_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "{text}");
    assert!(!text.contains("agent="), "{text}");
}

#[test]
fn a_name_with_quotes_breaks_nothing() {
    let meters = Meters::default();
    drop(meters.backend(&Arc::from("a \"b\" \\ c")));
    let text = shown(view(vec![agent("orders", meters)]), Format::OpenMetrics);
    assert!(text.contains(r#"backend="a \"b\" \\ c"} 0"#), "{text}");
}

#[test]
fn the_kernel_tells_of_this_process() {
    let process = process::now().unwrap();
    assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes);
    assert!(process.open_files >= 3 && process.threads >= 1, "{process:?}");
}
