//! From a KrakenD configuration to agent files: each `async_agent` on RabbitMQ with the values that
//! KrakenD gives it, and a warning for all that has no equal here. Nothing is read or written.
//!
//! ```text
//! text ─▶ form ─▶ tree ─▶ service ─▶ agent ─▶ draft ─▶ check ─▶ agent files
//!         JSON    values  what all   source            as `check`
//!         TOML    with    inherit    backend           would, its problems told
//!         or not  places                               at KrakenD's lines
//! ```

mod agent;
mod backend;
mod connection;
mod consumer;
mod draft;
mod foreign;
mod form;
mod json;
mod name;
mod notes;
mod service;
mod source;
mod tree;

use std::path::{Path, PathBuf};

use crate::config::error::Problem;
use crate::config::{Environment, problems_of};
use draft::Draft;
use notes::Notes;
use tree::Table;

/// The longest KrakenD file that is read.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of a KrakenD file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The agents, by their order there; none where anything has to be mended first.
    pub agents: Vec<AgentFile>,
    /// Errors and warnings, by place. Their texts hold no password.
    pub problems: Vec<Problem>,
    /// How many agents were skipped.
    pub skipped: usize,
    /// How many endpoints there are, which stay KrakenD's.
    pub endpoints: usize,
}

/// An agent file that `check` accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFile {
    /// The agent's name, and the file's stem.
    pub name: String,
    /// What stands in the file.
    pub text: String,
    /// False where it would tell backends something else than KrakenD did.
    pub is_enabled: bool,
    /// A password stands in it.
    pub has_secret: bool,
}

impl Imported {
    /// Whether anything has to be mended first.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

/// What `text`, which was read from `path`, becomes.
#[must_use]
pub fn import(path: &Path, text: &str) -> Imported {
    let mut notes = Notes::of(path, text);
    let mut imported =
        Imported { agents: Vec::new(), problems: Vec::new(), skipped: 0, endpoints: 0 };
    let tree = form::read(path, text, &mut notes);
    let root = tree.as_ref().map(|tree| (tree, Table::root(tree)));
    if let Some((tree, None)) = &root {
        let problem = "this is no configuration of KrakenD, which is an object";
        notes.error(&tree.span, problem, "name its main file, krakend.json");
    }
    if let Some((_, Some(root))) = root {
        let service = service::service(&root, &mut notes);
        let mut drafts: Vec<Draft> = Vec::new();
        for (index, item) in service.agents.iter().enumerate() {
            let taken: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
            drafts.extend(agent::agent(item, index, &service, &taken, &mut notes));
        }
        check(&drafts, &mut notes);
        imported.skipped = service.agents.len() - drafts.len();
        imported.endpoints = service.endpoints;
        if !notes.has_errors() {
            imported.agents = drafts.iter().map(AgentFile::of).collect();
        }
    }
    imported.problems = notes.problems;
    imported.problems.sort();
    imported.problems.dedup();
    imported
}

impl AgentFile {
    fn of(draft: &Draft) -> Self {
        Self {
            name: draft.name.clone(),
            text: draft.text(),
            is_enabled: !draft.is_switched_off,
            has_secret: draft.has_secret,
        }
    }
}

/// Nothing is put in for `${…}`, which none of our own files has.
struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<std::ffi::OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

/// Tells what `check` would say of the files, each alone and together, at KrakenD's lines.
fn check(drafts: &[Draft], notes: &mut Notes<'_>) {
    let texts: Vec<(PathBuf, String)> =
        drafts.iter().map(|draft| (file_name(&draft.name), draft.checked())).collect();
    for problem in problems_of(&texts, &Nothing) {
        let Some(place) = &problem.place else { continue };
        let draft = drafts.iter().find(|draft| file_name(&draft.name) == place.file);
        let Some(draft) = draft else { continue };
        let said = format!("agent {}: {}", draft.name, problem.problem);
        notes.push(&draft.origin(place.line), problem.severity, said, problem.remedy);
    }
}

fn file_name(agent: &str) -> PathBuf {
    PathBuf::from(format!("{agent}.toml"))
}
