//! A KrakenD configuration: whatever text comes, nothing panics, every problem has a place in it,
//! and each agent file that is made passes `check`.

#![no_main]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use amqp_agentd::config::{Environment, load_agent_text};
use amqp_agentd::import::import;
use libfuzzer_sys::fuzz_target;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

fuzz_target!(|text: &str| {
    // The first byte says which of the two forms it is.
    let path = if text.starts_with('v') { "krakend.toml" } else { "krakend.json" };
    let imported = import(Path::new(path), text);
    for problem in &imported.problems {
        let place = problem.place.as_ref().expect("a problem of a file has a place in it");
        let line = text.split('\n').nth(place.line - 1).expect("the line is there");
        assert!(place.column <= line.chars().count() + 1, "{problem}");
    }
    assert!(!imported.has_errors() || imported.agents.is_empty());
    for agent in &imported.agents {
        let path = PathBuf::from(format!("{}.toml", agent.name));
        let (_, problems) = load_agent_text(&path, &agent.text, &Nothing);
        let errors = problems.iter().filter(|problem| problem.is_error());
        // What only the daemon's machine has is not there.
        for error in errors {
            assert!(text.contains("file="), "{error}\n{}", agent.text);
        }
    }
});
