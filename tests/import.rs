//! KrakenD's files, the documented one and all sorts of others: what is made of them, and the exact
//! words that a user reads. `UPDATE_EXPECTED=1 cargo test --test import` writes them anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::config::{Environment, load_agent_text};
use amqp_agentd::import::{Imported, import};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What no warning may ever show.
const SECRET: &str = "hunter2";

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

/// What holds of everything that is imported; `None`, or what does not.
fn fault(imported: &Imported) -> Option<String> {
    if imported.has_errors() != imported.agents.is_empty() && !imported.agents.is_empty() {
        return Some("there are agents beside errors".to_owned());
    }
    for problem in &imported.problems {
        if problem.place.is_none() || problem.problem.is_empty() || problem.remedy.is_empty() {
            return Some(format!("{problem} lacks something"));
        }
    }
    for agent in &imported.agents {
        let path = PathBuf::from(format!("{}.toml", agent.name));
        let (definition, problems) = load_agent_text(&path, &agent.text, &NoEnvironment);
        // What only the daemon's machine has.
        let is_there = |problem: &str| !problem.contains("does not exist");
        let errors = problems.iter().filter(|problem| problem.is_error());
        let errors: Vec<_> = errors.filter(|problem| is_there(&problem.problem)).collect();
        if !errors.is_empty() {
            return Some(format!("{errors:?}\n{}", agent.text));
        }
        if definition.is_some_and(|definition| *definition.name != *agent.name) {
            return Some(format!("{} is named otherwise", agent.name));
        }
    }
    None
}

#[track_caller]
fn assert_expected(expected: &Path, output: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected, output).unwrap();
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    assert_eq!(output, wanted, "{} differs", expected.display());
}

#[test]
fn every_file_of_krakend_becomes_what_is_written_down() {
    let mut count = 0;
    for entry in fs::read_dir("tests/fixtures/import").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expected") {
            continue;
        }
        count += 1;
        let imported = import(&path, &fs::read_to_string(&path).unwrap());
        let problems: Vec<String> = imported.problems.iter().map(ToString::to_string).collect();
        assert!(!problems.concat().contains(SECRET), "a secret is shown: {problems:?}");
        if let Some(fault) = fault(&imported) {
            panic!("{name}: {fault}");
        }
        let files = imported.agents.iter().map(|agent| {
            format!("\n==> {}.toml (secret: {})\n{}", agent.name, agent.has_secret, agent.text)
        });
        let files: String = files.collect();
        let counts = format!("skipped {}, endpoints {}", imported.skipped, imported.endpoints);
        let output = format!("{}\n{counts}\n{files}", problems.join("\n"));
        assert_expected(&path.with_file_name(format!("{name}.expected")), &output);
    }
    assert!(count > 0);
}

#[test]
fn json_and_toml_become_the_same() {
    let read = |name: &str| {
        let path = Path::new("tests/fixtures/import").join(name);
        import(&path, &fs::read_to_string(&path).unwrap()).agents
    };
    assert_eq!(read("documented.json"), read("same.toml"));
}

/// What the one agent of a file has at `path` of its own, as TOML reads it.
fn imported(config: &Value) -> (toml::Table, Vec<String>) {
    let imported = import(Path::new("krakend.json"), &config.to_string());
    let problems = imported.problems.iter().map(ToString::to_string).collect();
    let text = imported.agents.first().map(|agent| agent.text.clone());
    let text = text.unwrap_or_else(|| panic!("{problems:?}"));
    (text.parse().unwrap(), problems)
}

/// A file with one agent: `set` changes it by JSON pointers.
fn config(set: &[(&str, Value)]) -> Value {
    let mut config = json!({
        "version": 3,
        "timeout": null,
        "host": null,
        "async_agent": [{
            "name": "orders",
            "connection": {},
            "consumer": { "topic": "#" },
            "backend": [{ "host": ["http://localhost:8080"], "url_pattern": "/orders" }],
            "extra_config": { "async/amqp": {
                "host": "amqp://localhost", "name": "orders", "exchange": "shop"
            } },
        }],
    });
    for (pointer, value) in set {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
    }
    config
}

const AMQP: &str = "/async_agent/0/extra_config/async~1amqp";
const CONSUMER: &str = "/async_agent/0/consumer";
const CONNECTION: &str = "/async_agent/0/connection";
const BACKEND: &str = "/async_agent/0/backend/0";

/// A key of KrakenD with a value, and what that makes of a key of the agent file; as JSON, where an
/// empty one is none.
type Case = ((&'static str, &'static str), &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    // What is not there has KrakenD's default, where that is not ours.
    (("", "version"), "3", "async/amqp.durable", "false"),
    (("", "version"), "3", "async/amqp.prefetch_count", "100"),
    (("", "version"), "3", "async/amqp.delete", ""),
    (("", "version"), "3", "consumer.workers", "1"),
    (("", "version"), "3", "consumer.timeout", r#""2s""#),
    (("", "version"), "3", "consumer.max_rate", ""),
    (("", "version"), "3", "connection.max_retries", ""),
    (("", "version"), "3", "connection.backoff_strategy", r#""fallback""#),
    (("", "version"), "3", "connection.health_interval", r#""1s""#),
    (("", "version"), "3", "retry.strategy", r#""requeue""#),
    (("", "version"), "3", "backend.0.method", r#""GET""#),
    // What all agents inherit.
    (("", "timeout"), r#""700ms""#, "consumer.timeout", r#""700ms""#),
    (("", "timeout"), r#""0s""#, "consumer.timeout", r#""2s""#),
    ((AMQP, "host"), r#""amqp://u@h:1/v""#, "async/amqp.host", r#""amqp://u@h:1/v""#),
    ((AMQP, "name"), r#""q""#, "async/amqp.name", r#""q""#),
    ((AMQP, "exchange"), r#""x""#, "async/amqp.exchange", r#""x""#),
    ((AMQP, "exchange"), r#""""#, "async/amqp.exchange", ""),
    ((AMQP, "exchange"), r#""""#, "consumer.topic", ""),
    ((AMQP, "durable"), "true", "async/amqp.durable", "true"),
    ((AMQP, "delete"), "true", "async/amqp.delete", "true"),
    ((AMQP, "exclusive"), "true", "async/amqp.exclusive", "true"),
    ((AMQP, "no_wait"), "true", "async/amqp.no_wait", ""),
    ((AMQP, "no_local"), "true", "async/amqp.no_local", ""),
    ((AMQP, "prefetch_size"), "9", "async/amqp.prefetch_size", ""),
    ((AMQP, "prefetch_count"), "7", "async/amqp.prefetch_count", "7"),
    ((AMQP, "prefetch_count"), "0", "async/amqp.prefetch_count", "100"),
    ((AMQP, "auto_ack"), "true", "async/amqp.auto_ack", "true"),
    ((AMQP, "auto_ack"), "true", "retry.strategy", ""),
    ((AMQP, "nack_discard"), "true", "async/amqp.nack_discard", "true"),
    ((AMQP, "nack_discard"), "true", "retry.strategy", ""),
    ((CONSUMER, "topic"), r#""a.*""#, "consumer.topic", r#""a.*""#),
    ((CONSUMER, "workers"), "5", "consumer.workers", "5"),
    ((CONSUMER, "workers"), "2.0", "consumer.workers", "2"),
    ((CONSUMER, "workers"), "0", "consumer.workers", "1"),
    ((CONSUMER, "workers"), "300", "async/amqp.prefetch_count", "600"),
    ((CONSUMER, "timeout"), r#""1m30s""#, "consumer.timeout", r#""90s""#),
    ((CONSUMER, "timeout"), "1500000000", "consumer.timeout", r#""1500ms""#),
    ((CONSUMER, "max_rate"), "0.5", "consumer.max_rate", "0.5"),
    ((CONSUMER, "max_rate"), "-1", "consumer.max_rate", ""),
    ((CONNECTION, "max_retries"), "4", "connection.max_retries", "4"),
    ((CONNECTION, "max_retries"), "-4", "connection.max_retries", ""),
    ((CONNECTION, "backoff_strategy"), r#""Linear""#, "connection.backoff_strategy", r#""linear""#),
    ((CONNECTION, "backoff_strategy"), r#""none""#, "connection.backoff_strategy", r#""fallback""#),
    ((CONNECTION, "health_interval"), r#""1ms""#, "connection.health_interval", r#""1s""#),
    ((CONNECTION, "health_interval"), r#""1m""#, "connection.health_interval", r#""1m""#),
    ((BACKEND, "host"), r#"["h:80/"]"#, "backend.0.host", r#"["http://h:80"]"#),
    ((BACKEND, "host"), r#""http://a,http://b""#, "backend.0.host", r#"["http://a", "http://b"]"#),
    ((BACKEND, "url_pattern"), r#""a/{b}""#, "backend.0.url_pattern", r#""/a/%7Bb%7D""#),
    ((BACKEND, "method"), r#""put""#, "backend.0.method", r#""PUT""#),
    ((BACKEND, "encoding"), r#""no-op""#, "backend.0.encoding", ""),
    ((BACKEND, "sd"), r#""dns""#, "enabled", "false"),
    ((BACKEND, "sd"), r#""static""#, "enabled", ""),
];

/// Each key keeps the value that it has in KrakenD, or has by default.
#[test]
fn every_key_keeps_the_value_that_it_has_in_krakend() {
    for ((parent, name), value, key, expected) in CASES {
        let json = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let set = [(&*format!("{parent}/{name}"), json(value))];
        let (table, problems) = imported(&config(&set));
        let mut found = Some(toml::Value::Table(table));
        for part in key.split('.') {
            found = found.and_then(|value| match part.parse::<usize>() {
                Ok(index) => value.get(index).cloned(),
                Err(_) => value.get(part).cloned(),
            });
        }
        let is_set = !expected.is_empty();
        let expected = is_set.then(|| toml::Value::try_from(json(expected)).unwrap());
        assert_eq!(found, expected, "{name} = {value} makes {key}; {problems:?}");
    }
}

/// Values of every kind, the right ones more often.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        (-3_i64..70_000).prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z./{}$:@-]{0,12}".prop_map(Into::into),
        "(amqp|http)://([a-z]*(:[a-z%]*)?@)?[a-z]{0,5}(:[0-9]{1,6})?/?".prop_map(Into::into),
        "[0-9]{1,4}(ms|s|m|h|d)".prop_map(Into::into),
        proptest::collection::vec("[a-z]{0,4}", 0..3).prop_map(|texts| json!(texts)),
        Just(json!({ "shadow": true, "sequential": true })),
    ]
}

fn changes() -> impl Strategy<Value = Vec<(String, Value)>> {
    let keys = |parent: &'static str, keys: &'static [&'static str]| {
        proptest::sample::select(keys).prop_map(move |key| format!("{parent}/{key}"))
    };
    let pointer = prop_oneof![
        keys("", &["version", "timeout", "host", "client_tls", "endpoints"]),
        keys("/async_agent/0", &["name", "encoding", "connection", "consumer", "extra"]),
        keys(
            AMQP,
            &[
                "host",
                "name",
                "exchange",
                "durable",
                "delete",
                "exclusive",
                "no_wait",
                "auto_ack",
                "prefetch_count",
                "prefetch_size",
                "no_local",
                "nack_discard",
                "unknown",
            ]
        ),
        keys(CONSUMER, &["topic", "workers", "timeout", "max_rate", "unknown"]),
        keys(CONNECTION, &["max_retries", "backoff_strategy", "health_interval"]),
        keys(
            BACKEND,
            &[
                "host",
                "url_pattern",
                "method",
                "encoding",
                "sd",
                "group",
                "extra_config",
                "disable_host_sanitize",
                "unknown",
            ]
        ),
    ];
    proptest::collection::vec((pointer, value()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_file_says_each_agent_file_passes_check(changes in changes()) {
        // What makes a table something else hides the keys in it; so those come last.
        let mut changes = changes;
        changes.sort_by_key(|(pointer, _)| std::cmp::Reverse(pointer.matches('/').count()));
        let set: Vec<_> = changes.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
        let imported = import(Path::new("krakend.json"), &config(&set).to_string());
        prop_assert_eq!(fault(&imported), None);
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), extension in "json|toml|yaml|tmpl|") {
        let imported = import(&PathBuf::from(format!("krakend.{extension}")), &text);
        prop_assert_eq!(fault(&imported), None);
    }
}
