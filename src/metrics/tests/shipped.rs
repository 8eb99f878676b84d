//! The alerts and the dashboard ask for what is there, and each alert says what to do.

use serde_json::Value;

use super::*;

const RULES: &str = "alerts/amqp-agentd.rules.yml";
const RULES_TEST: &str = "alerts/amqp-agentd.test.yml";
const DASHBOARD: &str = "dashboards/amqp-agentd.json";

/// What Prometheus adds to each series, and what a histogram has.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of this key, one a line or folded over the lines below it that are further in.
fn values(yaml: &str, key: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut folded = None;
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start().len();
        if folded.is_some_and(|outer| indent > outer) {
            let value = values.last_mut().unwrap();
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        folded = None;
        let entry = line.trim_start().trim_start_matches("- ");
        if let Some(value) = entry.strip_prefix(key).and_then(|rest| rest.strip_prefix(": ")) {
            let is_folded = value == ">-";
            folded = is_folded.then_some(indent);
            values.push(if is_folded { String::new() } else { value.to_owned() });
        }
    }
    values
}

fn expressions_of_dashboard(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| expressions_of_dashboard(one, found)),
        Value::Object(all) => {
            found.extend(all.get("expr").and_then(Value::as_str).map(str::to_owned));
            all.values().for_each(|one| expressions_of_dashboard(one, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Holds each metric, each label and each value that `expression` names to those that are shown.
fn check(expression: &str, shown: &str) {
    let metrics = metrics(shown);
    for (at, _) in expression.match_indices(is_of_name) {
        let before = expression[..at].chars().next_back();
        let rest = &expression[at..];
        let end = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
        let name = &rest[..end];
        let is_ours = name.starts_with("amqp_agentd_") || name.starts_with("process_");
        if before.is_some_and(is_of_name) || !is_ours {
            continue;
        }
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        let (_, labels) = metrics.get(name).unwrap_or_else(|| panic!("no {name}: {expression}"));
        let matchers = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        for matcher in matchers.map_or("", |(all, _)| all).split(", ").filter(|one| !one.is_empty())
        {
            let (label, value) = matcher.split_once('=').unwrap();
            if LABELS_OF_PROMETHEUS.contains(&label) {
                continue;
            }
            assert!(labels.contains(label), "{name} has no {label}: {expression}");
            let value = value.trim_start_matches('~').trim_matches('"');
            for one in value.split('|').filter(|one| !one.starts_with('$')) {
                let is_shown = shown.contains(&format!("{label}=\"{one}\""));
                assert!(is_shown, "{label} is never {one}: {expression}");
            }
        }
    }
    let all: BTreeSet<_> = metrics.values().flat_map(|(_, labels)| labels).collect();
    for word in ["by (", "on ("] {
        for list in expression.split(word).skip(1) {
            for label in list.split(')').next().unwrap().split(", ") {
                let is_known =
                    LABELS_OF_PROMETHEUS.contains(&label) || all.contains(&label.to_owned());
                assert!(is_known, "no metric has {label}: {expression}");
            }
        }
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_labels_and_values_that_are_there() {
    let shown = shown(view(vec![agent("orders", seasoned())]), Format::Text);
    let alerts = values(&text(RULES), "expr");
    assert!(alerts.len() > 10, "{alerts:#?}");
    let mut panels = Vec::new();
    expressions_of_dashboard(&serde_json::from_str(&text(DASHBOARD)).unwrap(), &mut panels);
    assert!(panels.len() > 20, "{panels:#?}");
    for expression in alerts.iter().chain(&panels) {
        check(expression, &shown);
    }
}

#[test]
fn each_alert_is_tried_and_leads_to_a_heading_that_says_what_to_do() {
    let rules = text(RULES);
    let (names, runbooks) = (values(&rules, "alert"), values(&rules, "runbook"));
    assert_eq!(names.len(), runbooks.len(), "an alert without a runbook");
    let tried = values(&text(RULES_TEST), "alertname");
    for name in &names {
        assert!(tried.contains(name), "{RULES_TEST} has nothing for {name}");
    }
    let operations = text("docs/operations.md");
    let headings: Vec<_> = operations
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    for runbook in runbooks {
        let (file, anchor) = runbook.split_once('#').unwrap();
        assert_eq!(file, "docs/operations.md");
        assert!(headings.iter().any(|heading| heading == anchor), "no heading for {runbook}");
    }
}

#[test]
fn each_panel_says_what_it_shows() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("$instance"), "{title} shows all daemons: {expression}");
        }
    }
}
