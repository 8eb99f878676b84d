//! The reference of the files tells of every key what the code knows, and of no other: its type, its
//! default, and an example that passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::config::definition::AgentDefinition;
use amqp_agentd::config::error::Problem;
use amqp_agentd::config::{Environment, Loaded, Paths, load, load_agent_text};
use tempfile::TempDir;
use toml::{Table, Value};

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

/// Each Rust type of a key, without what wraps it, in words.
const TYPES: [(&str, &str); 13] = [
    ("i64", "integer"),
    ("f64", "number"),
    ("bool", "boolean"),
    ("String", "string"),
    ("Strings", "string or list"),
    ("Period", "duration"),
    ("Vec<Spanned<Period>>", "list of durations"),
    ("Vec<Spanned<StatusEntry>>", "list of codes and classes"),
    ("BTreeMap<Spanned<String>, Spanned<Scalar>>", "table of strings, integers and booleans"),
    ("BTreeMap<Spanned<String>, Spanned<String>>", "table of strings"),
    ("Section<BrokerTlsSpec>", "table"),
    ("Section<StatusSpec>", "table"),
    ("Section<BackendTlsSpec>", "table"),
];

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A key as `src/config/spec.rs` has it.
struct Key {
    spec: String,
    name: String,
    rust_type: String,
    comment: String,
}

impl Key {
    /// It is a table with a heading of its own.
    fn is_section(&self) -> bool {
        let top = matches!(self.spec.as_str(), "MainSpec" | "DefaultsSpec" | "AgentSpec");
        let words = ["Table", "List of tables", "One table"];
        top && words.iter().any(|words| self.comment.starts_with(words))
    }

    fn default(&self) -> String {
        if self.comment.contains(", required: ") {
            return "required".to_owned();
        }
        let default = self.comment.split_once("Default: ").map_or("", |(_, default)| default);
        default.trim_end_matches('.').replace('`', "")
    }

    fn kind(&self) -> &str {
        let inner = self.rust_type.strip_prefix("Key<").and_then(|rest| rest.strip_suffix(">,"));
        let known = TYPES.iter().find(|(rust, _)| Some(*rust) == inner);
        known.map_or_else(|| panic!("no word for {}", self.rust_type), |(_, word)| word)
    }
}

fn keys() -> Vec<Key> {
    let source = text("src/config/spec.rs");
    let (mut spec, mut comment, mut renamed) = (String::new(), String::new(), None);
    let mut keys = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            comment = if comment.is_empty() { words.to_owned() } else { comment + " " + words };
        } else if let Some(rename) = line.strip_prefix("#[serde(rename = \"") {
            renamed = rename.strip_suffix("\")]").map(str::to_owned);
        } else if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            let end = rest.find([' ', '<']).unwrap_or(rest.len());
            spec = rest[..end].into();
            comment.clear();
        } else if let Some((name, rust_type)) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
        {
            let name = renamed.take().unwrap_or_else(|| name.to_owned());
            let comment = std::mem::take(&mut comment);
            keys.push(Key { spec: spec.clone(), name, rust_type: rust_type.to_owned(), comment });
        } else if line.is_empty() || line == "}" {
            comment.clear();
        }
    }
    assert!(keys.len() > 60, "spec.rs is no longer read right: {} keys", keys.len());
    keys
}

/// A row of the reference; backticks are left out of the cells.
#[derive(Debug)]
struct Row {
    name: String,
    kind: String,
    default: String,
    meaning: String,
    example: String,
}

/// The rows of each table of keys, by the heading above it.
fn reference() -> BTreeMap<String, Vec<Row>> {
    let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let (mut heading, mut is_table) = (String::new(), false);
    for line in text(REFERENCE).lines() {
        if line.starts_with("##") {
            heading = line.trim_start_matches('#').trim().replace('`', "");
        }
        is_table = line == "| key | type | default | meaning | example |"
            || (is_table && line.starts_with('|'));
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let ([name, kind, default, meaning, example], true) = (&*cells, is_table) {
            let Some(name) = name.strip_prefix('`').and_then(|rest| rest.split('`').next()) else {
                continue;
            };
            let plain = |cell: &str| cell.replace('`', "");
            let row = Row {
                name: name.to_owned(),
                kind: plain(kind),
                default: plain(default),
                meaning: (*meaning).to_owned(),
                example: plain(example),
            };
            sections.entry(heading.clone()).or_default().push(row);
        } else if is_table && !line.starts_with("|---") {
            panic!("{REFERENCE}: not five cells: {line}");
        }
    }
    sections
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

/// A machine with the files and the credentials that examples name, and nothing else.
struct Machine(TempDir);

impl Environment for Machine {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        for file in ["ca.pem", "client.pem", "client.key"] {
            fs::copy(Path::new("tests/fixtures/tls").join(file), folder.path().join(file)).unwrap();
        }
        for credential in ["amqp-password", "api-token"] {
            fs::write(folder.path().join(credential), "secret\n").unwrap();
        }
        fs::create_dir(folder.path().join("agents.d")).unwrap();
        Machine(folder)
    }

    fn agent(&self, table: &Table) -> (Option<AgentDefinition>, Vec<Problem>) {
        let text = toml::to_string(table).unwrap();
        load_agent_text(&self.0.path().join("orders.toml"), &text, self)
    }

    fn main(&self, table: &Table) -> Loaded {
        let main = self.0.path().join("amqp-agentd.toml");
        fs::write(&main, toml::to_string(table).unwrap()).unwrap();
        load(&Paths { main: Some(main), agents: None }, self)
    }
}

/// A small agent file.
fn small() -> Table {
    let text = "[\"async/amqp\"]\nhost = \"amqp://localhost/\"\nname = \"orders\"\nexchange = \"shop\"\n\
        [consumer]\ntopic = \"order.*\"\n[backend]\nhost = \"http://shop\"\nurl_pattern = \"/\"\n";
    toml::from_str(text).unwrap()
}

/// Puts the tables of `other` over those of `table`, key by key.
fn overlay(table: &mut Table, other: Table) {
    for (key, value) in other {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(other)) => overlay(inner, other),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// `key = value` in the table at `path`.
fn with(mut table: Table, path: &[&str], key: &str, value: Value) -> Table {
    let mut whole = Value::Table(Table::from_iter([(key.to_owned(), value)]));
    for name in path.iter().rev() {
        whole = Value::Table(Table::from_iter([((*name).to_owned(), whole)]));
    }
    overlay(&mut table, whole.as_table().unwrap().clone());
    table
}

/// The one backend as a list of one, which it is in an agent file.
fn as_file(mut table: Table) -> Table {
    let backend = table.remove("backend").unwrap();
    table.insert("backend".to_owned(), Value::Array(vec![backend]));
    table
}

/// What is written in a cell, if it is a value.
fn value(cell: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {cell}")).ok()?.remove("value")
}

fn errors(problems: &[Problem]) -> Vec<String> {
    problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect()
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
