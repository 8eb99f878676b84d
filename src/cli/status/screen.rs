//! Where `status` is shown: a terminal, refreshed in place, or a pipe, written to as it comes.

use std::env;
use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR: &str = "\x1b[2J";
const HOME: &str = "\x1b[H";
const TO_LINES_END: &str = "\x1b[K";
const TO_SCREENS_END: &str = "\x1b[J";

/// Standard output.
pub(super) struct Screen {
    is_terminal: bool,
    /// It is refreshed in place: the cursor is hidden, until this is dropped.
    in_place: bool,
    is_begun: bool,
}

impl Screen {
    /// `watched` is refreshed in place where it is a terminal.
    pub(super) fn new(watched: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { is_terminal, in_place: watched && is_terminal, is_begun: false }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Colours only where a person reads, and not where that person said no (`no-color.org`).
    pub(super) fn has_colours(&self) -> bool {
        self.is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// How long a line may be; `None` is no limit.
    pub(super) fn width(&self) -> Option<usize> {
        self.size().map(|(width, _)| width)
    }

    fn size(&self) -> Option<(usize, usize)> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|_| self.is_terminal)?;
        let (width, height) = (usize::from(size.ws_col), usize::from(size.ws_row));
        (width > 0 && height > 0).then_some((width, height))
    }

    /// Shows `text` in the place of what was shown before; in a pipe, after it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn show(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.in_place {
            writeln!(out, "{text}")?;
            return out.flush();
        }
        if !self.is_begun {
            self.is_begun = true;
            write!(out, "{HIDE_CURSOR}{CLEAR}")?;
        }
        // The last line stays free, or the terminal would scroll.
        let lines_max = self.size().map_or(usize::MAX, |(_, height)| height.saturating_sub(1));
        let mut shown = String::from(HOME);
        for line in text.lines().take(lines_max) {
            shown.push_str(line);
            shown.push_str(TO_LINES_END);
            shown.push_str("\r\n");
        }
        shown.push_str(TO_SCREENS_END);
        out.write_all(shown.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_begun {
            let mut out = io::stdout();
            // A terminal that is gone has no cursor to show.
            write!(out, "{SHOW_CURSOR}").and_then(|()| out.flush()).ok();
        }
    }
}
