//! The reference of the files tells of every key what the code knows, and of no other: its type, its
//! default, its limits, and an example that passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod limits;
mod machine;
mod page;
mod spec;
mod words;

use std::fs;

use toml::Table;

use machine::{Machine, as_file, errors, overlay, small, value, with};
use page::{Row, reference};
use spec::keys;

const REFERENCE: &str = "docs/agent-file.md";

/// Each spec of `src/config/spec.rs`: the heading that its keys stand under, and where they are in
/// a file.
const SECTIONS: [(&str, &str, Home); 16] = [
    ("AgentSpec", "Top of the file", Home::Agent(&[])),
    ("AmqpSpec", "[\"async/amqp\"]: where messages come from", Home::Agent(&["async/amqp"])),
    ("BrokerTlsSpec", "tls in [\"async/amqp\"]", Home::Agent(&["async/amqp", "tls"])),
    ("ConsumerSpec", "[consumer]: how they are taken", Home::Agent(&["consumer"])),
    (
        "ConnectionSpec",
        "[connection]: how a lost connection is taken up again",
        Home::Agent(&["connection"]),
    ),
    ("RetrySpec", "[retry]: when a message failed", Home::Agent(&["retry"])),
    ("DeadLetterSpec", "[dead_letter]: what is not tried again", Home::Agent(&["dead_letter"])),
    ("HoldSpec", "[hold]: while a backend is unwell", Home::Agent(&["hold"])),
    ("DispatchSpec", "[dispatch]: how several backends are told", Home::Agent(&["dispatch"])),
    ("BackendSpec", "[[backend]]: where messages go", Home::Agent(&["backend"])),
    ("StatusSpec", "status of a backend", Home::Agent(&["backend", "status"])),
    ("BackendTlsSpec", "tls of a backend", Home::Agent(&["backend", "tls"])),
    ("DaemonSpec", "[daemon] of the main file", Home::Main("daemon")),
    ("LogSpec", "[log] of the main file", Home::Main("log")),
    ("AdminSpec", "[admin] of the main file", Home::Main("admin")),
    ("TracingSpec", "[tracing] of the main file", Home::Main("tracing")),
];

/// Where a key belongs.
#[derive(Clone, Copy)]
enum Home {
    /// In the table at this path of an agent file.
    Agent(&'static [&'static str]),
    /// In this table of the main file.
    Main(&'static str),
}

/// What else a file needs that has a key of a table, or one key of it.
const COMPANIONS: [(&str, &str, &str); 8] = [
    ("AmqpSpec", "tls", "[\"async/amqp\"]\nhost = \"amqps://localhost/\""),
    ("BrokerTlsSpec", "", "[\"async/amqp\"]\nhost = \"amqps://localhost/\""),
    ("BrokerTlsSpec", "cert", "[\"async/amqp\".tls]\nkey = \"client.key\""),
    ("BrokerTlsSpec", "key", "[\"async/amqp\".tls]\ncert = \"client.pem\""),
    ("DeadLetterSpec", "routing_key", "[dead_letter]\nexchange = \"dead\""),
    ("BackendSpec", "tls", "[backend]\nhost = \"https://shop\""),
    ("BackendTlsSpec", "", "[backend]\nhost = \"https://shop\""),
    ("BackendTlsSpec", "cert", "[backend.tls]\nkey = \"client.key\""),
];

/// The same, where one key needs another that is named like it.
const BACKEND_KEY: (&str, &str, &str) =
    ("BackendTlsSpec", "key", "[backend.tls]\ncert = \"client.pem\"");

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_key_is_told_of_with_its_type_and_its_default_and_no_other() {
    let document = text(REFERENCE);
    let mut reference = reference();
    let mut wrong = Vec::new();
    for key in keys() {
        if key.is_section() {
            let table = [format!("[{}]", key.name), format!("[\"{}\"]", key.name)];
            let headings = document.lines().filter(|line| line.starts_with("##"));
            if !headings.clone().any(|line| table.iter().any(|table| line.contains(table))) {
                wrong.push(format!("the table {} has no heading", key.name));
            }
            continue;
        }
        let Some((_, heading, _)) = SECTIONS.iter().find(|(spec, ..)| *spec == key.spec) else {
            wrong.push(format!("{} has no place in SECTIONS", key.spec));
            continue;
        };
        let rows = reference.entry((*heading).to_owned()).or_default();
        let Some(place) = rows.iter().position(|row| row.name == key.name) else {
            wrong.push(format!("`{}` is missing under {heading}", key.name));
            continue;
        };
        let row = rows.remove(place);
        for (what, told, known) in [
            ("type", row.kind.as_str(), key.kind()),
            ("default", row.default.as_str(), key.default().as_str()),
        ] {
            if told != known {
                let name = &key.name;
                wrong.push(format!(
                    "the {what} of `{name}` under {heading} is {known:?}, told is {told:?}"
                ));
            }
        }
        if row.meaning.is_empty() || row.example.is_empty() {
            wrong.push(format!("`{}` under {heading} has no meaning or no example", key.name));
        }
    }
    let stale = reference.values().flatten();
    wrong.extend(stale.map(|row| format!("`{}` is told of and no key", row.name)));
    assert!(wrong.is_empty(), "{REFERENCE}: {wrong:#?}");
}

#[test]
fn each_example_passes_check() {
    let machine = Machine::new();
    let mut wrong = Vec::new();
    for (spec, heading, home) in SECTIONS {
        for Row { name, example, .. } in reference().remove(heading).unwrap() {
            let Some(value) = value(&example) else {
                wrong.push(format!("the example of `{name}` is no value: {example}"));
                continue;
            };
            let problems = match home {
                Home::Main(table) => {
                    machine.main(&with(Table::new(), &[table], &name, value)).problems
                }
                Home::Agent(path) => {
                    let mut table = small();
                    for (_, _, also) in COMPANIONS
                        .iter()
                        .chain([&BACKEND_KEY])
                        .filter(|(of, key, _)| *of == spec && (key.is_empty() || *key == name))
                    {
                        overlay(&mut table, toml::from_str(also).unwrap());
                    }
                    machine.agent(&as_file(with(table, path, &name, value))).1
                }
            };
            let errors = errors(&problems);
            if !errors.is_empty() {
                wrong.push(format!("`{name} = {example}` under {heading}: {errors:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{REFERENCE}: {wrong:#?}");
}

/// A file that states a default means what one without the key means: so the code has it too.
#[test]
fn each_default_is_what_a_file_without_the_key_comes_to() {
    let machine = Machine::new();
    let plain = machine.agent(&as_file(small())).0.unwrap();
    let settings = machine.main(&Table::new()).settings;
    let (mut compared, mut wrong) = (0, Vec::new());
    for (_, heading, home) in SECTIONS {
        for Row { name, default, .. } in reference().remove(heading).unwrap() {
            let Some(value) = value(&default) else { continue };
            let is_same = match home {
                Home::Agent(path) => {
                    let (stated, problems) =
                        machine.agent(&as_file(with(small(), path, &name, value)));
                    assert!(stated.is_some(), "{name}: {problems:?}");
                    stated.as_ref() == Some(&plain)
                }
                Home::Main(table) => {
                    let loaded = machine.main(&with(Table::new(), &[table], &name, value));
                    let mut stated = loaded.settings;
                    assert!(!loaded.main_file_is_broken, "{name}: {:?}", loaded.problems);
                    if let Some(socket) = &mut stated.admin.socket {
                        // Of one that is named no less is expected; that is no default.
                        socket.is_named = false;
                    }
                    stated == settings
                }
            };
            compared += 1;
            if !is_same {
                wrong.push(format!("`{name}` under {heading} has another default than {default}"));
            }
        }
    }
    assert!(compared > 30, "only {compared} defaults are values");
    assert!(wrong.is_empty(), "{REFERENCE}: {wrong:#?}");
}

/// The reference is made of the same examples that a person tries: none is only looked at.
#[test]
fn a_wrong_default_and_a_wrong_example_are_found() {
    let machine = Machine::new();
    let plain = machine.agent(&as_file(small())).0.unwrap();
    let workers =
        |count: i64| machine.agent(&as_file(with(small(), &["consumer"], "workers", count.into())));
    assert_eq!(workers(10).0.as_ref(), Some(&plain));
    assert_ne!(workers(11).0.as_ref(), Some(&plain));
    assert!(!errors(&workers(0).1).is_empty());
}

#[test]
fn what_is_said_not_to_go_together_is_refused() {
    let machine = Machine::new();
    let document = text(REFERENCE);
    let (_, section) = document.split_once("## What does not go together\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let mut tried = 0;
    for row in rows {
        let mut table = small();
        for key in row.trim_end_matches('`').split("`, `") {
            let (home, line) = key.split_once("] ").unwrap();
            overlay(&mut table, toml::from_str(&format!("{home}]\n{line}\n")).unwrap());
        }
        let problems = machine.agent(&as_file(table)).1;
        assert!(!errors(&problems).is_empty(), "not refused: {row}");
        tried += 1;
    }
    assert!(tried > 5, "{section}");
}
