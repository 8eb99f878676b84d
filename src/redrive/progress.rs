//! How a run shows that it gets on: a bar on a terminal, else a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::count::Count;

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// On standard error, so that standard output is the result alone.
pub enum Progress {
    /// A bar.
    Bar(ProgressBar),
    /// Lines.
    Lines {
        /// When the last was written.
        last: Instant,
    },
}

impl Progress {
    /// As standard error wants it.
    #[must_use]
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = "{bar:30} {pos}/{len} looked at, {msg} ({elapsed}, {eta} to go)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Shows how far it got.
    pub(super) fn show(&mut self, count: &Count) {
        let moved = count.total.moved;
        match self {
            Self::Bar(bar) => {
                bar.set_length(count.found);
                bar.set_position(count.total.looked_at);
                bar.set_message(format!("{moved} moved"));
            }
            Self::Lines { last } => {
                if last.elapsed() < LINE_INTERVAL {
                    return;
                }
                *last = Instant::now();
                let (looked_at, found) = (count.total.looked_at, count.found);
                // Where nobody reads the run goes on.
                writeln!(io::stderr(), "{looked_at} of {found} looked at, {moved} moved").ok();
            }
        }
    }

    /// Leaves the terminal to others.
    pub(super) fn end(&self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } => {}
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
