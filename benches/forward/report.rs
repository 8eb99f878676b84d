//! What a scenario found out, for the table, the chart and programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stats::Figures;

/// A measure.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub key: &'static str,
    pub head: &'static str,
    pub decimals: usize,
    /// Also told as a multiple of the baseline's.
    pub has_ratio: bool,
    /// Shown in the chart, under this heading.
    pub drawn_as: Option<&'static str>,
}

impl Column {
    pub const fn new(key: &'static str, head: &'static str, decimals: usize) -> Column {
        Column { key, head, decimals, has_ratio: false, drawn_as: None }
    }

    pub const fn with_ratio(self) -> Column {
        Column { has_ratio: true, ..self }
    }

    pub const fn drawn(self, head: &'static str) -> Column {
        Column { drawn_as: Some(head), ..self }
    }
}

/// A contestant, or a case.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub name: String,
    figures: BTreeMap<&'static str, Figures>,
    pub notes: Vec<String>,
    /// It has no further turn.
    pub has_stopped: bool,
    /// It did not do what it should, and that is the run's failure.
    pub has_failed: bool,
}

impl Row {
    pub fn new(name: impl Into<String>) -> Row {
        Row { name: name.into(), ..Row::default() }
    }

    pub fn push(&mut self, key: &'static str, figure: f64) {
        self.figures.entry(key).or_default().push(figure);
    }

    /// A remark, told once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn figures(&self, key: &str) -> Option<&Figures> {
        self.figures.get(key)
    }

    pub fn median(&self, key: &str) -> Option<f64> {
        self.figures.get(key)?.median()
    }
}

/// All of a scenario.
#[derive(Debug, Clone)]
pub struct Report {
    pub scenario: &'static str,
    /// What was done, in a sentence.
    pub setting: String,
    /// What the first column names.
    pub subject: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// The row that ratios refer to.
    pub baseline: Option<String>,
}

impl Report {
    /// How many times the baseline's a row's median is.
    pub fn ratio(&self, row: &Row, key: &str) -> Option<f64> {
        let baseline = self.rows.iter().find(|row| Some(&row.name) == self.baseline.as_ref())?;
        Some(row.median(key)? / baseline.median(key)?)
    }

    /// Everything, with the figures of every round.
    pub fn to_json(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let figures: BTreeMap<_, _> = row
                    .figures
                    .iter()
                    .map(|(key, figures)| {
                        let ratio = self.ratio(row, key);
                        let median = figures.median();
                        let told = json!({
                            "median": median, "of_baseline": ratio, "all": figures.all()
                        });
                        (*key, told)
                    })
                    .collect();
                json!({ "name": row.name, "figures": figures, "notes": row.notes })
            })
            .collect();
        json!({
            "scenario": self.scenario,
            "setting": self.setting,
            "baseline": self.baseline,
            "rows": rows,
        })
    }
}
