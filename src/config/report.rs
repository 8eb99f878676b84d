//! The problems that have been found so far, without those that only follow from another.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Problem, Severity};
use super::source_map::{FileId, SourceMap, Span};

/// The most problems that one file may report; more help nobody.
const PER_FILE_MAX: usize = 100;

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Report<'t> {
    /// All files read so far.
    pub(super) sources: SourceMap<'t>,
    problems: BTreeSet<Problem>,
    /// How many of them each file has.
    counts: BTreeMap<FileId, usize>,
    /// The file that is looked at: broken by any error that is found meanwhile, also by one
    /// that stands in the main file and that others inherit as well.
    judged: Option<FileId>,
    /// Files with an error.
    broken: BTreeSet<FileId>,
    /// Files that say only part of what was meant, since their TOML is not well-formed.
    fragments: BTreeSet<FileId>,
    /// Strings with `${…}` in them: their values are never shown.
    concealed: Vec<Span>,
    /// Values that an error was reported for, by start and end; what else is wrong with them
    /// follows from it.
    spoilt: BTreeSet<(usize, usize)>,
    /// Lines with a syntax error, by file.
    syntax_lines: BTreeSet<(FileId, usize)>,
    /// Paths of keys that were taken out of the tree after an error.
    removed: BTreeSet<(FileId, String)>,
}

impl Report<'_> {
    /// From now on `file` is the one that an error breaks.
    pub(super) fn judge(&mut self, file: FileId) {
        self.judged = Some(file);
    }

    /// An error at `span`.
    pub(super) fn error(
        &mut self,
        span: &Span,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.broken.extend(self.judged);
        if !self.follows_from_another(span) {
            self.push(span, Severity::Error, problem.into(), remedy.into());
        }
    }

    /// An error at `span` that is the only one worth reporting there.
    pub(super) fn spoil(
        &mut self,
        span: &Span,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.error(span, problem, remedy);
        self.spoilt.insert((span.start, span.end));
    }

    /// What else is wrong with the value at `span` follows from what was reported already.
    pub(super) fn spoil_silently(&mut self, span: &Span) {
        self.spoilt.insert((span.start, span.end));
    }

    /// A warning at `span`.
    pub(super) fn warning(
        &mut self,
        span: &Span,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !self.follows_from_another(span) {
            self.push(span, Severity::Warning, problem.into(), remedy.into());
        }
    }

    /// The key `path` of `file` is not there; `span` is what it is missing from.
    pub(super) fn missing(
        &mut self,
        file: FileId,
        path: &str,
        span: &Span,
        remedy: impl Into<String>,
    ) {
        let within = |removed: &str| {
            path.strip_prefix(removed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.broken.insert(file);
        let known = self.removed.iter().any(|(of, removed)| {
            (*of == file && within(removed))
                || removed.strip_prefix("defaults.").is_some_and(within)
        });
        if !known && !self.fragments.contains(&file) {
            let key = path.rsplit('.').next().unwrap_or(path);
            self.error(span, format!("`{key}` is missing"), remedy);
        }
    }

    /// A syntax error: what else is found on its line follows from it, and nothing is missing.
    pub(super) fn syntax_error(&mut self, span: &Span, problem: String, remedy: String) {
        let file = self.sources.file(span);
        self.fragments.insert(file);
        self.error(span, problem, remedy);
        if !self.is_full(file) {
            self.syntax_lines.insert((file, self.sources.place(span).line));
        }
    }

    /// A problem of a file as a whole, or of no file.
    pub(super) fn general(&mut self, problem: Problem) {
        self.problems.insert(problem);
    }

    /// Remembers that the value at `span` must not be shown.
    pub(super) fn conceal(&mut self, span: Span) {
        self.concealed.push(span);
    }

    /// Whether the value at `span` must not be shown.
    pub(super) fn is_concealed(&self, span: &Span) -> bool {
        self.concealed.iter().any(|concealed| overlap(concealed, span))
    }

    /// `text`, found at `span`, in backquotes, or a word for it where it must not be shown.
    pub(super) fn quote(&self, span: &Span, text: &str) -> String {
        if self.is_concealed(span) {
            return "the value".to_owned();
        }
        quoted(text)
    }

    /// `file` has errors that are not reported one by one.
    pub(super) fn broken_without_more(&mut self, file: FileId) {
        self.broken.insert(file);
        self.fragments.insert(file);
    }

    /// Remembers that `path` was there, if wrongly.
    pub(super) fn remove(&mut self, file: FileId, path: String) {
        self.removed.insert((file, path));
    }

    /// Whether `file` has an error.
    pub(super) fn is_broken(&self, file: FileId) -> bool {
        self.broken.contains(&file)
    }

    /// Everything that was found, by file and line.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_iter().collect()
    }

    fn push(&mut self, span: &Span, severity: Severity, problem: String, remedy: String) {
        let place = Some(self.sources.place(span));
        if self.problems.insert(Problem { place, severity, problem, remedy }) {
            *self.counts.entry(self.sources.file(span)).or_default() += 1;
        }
    }

    /// Whether nothing more need be said of `span`. Costs little where a file is all wrong.
    fn follows_from_another(&self, span: &Span) -> bool {
        let file = self.sources.file(span);
        self.is_full(file)
            || self.spoilt.contains(&(span.start, span.end))
            || (self.fragments.contains(&file)
                && self.syntax_lines.contains(&(file, self.sources.place(span).line)))
    }

    fn is_full(&self, file: FileId) -> bool {
        self.counts.get(&file).is_some_and(|count| *count >= PER_FILE_MAX)
    }
}

fn overlap(one: &Span, other: &Span) -> bool {
    one.start < other.end && other.start < one.end
}

/// `text` in backquotes, on one line and not endless.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('\u{2026}');
    }
    format!("`{shown}`")
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let escape = character.is_control().then(|| character.escape_debug());
    let plain = (!character.is_control()).then_some(character);
    escape.into_iter().flatten().chain(plain)
}
