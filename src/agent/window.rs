//! The messages that an agent holds: which are ready, in flight, or waiting, and until when.
//!
//! A plain data structure: time comes in as an argument, and what is true of it is true at
//! every moment: `received = settled + abandoned + held`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::copying::Leaving;
pub(super) use super::shelf::Key;
use super::shelf::Shelf;
use crate::delivery::Delivery;
use crate::settlement::{Attempts, Settlement};
use crate::spans::DeliverySpan;

/// The backends that have a message, by their place in the agent file.
pub(super) type Done = SmallVec<[bool; 16]>;

/// A message that we hold.
pub(super) struct Held {
    /// The message and the duty to settle it.
    pub(super) delivery: Delivery,
    /// How often it was tried.
    pub(super) attempts: Attempts,
    /// Tries in a row that found a backend unwell; not counted against the message.
    pub(super) unwell: u32,
    /// When it came.
    pub(super) received: Instant,
    /// When it failed first, in seconds since 1970.
    pub(super) first_failure: Option<u64>,
    /// The backends that have it.
    pub(super) done: Done,
    /// The copy that is to take its place.
    pub(super) leaving: Option<Box<Leaving>>,
    /// Once it was handed out, while somebody collects spans.
    pub(super) span: Option<Box<DeliverySpan>>,
}

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Due {
    /// To be tried again.
    Try,
    /// To be given back.
    Settle(Settlement),
    /// For its copy to be published again.
    Copy,
}

/// A wait that is over.
pub(super) enum Over {
    /// The message is to be given back.
    Settle(Box<Held>, Settlement),
    /// Its copy is to be published again.
    Copy(Key),
}

/// The longest that a message is held without being tried. RabbitMQ ends the session of a consumer
/// that keeps one for 30 minutes, of which tries and the wait for a requeue may take the rest.
const READY_MAX: Duration = Duration::from_mins(20);

/// How often such messages are looked for.
const OVERDUE_INTERVAL: Duration = Duration::from_mins(1);

/// All messages that an agent holds.
#[derive(Default)]
pub(super) struct Window {
    held: Shelf,
    ready: VecDeque<Key>,
    waiting: BinaryHeap<Reverse<(Instant, Key)>>,
    due: HashMap<Key, Due>,
    looked_for_overdue: Option<Instant>,
}

impl Window {
    /// Takes a message in that came at `now`; it is ready, behind all others.
    pub(super) fn receive(
        &mut self,
        delivery: Delivery,
        attempts: Attempts,
        first_failure: Option<u64>,
        done: Done,
        now: Instant,
    ) {
        let held = Held {
            delivery,
            attempts,
            unwell: 0,
            received: now,
            first_failure,
            done,
            leaving: None,
            span: None,
        };
        self.ready.push_back(self.held.put(held));
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// How many are ready to be handed out.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes the next one that is ready; it is in flight from here on.
    pub(super) fn take_ready(&mut self) -> Option<(Key, &mut Held)> {
        let key = self.ready.pop_front()?;
        self.held.get_mut(key).map(|held| (key, held))
    }

    /// Takes the one that is ready and failed the least often, by this delivery and by what its copy
    /// tells: where a backend turns away some messages, one that is new shows it. Those that always
    /// fail come back to the head of the queue, and would be asked first each time.
    pub(super) fn take_probe(&mut self) -> Option<(Key, &mut Held)> {
        let failures = |key: &Key| {
            let failures = |held: &Held| held.unwell.saturating_add(held.attempts.tries());
            self.held.get(*key).map_or(0, failures)
        };
        let (place, _) = self.ready.iter().enumerate().min_by_key(|(_, key)| failures(key))?;
        let key = self.ready.remove(place)?;
        self.held.get_mut(key).map(|held| (key, held))
    }

    /// Puts one that was in flight back, before all others.
    pub(super) fn put_back(&mut self, key: Key) {
        self.ready.push_front(key);
    }

    /// Lets one that was in flight wait until `until`.
    pub(super) fn wait(&mut self, key: Key, until: Instant, due: Due) {
        self.due.insert(key, due);
        self.waiting.push(Reverse((until, key)));
    }

    /// When the next wait ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse((until, _))| *until)
    }

    /// Ends the waits that are over by `now`: what is to be tried becomes ready, and the first
    /// that is to be given back or copied is handed out.
    pub(super) fn end_waits(&mut self, now: Instant) -> Option<Over> {
        while let Some(Reverse((until, key))) = self.waiting.peek().copied() {
            if until > now {
                return None;
            }
            self.waiting.pop();
            match self.due.remove(&key) {
                Some(Due::Try) => self.ready.push_back(key),
                Some(Due::Copy) => return Some(Over::Copy(key)),
                Some(Due::Settle(settlement)) => {
                    if let Some(held) = self.held.take(key) {
                        return Some(Over::Settle(Box::new(held), settlement));
                    }
                }
                None => {}
            }
        }
        None
    }

    /// One that is held.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Held> {
        self.held.get_mut(key)
    }

    /// Takes one out, to be settled.
    pub(super) fn remove(&mut self, key: Key) -> Option<Held> {
        self.held.take(key)
    }

    /// Takes out all that are not in flight, to be given back.
    pub(super) fn take_idle(&mut self) -> Vec<Held> {
        let idle = self.ready.drain(..).chain(self.due.drain().map(|(key, _)| key));
        self.waiting.clear();
        idle.filter_map(|key| self.held.take(key)).collect()
    }

    /// Takes out what is ready, or waits for its copy to be safe, and was held for too long: a
    /// backend's wishes for quiet, a low rate, a hold or a broker that takes no copies kept it.
    /// Looked for once a minute.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<Held> {
        if self.looked_for_overdue.is_some_and(|last| now < last + OVERDUE_INTERVAL) {
            return Vec::new();
        }
        self.looked_for_overdue = Some(now);
        let is_overdue = |held: &Held| now.duration_since(held.received) >= READY_MAX;
        let is_ready_and_overdue = |key: &Key| self.held.get(*key).is_some_and(is_overdue);
        let (overdue, ready) =
            self.ready.drain(..).partition::<VecDeque<_>, _>(is_ready_and_overdue);
        self.ready = ready;
        let copying = self.held.iter().filter(|(_, held)| held.leaving.is_some());
        let mut keys: Vec<_> =
            copying.filter(|(_, held)| is_overdue(held)).map(|(key, _)| key).collect();
        for key in &keys {
            self.due.remove(key);
        }
        keys.extend(overdue);
        keys.into_iter().filter_map(|key| self.held.take(key)).collect()
    }

    /// Takes out all, in flight or not.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        self.ready.clear();
        self.waiting.clear();
        self.due.clear();
        self.held.take_all()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::delivery::{Message, Properties};

    fn window(messages: u64) -> Window {
        let mut window = Window::default();
        for tag in 1..=messages {
            receive(&mut window, tag);
        }
        window
    }

    fn receive(window: &mut Window, tag: u64) {
        let message = Message {
            exchange: String::new(),
            routing_key: String::new(),
            redelivered: false,
            properties: Properties::default(),
            body: Bytes::new(),
        };
        let (attempts, done) = (Attempts::default(), Done::from_elem(false, 1));
        window.receive(Delivery::new(tag, message), attempts, None, done, Instant::now());
    }

    fn take(window: &mut Window) -> (Key, u64) {
        let (key, held) = window.take_ready().expect("one is ready");
        (key, held.delivery.tag)
    }

    fn abandon(window: &mut Window) -> usize {
        let all = window.take_all();
        let count = all.len();
        for held in all {
            held.delivery.abandon();
        }
        count
    }

    #[test]
    fn messages_are_handed_out_in_order_and_one_put_back_goes_first() {
        let mut window = window(3);
        let (first, tag) = take(&mut window);
        assert_eq!((tag, window.ready(), window.len()), (1, 2, 3));
        window.put_back(first);
        assert_eq!(take(&mut window).1, 1);
        assert_eq!(take(&mut window).1, 2);
        assert_eq!(abandon(&mut window), 3);
    }

    #[test]
    fn the_key_of_a_message_that_is_gone_finds_none_in_its_place() {
        let mut window = window(2);
        let (old, _) = take(&mut window);
        window.remove(old).expect("it is held").delivery.abandon();
        receive(&mut window, 3);
        assert_eq!((window.len(), window.held.places()), (2, 2), "its place is used again");
        assert!(window.get(old).is_none() && window.remove(old).is_none());
        assert_eq!(abandon(&mut window), 2);
        receive(&mut window, 4);
        assert!(window.get(old).is_none(), "nor after the end of a session");
        assert_eq!(take(&mut window).1, 4);
        assert_eq!(abandon(&mut window), 1);
    }

    #[test]
    fn a_probe_is_a_message_that_failed_the_least_often() {
        let mut window = window(3);
        for (tag, tries_before, unwell) in [(1, 2, 1), (2, 2, 0)] {
            let (key, held) = window.take_ready().expect("one is ready");
            assert_eq!(held.delivery.tag, tag);
            held.attempts.tries_before = tries_before;
            held.unwell = unwell;
            window.put_back(key);
            window.ready.rotate_left(1);
        }
        let mut probes = Vec::new();
        while let Some((_, held)) = window.take_probe() {
            probes.push(held.delivery.tag);
        }
        assert_eq!(probes, [3, 2, 1]);
        assert_eq!(abandon(&mut window), 3);
    }

    #[test]
    fn a_wait_ends_in_a_try_or_in_a_settlement() {
        let (mut window, now) = (window(2), Instant::now());
        let (first, _) = take(&mut window);
        let (second, _) = take(&mut window);
        let soon = now + Duration::from_secs(1);
        window.wait(first, soon, Due::Settle(Settlement::Discard));
        window.wait(second, now, Due::Try);
        assert!(window.end_waits(now).is_none());
        assert_eq!((window.ready(), window.next_due()), (1, Some(soon)));
        let Some(Over::Settle(held, settlement)) = window.end_waits(soon) else {
            panic!("the wait is over");
        };
        assert_eq!((held.delivery.tag, settlement), (1, Settlement::Discard));
        held.delivery.abandon();
        assert_eq!(abandon(&mut window), 1);
    }

    #[test]
    fn what_is_ready_for_too_long_is_overdue_and_what_is_in_flight_or_waits_never() {
        let (mut window, start) = (window(4), Instant::now());
        let (_flying, _) = take(&mut window);
        let (waiting, _) = take(&mut window);
        window.wait(waiting, start + READY_MAX * 2, Due::Try);
        assert!(window.take_overdue(start + READY_MAX / 2).is_empty());
        let overdue = window.take_overdue(start + READY_MAX);
        let tags: Vec<_> = overdue.iter().map(|held| held.delivery.tag).collect();
        assert_eq!((tags, window.ready()), (vec![3, 4], 0));
        for held in overdue {
            held.delivery.abandon();
        }
        assert_eq!(abandon(&mut window), 2);
    }

    #[test]
    fn what_waits_for_its_copy_for_too_long_is_overdue_wherever_the_copy_is() {
        let (mut window, start) = (window(3), Instant::now());
        let (waiting, held) = window.take_ready().expect("one is ready");
        held.leaving = Some(Box::new(Leaving::for_tests()));
        window.wait(waiting, start + READY_MAX * 2, Due::Copy);
        let (_, held) = window.take_ready().expect("one is ready");
        held.leaving = Some(Box::new(Leaving::for_tests()));
        let (_flying, _) = take(&mut window);
        let overdue = window.take_overdue(start + READY_MAX);
        assert_eq!((overdue.len(), window.len()), (2, 1));
        for held in overdue {
            held.delivery.abandon();
        }
        assert!(window.end_waits(start + READY_MAX * 3).is_none());
        assert_eq!(abandon(&mut window), 1);
    }

    #[test]
    fn only_what_is_not_in_flight_is_idle() {
        let (mut window, now) = (window(3), Instant::now());
        let (waiting, _) = take(&mut window);
        let (flying, _) = take(&mut window);
        window.wait(waiting, now, Due::Try);
        let idle = window.take_idle();
        assert_eq!(idle.len(), 2);
        for held in idle {
            held.delivery.abandon();
        }
        assert!(window.get(flying).is_some());
        assert!(window.end_waits(now).is_none());
        assert_eq!(abandon(&mut window), 1);
    }
}
