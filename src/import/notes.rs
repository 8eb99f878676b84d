//! What is to be said of a KrakenD file, each with its place.

use std::path::Path;

use super::tree::{Item, Span};
use crate::config::error::{Place, Problem, Severity};
use crate::config::suggest::nearest;

/// Collects problems of one file.
#[derive(Debug)]
pub(super) struct Notes<'t> {
    path: &'t Path,
    text: &'t str,
    /// By the order in which they were found.
    pub problems: Vec<Problem>,
}

impl<'t> Notes<'t> {
    /// Of the file at `path`, which says `text`.
    pub(super) fn of(path: &'t Path, text: &'t str) -> Self {
        Self { path, text, problems: Vec::new() }
    }

    /// What keeps anything from being imported.
    pub(super) fn error(
        &mut self,
        span: &Span,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(span, Severity::Error, problem.into(), remedy.into());
    }

    /// What a person has to look at.
    pub(super) fn warning(
        &mut self,
        span: &Span,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(span, Severity::Warning, problem.into(), remedy.into());
    }

    /// Either.
    pub(super) fn push(
        &mut self,
        span: &Span,
        severity: Severity,
        problem: String,
        remedy: String,
    ) {
        let place = Some(self.place(span.start));
        self.problems.push(Problem { place, severity, problem, remedy });
    }

    /// The warning that `item` is left out.
    pub(super) fn no_equal(&mut self, item: &Item<'_>, problem: &str, remedy: &str) {
        let problem = format!("`{}` is left out: {problem}", item.path);
        self.warning(&item.place, problem, remedy);
    }

    /// The warning that nobody knows `item`.
    pub(super) fn unknown(&mut self, item: &Item<'_>, known: &[&str]) {
        let remedy = match nearest(item.name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "remove it, or see that nothing depends on it".to_owned(),
        };
        let problem = format!("`{}` is left out: KrakenD knows no such key here", item.path);
        self.warning(&item.place, problem, remedy);
    }

    /// The error that `item` is something else than `wanted`; for whoever has no value then.
    pub(super) fn wrong_type<T>(&mut self, item: &Item<'_>, wanted: &str) -> Option<T> {
        let problem = format!("`{}` is not {wanted}", item.path);
        self.error(&item.node.span, problem, "mend it: KrakenD does not take it either");
        None
    }

    /// Whether anything has to be mended first.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
