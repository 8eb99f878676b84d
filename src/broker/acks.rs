//! The acks that the broker has not been told yet, and how few frames tell them.
//!
//! Pure. An ack may name one delivery or, with `multiple`, all up to one (AMQP 0-9-1, section
//! 1.8.3.13). The deliveries of a channel are numbered one after the other, so what was acked
//! without a hole from the oldest one on goes in one frame. What finished out of order waits for
//! the hole to close; since it fills the window meanwhile, it is acked singly as soon as it takes
//! up a share of it, or has waited for a few milliseconds: after a crash all that is unsaid is
//! delivered again.
//!
//! Two rules of RabbitMQ: the delivery that a frame names has to be outstanding still (else 406,
//! and the channel is gone), and nothing that a `multiple` covers may be meant otherwise.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Acked messages may wait out of order in one place of so many of the window.
const SHARE: usize = 8;

/// The longest that an ack waits.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// One `basic.ack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The delivery that it names.
    pub tag: u64,
    /// All outstanding deliveries up to this one.
    pub multiple: bool,
}

/// What is outstanding on a channel, at most its window.
#[derive(Debug)]
pub struct Acks {
    /// In the order of their tags.
    outstanding: VecDeque<Outstanding>,
    /// How many of them are acked.
    acked: usize,
    /// Since when at the longest one of these waits.
    since: Option<Instant>,
    /// Whether any was acked since the last flush.
    has_news: bool,
    last_tag: u64,
    /// A delivery never reached us: none after it may be acked with `multiple`, which would ack it too.
    has_gap: bool,
    out_of_order_max: usize,
}

#[derive(Debug)]
struct Outstanding {
    tag: u64,
    is_acked: bool,
}

impl Acks {
    /// Nothing yet, on a new channel that has at most `window` outstanding.
    #[must_use]
    pub fn new(window: u16) -> Self {
        Self {
            outstanding: VecDeque::new(),
            acked: 0,
            since: None,
            has_news: false,
            last_tag: 0,
            has_gap: false,
            out_of_order_max: usize::from(window) / SHARE,
        }
    }

    /// A delivery has come.
    pub fn delivered(&mut self, tag: u64) {
        self.has_gap |= tag != self.last_tag + 1;
        self.last_tag = tag;
        self.outstanding.push_back(Outstanding { tag, is_acked: false });
    }

    /// A delivery is acked at `now`; the broker is told with one of the next [frames](Self::flush).
    pub fn ack(&mut self, tag: u64, now: Instant) {
        if let Some(place) = self.place(tag)
            && !self.outstanding[place].is_acked
        {
            self.outstanding[place].is_acked = true;
            self.acked += 1;
            self.since.get_or_insert(now);
            self.has_news = true;
        }
    }

    /// The broker is told otherwise of a delivery that is not acked.
    pub fn told(&mut self, tag: u64) {
        if let Some(place) = self.place(tag) {
            self.outstanding.remove(place);
        }
    }

    /// How many are acked and the broker is not told.
    #[must_use]
    pub fn unsaid(&self) -> usize {
        self.acked
    }

    /// Whether a [flush](Self::flush) may have something to say that the last one had not.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// When everything is to be said, where there is anything.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT_MAX)
    }

    /// Writes into `frames` what the broker is to be told at `now`: what is in order, and what is not
    /// where it takes up its share of the window or is [due](Self::due).
    pub fn flush(&mut self, now: Instant, frames: &mut Vec<Frame>) {
        if !self.has_gap {
            self.flush_in_order(frames);
        }
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due || self.has_gap || self.acked > self.out_of_order_max {
            self.flush_singly(frames);
        }
        self.has_news = false;
        if self.acked == 0 {
            self.since = None;
        }
    }

    /// Writes into `frames` all that the broker was not told.
    pub fn flush_all(&mut self, frames: &mut Vec<Frame>) {
        if let Some(due) = self.due() {
            self.flush(due, frames);
        }
    }

    fn flush_in_order(&mut self, frames: &mut Vec<Frame>) {
        let holes = self.outstanding.iter().position(|one| !one.is_acked);
        let in_order = holes.unwrap_or(self.outstanding.len());
        if let Some(last) = self.outstanding.drain(..in_order).next_back() {
            frames.push(Frame { tag: last.tag, multiple: in_order > 1 });
            self.acked -= in_order;
        }
    }

    fn flush_singly(&mut self, frames: &mut Vec<Frame>) {
        if self.acked == 0 {
            return;
        }
        self.outstanding.retain(|one| {
            if one.is_acked {
                frames.push(Frame { tag: one.tag, multiple: false });
            }
            !one.is_acked
        });
        self.acked = 0;
    }

    fn place(&self, tag: u64) -> Option<usize> {
        self.outstanding.binary_search_by_key(&tag, |one| one.tag).ok()
    }
}

#[cfg(test)]
mod tests;
