//! A problem in the configuration: where it is, what it is, and what to do about it.

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Whether a problem keeps a file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file is used, and does less than it says, or something that is seldom meant.
    Warning,
}

/// One thing that is wrong with the configuration.
///
/// Shown as `file:line:column: problem; remedy`, with `warning: ` before the problem of a
/// warning. Neither text ever holds a password or a value that was put in by `${…}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// `None` for what lies in no file, such as a directory that does not exist.
    pub place: Option<Place>,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: a lowercase fragment.
    pub problem: String,
    /// What to do about it: a lowercase fragment.
    pub remedy: String,
}

impl Problem {
    /// Whether this keeps a file from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        match self.severity {
            Severity::Error => true,
            Severity::Warning => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        match self.severity {
            Severity::Error => {}
            Severity::Warning => formatter.write_str("warning: ")?,
        }
        write!(formatter, "{}; {}", self.problem, self.remedy)
    }
}

impl PartialOrd for Problem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By place, those without one first.
impl Ord for Problem {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.place, self.severity, &self.problem, &self.remedy).cmp(&(
            &other.place,
            other.severity,
            &other.problem,
            &other.remedy,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_place_and_remedy() {
        let mut problem = Problem {
            place: Some(Place { file: "orders.toml".into(), line: 7, column: 3 }),
            severity: Severity::Error,
            problem: "prefetch_count is 0".to_owned(),
            remedy: "use 1 to 65535".to_owned(),
        };
        assert_eq!(problem.to_string(), "orders.toml:7:3: prefetch_count is 0; use 1 to 65535");
        problem.severity = Severity::Warning;
        problem.place = None;
        assert_eq!(problem.to_string(), "warning: prefetch_count is 0; use 1 to 65535");
    }
}
