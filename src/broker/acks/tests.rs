use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What RabbitMQ does with a channel's deliveries.
#[derive(Default)]
struct Broker {
    next_tag: u64,
    unacked: BTreeSet<u64>,
    acked: BTreeSet<u64>,
}

impl Broker {
    fn deliver(&mut self) -> u64 {
        self.next_tag += 1;
        self.unacked.insert(self.next_tag);
        self.next_tag
    }

    /// As `collect_acks` of `rabbit_channel` has it: the named tag has to be there.
    fn hear(&mut self, frame: Frame) {
        assert!(self.unacked.contains(&frame.tag), "406: unknown delivery tag {}", frame.tag);
        let covered = |tag: &u64| *tag == frame.tag || (frame.multiple && *tag < frame.tag);
        self.acked.extend(self.unacked.extract_if(.., covered));
    }

    fn nacked(&mut self, tag: u64) {
        assert!(self.unacked.remove(&tag), "406: unknown delivery tag {tag}");
    }
}

/// What we mean for each delivery that the broker has not been told of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meant {
    Open,
    Acked(Instant),
}

#[derive(Debug, Clone)]
enum Step {
    Deliver,
    /// A delivery that never reaches us.
    Lose,
    /// Of those that are open, the one at this place.
    Ack(prop::sample::Index),
    Nack(prop::sample::Index),
    Flush,
    /// So many milliseconds pass.
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => Just(Step::Deliver),
        1 => Just(Step::Lose),
        40 => any::<prop::sample::Index>().prop_map(Step::Ack),
        5 => any::<prop::sample::Index>().prop_map(Step::Nack),
        15 => Just(Step::Flush),
        15 => (0..4_u64).prop_map(Step::Wait),
    ]
}

/// Of those that are open the one at this place, where there is any.
fn pick(meant: &BTreeMap<u64, Meant>, index: prop::sample::Index) -> Option<u64> {
    let open = meant.iter().filter(|(_, meant)| **meant == Meant::Open).map(|(tag, _)| *tag);
    let open: Vec<_> = open.collect();
    (!open.is_empty()).then(|| open[index.index(open.len())])
}

proptest! {
    /// No interleaving acks what was not meant to be, names what is no longer outstanding, or
    /// forgets an ack; and if we died now, the broker would hand out again just what is open, never
    /// reached us, or waits for a flush.
    #[test]
    fn the_broker_is_told_what_is_meant_and_nothing_else(
        window in 1_u16..100,
        steps in proptest::collection::vec(any_step(), 0..300),
    ) {
        let (mut acks, mut broker) = (Acks::new(window), Broker::default());
        let mut meant = BTreeMap::new();
        let (mut ever_acked, mut lost) = (BTreeSet::new(), BTreeSet::new());
        let mut now = Instant::now();
        let last = [Step::Wait(5), Step::Flush];
        for step in steps.iter().chain(&last) {
            match step {
                Step::Deliver | Step::Lose if broker.unacked.len() >= usize::from(window) => {}
                Step::Deliver => {
                    let tag = broker.deliver();
                    acks.delivered(tag);
                    meant.insert(tag, Meant::Open);
                }
                Step::Lose => {
                    lost.insert(broker.deliver());
                }
                Step::Ack(index) => {
                    if let Some(tag) = pick(&meant, *index) {
                        acks.ack(tag, now);
                        meant.insert(tag, Meant::Acked(now));
                        ever_acked.insert(tag);
                    }
                }
                Step::Nack(index) => {
                    if let Some(tag) = pick(&meant, *index) {
                        acks.told(tag);
                        broker.nacked(tag);
                        meant.remove(&tag);
                    }
                }
                Step::Wait(millis) => now += Duration::from_millis(*millis),
                Step::Flush => {
                    let mut frames = Vec::new();
                    acks.flush(now, &mut frames);
                    for frame in frames {
                        broker.hear(frame);
                    }
                    meant.retain(|tag, _| broker.unacked.contains(tag));
                    prop_assert!(acks.unsaid() <= usize::from(window) / SHARE);
                    let is_late = |one: &Meant| matches!(one, Meant::Acked(at) if now >= *at + WAIT_MAX);
                    prop_assert!(!meant.values().any(is_late));
                    // What heads the window is never left unsaid.
                    let is_blocked = meant.first_key_value().is_none_or(|(_, one)| *one == Meant::Open);
                    prop_assert!(is_blocked);
                }
            }
            prop_assert!(broker.acked.is_subset(&ever_acked));
            let again: BTreeSet<_> = meant.keys().chain(&lost).copied().collect();
            prop_assert_eq!(&broker.unacked, &again);
            let unsaid = meant.values().filter(|one| **one != Meant::Open).count();
            prop_assert_eq!(acks.unsaid(), unsaid);
            prop_assert!(acks.outstanding.len() <= usize::from(window));
        }
        prop_assert_eq!(broker.acked, ever_acked);
    }
}

fn acks(window: u16, delivered: u64) -> Acks {
    let mut acks = Acks::new(window);
    for tag in 1..=delivered {
        acks.delivered(tag);
    }
    acks
}

fn ack<const N: usize>(acks: &mut Acks, tags: [u64; N]) {
    let now = Instant::now();
    for tag in tags {
        acks.ack(tag, now);
    }
}

fn flushed(acks: &mut Acks, all: bool) -> Vec<(u64, bool)> {
    let mut frames = Vec::new();
    match acks.due() {
        Some(due) if all => acks.flush(due, &mut frames),
        Some(due) => acks.flush(due - WAIT_MAX, &mut frames),
        None => {}
    }
    frames.iter().map(|frame| (frame.tag, frame.multiple)).collect()
}

#[test]
fn what_is_acked_without_a_hole_is_one_frame() {
    let mut acks = acks(50, 5);
    ack(&mut acks, [3, 1, 2]);
    assert_eq!(flushed(&mut acks, false), [(3, true)]);
    ack(&mut acks, [4]);
    assert_eq!(flushed(&mut acks, false), [(4, false)], "one alone needs no multiple");
    assert_eq!(flushed(&mut acks, true), []);
}

#[test]
fn what_waits_behind_a_hole_is_acked_singly_once_it_takes_up_its_share() {
    let mut acks = acks(16, 16);
    ack(&mut acks, [2, 5]);
    assert_eq!(flushed(&mut acks, false), []);
    ack(&mut acks, [6]);
    assert_eq!(flushed(&mut acks, false), [(2, false), (5, false), (6, false)]);
    ack(&mut acks, [4]);
    assert_eq!(flushed(&mut acks, true), [(4, false)], "or when it has waited for long enough");
    ack(&mut acks, [1, 3, 7]);
    assert_eq!(flushed(&mut acks, false), [(7, true)]);
}

#[test]
fn what_is_given_back_is_no_hole_and_never_named() {
    let mut acks = acks(50, 4);
    acks.told(2);
    ack(&mut acks, [1, 3]);
    assert_eq!(flushed(&mut acks, false), [(3, true)]);
    acks.told(4);
    assert_eq!(flushed(&mut acks, true), []);
}

#[test]
fn after_a_delivery_that_never_came_each_is_acked_singly() {
    let mut acks = acks(50, 2);
    acks.delivered(4);
    ack(&mut acks, [1, 2, 4]);
    assert_eq!(flushed(&mut acks, false), [(1, false), (2, false), (4, false)]);
}
