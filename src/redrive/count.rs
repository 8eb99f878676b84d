//! What a run counted, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// The most reasons that are told apart: a header can hold anything.
const REASONS_MAX: usize = 50;

/// The most octets of a reason or an id that are shown.
const SHOWN_MAX: usize = 100;

/// The most ids that a dry run shows.
const IDS_MAX: usize = 20;

/// What a run counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages that were in the queue at the beginning.
    pub found: u64,
    /// All that were looked at.
    pub total: Row,
    /// The same by reason.
    by_reason: BTreeMap<String, Row>,
    /// Passed over since they came from another agent or queue.
    pub foreign: u64,
    /// The ids of the first that were selected.
    ids: Vec<String>,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Looked at.
    pub looked_at: u64,
    /// To be moved.
    pub selected: u64,
    /// Moved: the copy is confirmed and the dead letter acked.
    pub moved: u64,
}

impl Count {
    /// Nothing was looked at yet, of so many.
    pub(super) fn of(found: u64) -> Self {
        Self { found, ..Self::default() }
    }

    /// A message with this reason was looked at; gives the name of its row.
    pub(super) fn looked_at(&mut self, reason: Option<String>) -> String {
        let reason = shown(&reason.unwrap_or_else(|| "unknown".to_owned()));
        let is_one_more = self.by_reason.len() >= REASONS_MAX;
        let is_known = self.by_reason.contains_key(&reason);
        let name = if is_one_more && !is_known { "others".to_owned() } else { reason };
        self.rows(&name, |row| row.looked_at += 1);
        name
    }

    /// It is to be moved.
    pub(super) fn selected(&mut self, reason: &str, id: Option<&str>) {
        self.rows(reason, |row| row.selected += 1);
        if self.ids.len() < IDS_MAX {
            self.ids.extend(id.map(shown));
        }
    }

    /// It was moved.
    pub(super) fn moved(&mut self, reason: &str) {
        self.rows(reason, |row| row.moved += 1);
    }

    /// Those of the beginning that were not moved.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.found.saturating_sub(self.total.moved)
    }

    fn rows(&mut self, reason: &str, change: impl Fn(&mut Row)) {
        change(&mut self.total);
        change(self.by_reason.entry(reason.to_owned()).or_default());
    }

    /// For people: a row for each reason; a dry run has the first ids below it.
    pub(super) fn table(&self, dry_run: bool) -> Table<'_> {
        Table { count: self, dry_run }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "looked_at": row.looked_at,
                "selected": row.selected,
                "moved": row.moved,
                "passed_over": row.looked_at - row.selected,
            })
        };
        let reasons = self.by_reason.iter().map(|(reason, counts)| (reason.clone(), row(counts)));
        let mut all = row(&self.total);
        all["found"] = self.found.into();
        all["left"] = self.left().into();
        all["of_others"] = self.foreign.into();
        all["reasons"] = Value::Object(reasons.collect());
        all["ids"] = self.ids.clone().into();
        all
    }
}

/// A [`Count`] for people.
pub(super) struct Table<'c> {
    count: &'c Count,
    dry_run: bool,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        let width = count.by_reason.keys().map(|reason| reason.chars().count()).max();
        let width = width.unwrap_or(0).max("reason".len());
        let did = if self.dry_run { "selected" } else { "moved" };
        writeln!(
            formatter,
            "{:width$}  {:>10}  {did:>10}  {:>11}",
            "reason", "looked at", "passed over"
        )?;
        let rows = count.by_reason.iter().map(|(reason, row)| (reason.as_str(), row));
        for (reason, row) in rows.chain([("all", &count.total)]) {
            let did = if self.dry_run { row.selected } else { row.moved };
            let passed_over = row.looked_at - row.selected;
            writeln!(
                formatter,
                "{reason:width$}  {:>10}  {did:>10}  {passed_over:>11}",
                row.looked_at
            )?;
        }
        if self.dry_run && !count.ids.is_empty() {
            writeln!(formatter, "first ids: {}", count.ids.join(" "))?;
        }
        Ok(())
    }
}

/// On one line and not endless.
fn shown(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(SHOWN_MAX)];
    text.chars().filter(|c| !c.is_control()).collect()
}
