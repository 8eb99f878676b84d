//! Which copies the broker has confirmed, on one channel: pure.
//!
//! The broker numbers what is published on a channel from 1. Its confirms come in any order, and
//! one may stand for all numbers up to its own. What no queue takes comes back *before* its
//! confirm, without its number: it is known again by what it is.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;

use super::NotSafe;

/// What was published and is not yet settled; `T` is whoever waits for it.
#[derive(Debug)]
pub(super) struct Confirms<T> {
    last: u64,
    waiting: BTreeMap<u64, Waiting<T>>,
}

/// By what a message that comes back is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// The exchange it was published to.
    pub(super) exchange: String,
    /// With this routing key.
    pub(super) routing_key: String,
    /// The sender's own name for it.
    pub(super) message_id: Option<String>,
    /// As published.
    pub(super) body: Bytes,
}

impl Label {
    fn is_sent_as(&self, other: &Self) -> bool {
        self.exchange == other.exchange && self.routing_key == other.routing_key
    }
}

#[derive(Debug)]
struct Waiting<T> {
    label: Label,
    returned: Option<NotSafe>,
    whose: T,
}

impl<T> Default for Confirms<T> {
    fn default() -> Self {
        Self { last: 0, waiting: BTreeMap::new() }
    }
}

impl<T> Confirms<T> {
    /// Notes a message just before it is published: the next number is its.
    pub(super) fn publish(&mut self, label: Label, whose: T) {
        self.last += 1;
        self.waiting.insert(self.last, Waiting { label, returned: None, whose });
    }

    /// A message came back, which is told when it is confirmed.
    ///
    /// Where several that wait look the same, none of them is safe: better one copy too many than
    /// one too few. What the broker may have changed on the way only narrows the choice, and only
    /// as long as it leaves one.
    pub(super) fn returned(&mut self, came_back: &Label, code: u16, text: &str) {
        let likenesses: [fn(&Label, &Label) -> bool; 4] = [
            |one, other| one == other,
            |one, other| one.is_sent_as(other) && one.body == other.body,
            Label::is_sent_as,
            |_, _| true,
        ];
        let is_any = |like: &fn(&Label, &Label) -> bool| {
            self.waiting.values().any(|one| like(&one.label, came_back))
        };
        let Some(is_like) = likenesses.into_iter().find(is_any) else { return };
        for one in self.waiting.values_mut().filter(|one| is_like(&one.label, came_back)) {
            let text = text.to_owned();
            one.returned.get_or_insert(NotSafe::Returned { code, text });
        }
    }

    /// The broker took number `tag`, or with `multiple` all up to it, or took none of them.
    ///
    /// Gives whoever waited for them, with what became of theirs. Unknown numbers mean nothing.
    pub(super) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        is_taken: bool,
    ) -> Vec<(T, Result<(), NotSafe>)> {
        let settled = if multiple {
            let later = self.waiting.split_off(&tag.saturating_add(1));
            mem::replace(&mut self.waiting, later)
        } else {
            self.waiting.remove_entry(&tag).into_iter().collect()
        };
        let told = settled.into_values().map(|one| {
            let result = match one.returned {
                Some(returned) => Err(returned),
                None if is_taken => Ok(()),
                None => Err(NotSafe::Refused),
            };
            (one.whose, result)
        });
        told.collect()
    }

    /// The channel is gone: whoever still waits for it.
    pub(super) fn end(&mut self) -> Vec<T> {
        mem::take(&mut self.waiting).into_values().map(|one| one.whose).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};
    use proptest::prop_oneof;

    use super::*;

    fn label(key: &str, id: Option<&str>, body: &'static str) -> Label {
        Label {
            exchange: String::new(),
            routing_key: key.to_owned(),
            message_id: id.map(str::to_owned),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn returned() -> Result<(), NotSafe> {
        Err(NotSafe::Returned { code: 312, text: "NO_ROUTE".to_owned() })
    }

    /// Five messages, numbers 1 to 5, each waited for by its number.
    fn five() -> Confirms<u64> {
        let mut confirms = Confirms::default();
        for number in 1..=5 {
            confirms.publish(label("orders", None, "same"), number);
        }
        confirms
    }

    #[test]
    fn a_confirm_settles_one_and_a_multiple_one_all_before_it() {
        let mut confirms = five();
        assert_eq!(confirms.settle(4, false, true), [(4, Ok(()))]);
        assert_eq!(confirms.settle(3, true, true), [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
        assert_eq!(confirms.settle(3, true, true), []);
        assert_eq!(confirms.settle(5, true, false), [(5, Err(NotSafe::Refused))]);
        assert_eq!(confirms.settle(6, true, true), []);
        confirms.publish(label("orders", None, "same"), 6);
        assert_eq!(confirms.settle(0, true, true), []);
        assert_eq!(confirms.settle(6, false, true), [(6, Ok(()))]);
    }

    #[test]
    fn what_came_back_is_not_safe_though_a_multiple_confirm_covers_it() {
        let mut confirms = Confirms::default();
        confirms.publish(label("orders", None, "first"), 1);
        confirms.publish(label("orders", None, "second"), 2);
        confirms.publish(label("orders", None, "third"), 3);
        confirms.returned(&label("orders", None, "second"), 312, "NO_ROUTE");
        let told = confirms.settle(3, true, true);
        assert_eq!(told, [(1, Ok(())), (2, returned()), (3, Ok(()))]);
    }

    #[test]
    fn of_messages_that_look_the_same_none_is_safe_when_one_came_back() {
        let mut confirms = five();
        confirms.publish(label("others", None, "same"), 6);
        confirms.returned(&label("orders", None, "same"), 312, "NO_ROUTE");
        for (_, result) in confirms.settle(5, true, true) {
            assert_eq!(result, returned());
        }
        assert_eq!(confirms.settle(6, false, true), [(6, Ok(()))]);
    }

    #[test]
    fn a_message_id_tells_equal_bodies_apart() {
        let mut confirms = Confirms::default();
        confirms.publish(label("orders", Some("a"), "same"), 1);
        confirms.publish(label("orders", Some("b"), "same"), 2);
        confirms.returned(&label("orders", Some("b"), "same"), 312, "NO_ROUTE");
        assert_eq!(confirms.settle(2, true, true), [(1, Ok(())), (2, returned())]);
    }

    #[test]
    fn something_that_nobody_sent_makes_everything_unsafe() {
        for came_back in [label("orders", None, "changed"), label("elsewhere", None, "changed")] {
            let mut confirms = five();
            confirms.returned(&came_back, 312, "NO_ROUTE");
            assert!(confirms.settle(5, true, true).iter().all(|(_, result)| *result == returned()));
        }
    }

    #[test]
    fn what_is_published_after_a_return_is_not_touched_by_it() {
        let mut confirms = Confirms::default();
        confirms.publish(label("orders", None, "same"), 1);
        confirms.returned(&label("orders", None, "same"), 312, "NO_ROUTE");
        confirms.publish(label("orders", None, "same"), 2);
        assert_eq!(confirms.settle(2, true, true), [(1, returned()), (2, Ok(()))]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Publish { body: u8 },
        Return { nth: usize },
        Settle { nth: usize, multiple: bool, is_taken: bool },
        End,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_u8).prop_map(|body| Step::Publish { body }),
            2 => any::<usize>().prop_map(|nth| Step::Return { nth }),
            4 => (any::<usize>(), any::<bool>(), any::<bool>())
                .prop_map(|(nth, multiple, is_taken)| Step::Settle { nth, multiple, is_taken }),
            1 => Just(Step::End),
        ]
    }

    proptest! {
        /// Whatever the broker says and in whichever order: each is told once, and safe only what
        /// was taken and did not come back.
        #[test]
        fn nothing_is_safe_that_came_back_or_was_refused(steps in vec(step(), 0..60)) {
            let mut confirms = Confirms::default();
            let mut published = 0_u64;
            let mut open: BTreeMap<u64, u8> = BTreeMap::new();
            let mut back = Vec::new();
            let mut told: HashMap<u64, u32> = HashMap::new();
            let named = |body: u8| label("orders", None, ["a", "b", "c"][usize::from(body)]);
            for step in steps {
                let number_of = |nth: usize, open: &BTreeMap<u64, u8>| {
                    (!open.is_empty()).then(|| *open.keys().nth(nth % open.len()).unwrap())
                };
                match step {
                    Step::Publish { body } => {
                        published += 1;
                        open.insert(published, body);
                        confirms.publish(named(body), published);
                    }
                    Step::Return { nth } => if let Some(number) = number_of(nth, &open) {
                        back.push(number);
                        confirms.returned(&named(open[&number]), 312, "NO_ROUTE");
                    },
                    Step::Settle { nth, multiple, is_taken } => if let Some(tag) = number_of(nth, &open) {
                        for (number, result) in confirms.settle(tag, multiple, is_taken) {
                            prop_assert!(number == tag || multiple && number < tag);
                            prop_assert!(open.remove(&number).is_some());
                            *told.entry(number).or_default() += 1;
                            prop_assert!(result.is_err() || is_taken && !back.contains(&number));
                        }
                        prop_assert!(!open.contains_key(&tag));
                    },
                    Step::End => for number in confirms.end() {
                        prop_assert!(open.remove(&number).is_some());
                        *told.entry(number).or_default() += 1;
                    },
                }
            }
            for number in confirms.end() {
                *told.entry(number).or_default() += 1;
            }
            prop_assert_eq!(told.len() as u64, published);
            prop_assert!(told.values().all(|times| *times == 1));
        }
    }
}
