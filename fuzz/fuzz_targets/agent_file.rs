//! The agent file: whatever text comes, nothing panics, and every problem has a place in it.

#![no_main]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use amqp_agentd::config::{Environment, load_agent_text};
use libfuzzer_sys::fuzz_target;

/// What a reference to the environment stands for.
const SECRET: &str = "hunter2:/?#@";

struct OneSecret;

impl Environment for OneSecret {
    fn variable(&self, name: &str) -> Option<OsString> {
        (name == "S").then(|| SECRET.into())
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

fuzz_target!(|text: &str| {
    let (definition, problems) = load_agent_text(Path::new("agent.toml"), text, &OneSecret);
    for problem in &problems {
        let place = problem.place.as_ref().expect("a problem of a file has a place in it");
        let line = text.split('\n').nth(place.line - 1).expect("the line is there");
        assert!(place.column <= line.chars().count() + 1, "{problem}");
        assert!(!problem.to_string().contains("hunter2") || text.contains("hunter2"), "{problem}");
    }
    assert!(definition.is_some() || problems.iter().any(|problem| problem.is_error()));
    if let Some(definition) = definition {
        assert!(!problems.iter().any(|problem| problem.is_error()));
        assert!(!definition.backends.is_empty() && !definition.source.brokers.is_empty());
        assert!(!definition.retry.delays.is_empty());
    }
});
