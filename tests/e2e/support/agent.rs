//! An agent file, made for a test.

use std::fmt;

use toml::{Table, Value};

use super::backend::Backend;
use super::vhost::Vhost;

/// An agent: a queue of the same name, short waits, and what the test sets.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The file's stem, and so the agent's name.
    pub name: String,
    table: Table,
}

impl Agent {
    /// An agent that takes from the queue `name` of `vhost` and tells `backend`.
    pub fn new(name: &str, vhost: &Vhost, backend: &Backend) -> Agent {
        Agent::between(name, &vhost.url(), &backend.url())
    }

    /// The same, by the broker's and the backend's URL: a proxy's, perhaps.
    pub fn between(name: &str, broker: &str, backend: &str) -> Agent {
        let agent = Agent { name: name.to_owned(), table: Table::new() };
        agent
            .set("async/amqp.host", broker)
            .set("async/amqp.name", name)
            .set("consumer.timeout", "10s")
            .set("connection.backoff_strategy", "fallback")
            .set("connection.health_interval", "1s")
            .set("retry.delays", vec!["100ms"])
            .backend(backend, &[])
    }

    /// Sets a key by its path, such as `consumer.workers`.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Agent {
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.table;
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let entry = table.entry(name).or_insert_with(|| Table::new().into());
            table = entry.as_table_mut().expect("what has keys is a table");
        }
        table.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of the backend that was added last.
    pub fn set_backend(mut self, key: &str, value: impl Into<Value>) -> Agent {
        let backends = self.backends();
        let backend = backends.last_mut().and_then(Value::as_table_mut).expect("there is one");
        backend.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a backend of one host, path `/`, with further keys.
    pub fn backend(mut self, url: &str, keys: &[(&str, Value)]) -> Agent {
        let mut backend = Table::new();
        backend.insert("host".to_owned(), vec![url].into());
        backend.insert("url_pattern".to_owned(), "/".into());
        backend.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.backends().push(backend.into());
        self
    }

    fn backends(&mut self) -> &mut Vec<Value> {
        let backends = self.table.entry("backend").or_insert_with(|| Value::Array(Vec::new()));
        backends.as_array_mut().expect("backends are a list")
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&toml::to_string(&self.table).expect("a table is TOML"))
    }
}
