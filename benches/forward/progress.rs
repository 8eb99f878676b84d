//! What is told while it runs: a bar where somebody watches, and a line for each turn.

use std::io::{IsTerminal, Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// On the standard error stream.
pub struct Progress(ProgressBar);

impl Progress {
    /// For so many turns of a scenario.
    pub fn new(scenario: &str, turns: usize) -> Progress {
        if !stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(turns as u64);
        // A template that is not understood leaves the usual one.
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(scenario.to_owned());
        Progress(bar)
    }

    /// What is going on now.
    pub fn begin(&self, turn: &str) {
        self.0.set_message(turn.to_owned());
    }

    /// How it ended.
    pub fn end(&self, line: &str) {
        self.0.inc(1);
        if self.0.is_hidden() {
            writeln!(stderr(), "{line}").ok();
        } else {
            self.0.println(line);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
