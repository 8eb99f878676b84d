//! A machine that files are tried on.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::config::definition::AgentDefinition;
use amqp_agentd::config::error::Problem;
use amqp_agentd::config::{Environment, Loaded, Paths, load, load_agent_text};
use tempfile::TempDir;
use toml::{Table, Value};

/// A machine with the files and the credentials that examples name, and nothing else.
pub(crate) struct Machine(TempDir);

impl Environment for Machine {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }
}

impl Machine {
    pub(crate) fn new() -> Machine {
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

    pub(crate) fn agent(&self, table: &Table) -> (Option<AgentDefinition>, Vec<Problem>) {
        let text = toml::to_string(table).unwrap();
        load_agent_text(&self.0.path().join("orders.toml"), &text, self)
    }

    pub(crate) fn main(&self, table: &Table) -> Loaded {
        let main = self.0.path().join("amqp-agentd.toml");
        fs::write(&main, toml::to_string(table).unwrap()).unwrap();
        load(&Paths { main: Some(main), agents: None }, self)
    }
}

/// A small agent file.
pub(crate) fn small() -> Table {
    let text = "[\"async/amqp\"]\nhost = \"amqp://localhost/\"\nname = \"orders\"\nexchange = \"shop\"\n\
        [consumer]\ntopic = \"order.*\"\n[backend]\nhost = \"http://shop\"\nurl_pattern = \"/\"\n";
    toml::from_str(text).unwrap()
}

/// Puts the tables of `other` over those of `table`, key by key.
pub(crate) fn overlay(table: &mut Table, other: Table) {
    for (key, value) in other {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(other)) => overlay(inner, other),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// `key = value` in the table at `path`.
pub(crate) fn with(mut table: Table, path: &[&str], key: &str, value: Value) -> Table {
    let mut whole = Value::Table(Table::from_iter([(key.to_owned(), value)]));
    for name in path.iter().rev() {
        whole = Value::Table(Table::from_iter([((*name).to_owned(), whole)]));
    }
    overlay(&mut table, whole.as_table().unwrap().clone());
    table
}

/// The one backend as a list of one, which it is in an agent file.
pub(crate) fn as_file(mut table: Table) -> Table {
    let backend = table.remove("backend").unwrap();
    table.insert("backend".to_owned(), Value::Array(vec![backend]));
    table
}

/// What is written in a cell, if it is a value.
pub(crate) fn value(cell: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {cell}")).ok()?.remove("value")
}

pub(crate) fn errors(problems: &[Problem]) -> Vec<String> {
    problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect()
}
