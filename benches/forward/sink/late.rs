//! Replies that are kept back for a while, without holding up any other.

use std::collections::VecDeque;
use std::str::FromStr;

use crate::clock::now_ns;

/// One reply in `every` comes `by_ns` late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    every: u64,
    by_ns: u64,
}

impl FromStr for Late {
    type Err = String;

    /// `100:200ms`: one in a hundred, by 200 ms.
    fn from_str(text: &str) -> Result<Late, String> {
        let parts = text.split_once(':').and_then(|(every, by)| {
            let by_ms: u64 = by.strip_suffix("ms")?.parse().ok()?;
            Some(Late { every: every.parse().ok()?, by_ns: by_ms * 1_000_000 })
        });
        parts.filter(|late| late.every > 0).ok_or_else(|| format!("{text}: such as 100:200ms"))
    }
}

/// Those that wait. Each waits for the same time, so they end in the order in which they began.
pub struct LateReplies {
    late: Option<Late>,
    seen: u64,
    waiting: VecDeque<(u64, usize, u64)>,
}

impl LateReplies {
    pub fn new(late: Option<Late>) -> LateReplies {
        LateReplies { late, seen: 0, waiting: VecDeque::new() }
    }

    /// Is it this request's turn to be answered late? Then it will be due.
    pub fn takes(&mut self, index: usize, number: u64) -> bool {
        let Some(late) = self.late else {
            return false;
        };
        self.seen += 1;
        if !self.seen.is_multiple_of(late.every) {
            return false;
        }
        self.waiting.push_back((now_ns() + late.by_ns, index, number));
        true
    }

    /// When the next one is to be answered.
    pub fn next_due(&self) -> Option<u64> {
        self.waiting.front().map(|(due, ..)| *due)
    }

    /// One whose time has come: place and number of its connection.
    pub fn pop_due(&mut self) -> Option<(usize, u64)> {
        if self.next_due()? > now_ns() {
            return None;
        }
        self.waiting.pop_front().map(|(_, index, number)| (index, number))
    }
}
