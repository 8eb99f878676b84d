//! The top of a KrakenD file: what its agents inherit.

use std::time::Duration;

use super::draft::Found;
use super::foreign;
use super::notes::Notes;
use super::tree::{Item, Span, Table};
use crate::config::error::Severity;

/// The version of KrakenD's syntax that this was written for.
const VERSION: i64 = 3;

/// What agents have of the file as a whole.
#[derive(Debug)]
pub(super) struct Service<'n> {
    /// For a message, where the agent says nothing.
    pub timeout: Found<Duration>,
    /// Of a backend that names none.
    pub hosts: Vec<(Span, &'n str)>,
    /// The agents, by their order.
    pub agents: Vec<Item<'n>>,
    /// How many endpoints there are, which stay KrakenD's.
    pub endpoints: usize,
}

/// What `root` says.
pub(super) fn service<'n>(root: &Table<'n>, notes: &mut Notes<'_>) -> Service<'n> {
    /// lura's `config.DefaultTimeout`.
    const DEFAULT: Duration = Duration::from_secs(2);
    version(root, notes);
    let timeout = root.get("timeout").and_then(|item| {
        let value = item.period(notes).filter(|period| !period.is_zero())?;
        Some(Found { value, origin: Some(item.place) })
    });
    let hosts = root.get("host").map(|item| item.texts(notes)).unwrap_or_default();
    let agents = root.get("async_agent").map(|item| item.list(notes)).unwrap_or_default();
    if !agents.is_empty() {
        for item in root.items() {
            if let Some((problem, remedy)) = foreign::of_service(&item.name.to_ascii_lowercase()) {
                notes.no_equal(&item, problem, remedy);
            }
        }
    }
    Service {
        timeout: timeout.unwrap_or(Found { value: DEFAULT, origin: None }),
        hosts,
        agents,
        endpoints: root.get("endpoints").map_or(0, |item| item.length()),
    }
}

fn version(root: &Table<'_>, notes: &mut Notes<'_>) {
    let remedy = "compare what is written with KrakenD's documentation of that version";
    let Some(item) = root.get("version") else {
        let problem = "`version` is missing: this may be no configuration of KrakenD";
        notes.warning(&root.span, problem, "see that it is the right file");
        return;
    };
    let Some(version) = item.whole(notes).filter(|version| *version != VERSION) else { return };
    let problem = format!("`version` is {version}, and agents are known here as of {VERSION}");
    notes.push(&item.node.span, Severity::Warning, problem, remedy.to_owned());
}
