//! An agent file in the making: its lines, and what of the KrakenD file each was made of.

use std::fmt::Write as _;

use super::tree::Span;

/// The column of comments, where the line leaves it free.
const COMMENT_COLUMN: usize = 38;

/// An agent file in the making.
#[derive(Debug)]
pub(super) struct Draft {
    /// The agent's name, and the file's stem.
    pub name: String,
    /// Where the agent stands in the KrakenD file.
    pub origin: Span,
    /// It is written with `enabled = false`.
    pub is_switched_off: bool,
    /// A password stands in it.
    pub has_secret: bool,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// What is checked in its place: without what only the daemon's machine has.
    checked: Option<String>,
    origin: Span,
}

/// A value, and where it was found; without a place it is one that KrakenD has by default.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub origin: Option<Span>,
}

impl Draft {
    /// A file without a line, for the agent that stands at `origin`.
    pub(super) fn new(name: String, origin: Span) -> Self {
        Self { name, origin, is_switched_off: false, has_secret: false, lines: Vec::new() }
    }

    /// A line of comment.
    pub(super) fn comment(&mut self, text: &str) {
        let text = format!("# {text}").trim_end().to_owned();
        self.push(text, None, self.origin.clone());
    }

    /// The heading of a table, which stands at `origin`.
    pub(super) fn table(&mut self, heading: &str, origin: &Span) {
        self.push(String::new(), None, origin.clone());
        self.push(heading.to_owned(), None, origin.clone());
    }

    /// A key with its value as TOML has it, and a word about it, or none.
    pub(super) fn key(&mut self, key: &str, value: &str, origin: Option<&Span>, comment: &str) {
        let mut text = format!("{key} = {value}");
        if !comment.is_empty() {
            let width = COMMENT_COLUMN.saturating_sub(2);
            text = format!("{text:width$}  # {comment}");
        }
        let origin = origin.cloned().or_else(|| self.lines.last().map(|line| line.origin.clone()));
        self.push(text, None, origin.unwrap_or(self.origin.clone()));
    }

    /// Lets `value` be checked in the place of the last key's.
    pub(super) fn check_instead(&mut self, key: &str, value: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.checked = Some(format!("{key} = {value}"));
        }
    }

    /// Has the agent not run, right after the comments at the top.
    pub(super) fn switch_off(&mut self) {
        let comment = |line: &&Line| line.text.starts_with('#');
        let at = self.lines.iter().take_while(comment).count();
        let text = "enabled = false  # look at the warnings of the import, then remove this line";
        let origin = self.origin.clone();
        let line = Line { text: text.to_owned(), checked: None, origin };
        self.lines.insert(at, line);
        self.is_switched_off = true;
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.text.as_str());
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// The text to be checked, line by line as [`text`](Self::text).
    pub(super) fn checked(&self) -> String {
        let lines = self.lines.iter().map(|line| line.checked.as_ref().unwrap_or(&line.text));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Where the line with this number, counted from 1, comes from.
    pub(super) fn origin(&self, line: usize) -> Span {
        let line = line.checked_sub(1).and_then(|index| self.lines.get(index));
        line.map_or(self.origin.clone(), |line| line.origin.clone())
    }

    fn push(&mut self, text: String, checked: Option<String>, origin: Span) {
        self.lines.push(Line { text, checked, origin });
    }
}

/// `text` as a string of TOML on one line, in which nothing is put in for `${…}`.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.replace("${", "$${").chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                // TOML has no other way to write one.
                write!(quoted, "\\u{:04X}", u32::from(control)).ok();
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
