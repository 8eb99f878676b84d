//! Which deliveries a hand-written loop may ack, and in how few frames.

use std::collections::VecDeque;

/// Finished deliveries that may wait behind an unfinished one before they are acked singly.
const STRAGGLERS_MAX: usize = 8;

enum Slot {
    Open,
    Done,
    Settled,
}

/// The unsettled deliveries of one channel, in the order of their tags.
pub struct Acks {
    first: u64,
    slots: VecDeque<Slot>,
    done: usize,
}

impl Acks {
    pub fn new() -> Acks {
        Acks { first: 1, slots: VecDeque::new(), done: 0 }
    }

    /// The next delivery has come; tags of a channel count from 1 without a gap.
    pub fn delivered(&mut self) {
        self.slots.push_back(Slot::Open);
    }

    /// The delivery is with the backend.
    pub fn done(&mut self, tag: u64) {
        self.mark(tag, Slot::Done);
        self.done += 1;
    }

    /// The delivery was settled in another way.
    pub fn settled(&mut self, tag: u64) {
        self.mark(tag, Slot::Settled);
    }

    /// No delivery waits for anything.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Calls `ack` with tag and `multiple`: once for what is finished without a gap, and for each
    /// finished one behind a gap when they have become many.
    pub fn flush(&mut self, mut ack: impl FnMut(u64, bool)) {
        let mut last = None;
        while let Some(Slot::Done | Slot::Settled) = self.slots.front() {
            if let Some(Slot::Done) = self.slots.pop_front() {
                last = Some(self.first);
                self.done -= 1;
            }
            self.first += 1;
        }
        if let Some(tag) = last {
            ack(tag, true);
        }
        if self.done <= STRAGGLERS_MAX {
            return;
        }
        for (tag, slot) in (self.first..).zip(&mut self.slots) {
            if matches!(slot, Slot::Done) {
                *slot = Slot::Settled;
                ack(tag, false);
            }
        }
        self.done = 0;
    }

    fn mark(&mut self, tag: u64, to: Slot) {
        let index = tag.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = to;
        }
    }
}
