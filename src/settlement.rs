//! What the broker is told of a message: a pure function of outcome, attempt and policy.

use std::time::Duration;

use crate::backoff;
use crate::config::definition::RetryPolicy;
use crate::outcome::Outcome;

/// What the broker is told; each ends the delivery.
///
/// A retry through the broker and a dead-letter copy will be further variants: like
/// [`Settlement::Ack`] they end in an ack, but only once what replaces the message is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// `basic.ack`: the message leaves the queue.
    Ack,
    /// Back to the queue.
    Requeue {
        /// The message is at fault: `basic.reject`, which RabbitMQ ≥ 4.3 counts against a quorum
        /// queue's delivery limit. Else we are the ones in the way: `basic.nack`, which it does not.
        counted: bool,
    },
    /// `basic.nack` without requeue (KrakenD's `nack_discard`): to the queue's own dead-letter exchange, or gone.
    Discard,
}

/// What to do with a message next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// Tell the broker now.
    Settle(Settlement),
    /// Keep it, and try again after a wait.
    TryInPlace(Duration),
    /// Nothing more is to be tried, but it cannot be given back: keep it, and try again all the same.
    TryOn(Duration),
    /// Keep it for a wait, then tell the broker: so that no requeue is faster than its backoff.
    SettleAfter(Duration, Settlement),
    /// Keep it and hand out nothing more until the backend is well.
    Hold,
}

/// How often a message has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Tries since it was delivered to us, this one included; those that found the backend unwell do not count.
    pub here: u32,
    /// Deliveries that failed before this one, as far as the broker tells.
    pub before: u32,
    /// How long we have held it.
    pub held: Duration,
}

/// The part of an agent's definition that settlements depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How a message that failed is tried again.
    pub retry: RetryPolicy,
    /// Discard where we would requeue.
    pub nack_discard: bool,
    /// Ack whatever the backends say.
    pub auto_ack: bool,
    /// Whether what is given back comes again. A stream takes a requeue for an ack, so what
    /// fails there is kept and tried on.
    pub can_requeue: bool,
}

/// The longest that a message is held for tries in place, and again the longest that it then
/// waits for its requeue: together a third of RabbitMQ's `consumer_timeout` of 30 minutes.
pub const HELD_MAX: Duration = Duration::from_mins(5);

/// The tries in place for what waiting rarely mends.
const FEW: u32 = 1;

/// Decides what becomes of a message; `chance` is uniform in 0 to 1 and moves only waits.
#[must_use]
pub fn decide(outcome: Outcome, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    if policy.auto_ack {
        return Decision::Settle(Settlement::Ack);
    }
    match outcome {
        Outcome::Delivered => Decision::Settle(Settlement::Ack),
        Outcome::Unwell { .. } => Decision::Hold,
        Outcome::Refused => give_back(None, attempts, policy, chance),
        Outcome::TryAgain { not_before, few, .. } => {
            let in_place = if few { policy.retry.in_place.min(FEW) } else { policy.retry.in_place };
            let wait = backoff::in_place(attempts.here, policy.retry.jitter, chance)
                .max(not_before.unwrap_or_default());
            if attempts.here > in_place || attempts.held.saturating_add(wait) > HELD_MAX {
                return give_back(not_before, attempts, policy, chance);
            }
            Decision::TryInPlace(wait)
        }
    }
}

/// Nothing more is to be tried here: back to the queue after the backoff, or discarded.
fn give_back(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    if policy.nack_discard {
        return Decision::Settle(Settlement::Discard);
    }
    let failures = attempts.before.saturating_add(1);
    let wait = backoff::delay(&policy.retry.delays, failures, policy.retry.jitter, chance)
        .max(not_before.unwrap_or_default())
        .min(HELD_MAX);
    if !policy.can_requeue {
        return Decision::TryOn(wait);
    }
    Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
}

/// Decides what becomes of a message that a backend turned away as if it were unwell, `unwell`
/// times in a row, while it took others: it may be this message alone.
///
/// Tried again, not counted and never discarded. But one that was held for long goes back, since
/// RabbitMQ ends the session of a consumer that keeps a message beyond its `consumer_timeout`.
#[must_use]
pub fn in_doubt(attempts: Attempts, unwell: u32, policy: &Policy, chance: f64) -> Decision {
    let wait = backoff::probe(unwell, chance);
    let is_held_for_long = attempts.held.saturating_add(wait) > HELD_MAX;
    match (is_held_for_long, policy.can_requeue) {
        (false, _) => Decision::TryInPlace(wait),
        (true, true) => Decision::SettleAfter(wait, Settlement::Requeue { counted: false }),
        (true, false) => Decision::TryOn(wait),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::definition::RetryStrategy;

    fn policy() -> Policy {
        let delays = vec![Duration::from_secs(5), Duration::from_secs(30)];
        Policy {
            retry: RetryPolicy {
                attempts: 10,
                in_place: 2,
                delays,
                max_age: None,
                jitter: 0.0,
                strategy: RetryStrategy::Requeue,
            },
            nack_discard: false,
            auto_ack: false,
            can_requeue: true,
        }
    }

    fn attempts(here: u32, before: u32) -> Attempts {
        Attempts { here, before, held: Duration::ZERO }
    }

    fn again(few: bool) -> Outcome {
        Outcome::TryAgain { not_before: None, whole_backend: false, few }
    }

    const COUNTED: Settlement = Settlement::Requeue { counted: true };
    const SECOND: Duration = Duration::from_secs(1);

    /// The table of design: each outcome, the try that it ends, and what follows.
    #[test]
    fn each_outcome_has_its_settlement() {
        let table = [
            (Outcome::Delivered, attempts(1, 0), Decision::Settle(Settlement::Ack)),
            (Outcome::Delivered, attempts(3, 9), Decision::Settle(Settlement::Ack)),
            (Outcome::Refused, attempts(1, 0), Decision::SettleAfter(5 * SECOND, COUNTED)),
            (Outcome::Refused, attempts(1, 1), Decision::SettleAfter(30 * SECOND, COUNTED)),
            (Outcome::Unwell { certain: true }, attempts(0, 0), Decision::Hold),
            (Outcome::Unwell { certain: false }, attempts(9, 9), Decision::Hold),
            (again(false), attempts(1, 0), Decision::TryInPlace(Duration::from_millis(250))),
            (again(false), attempts(2, 0), Decision::TryInPlace(Duration::from_millis(500))),
            (again(false), attempts(3, 0), Decision::SettleAfter(5 * SECOND, COUNTED)),
            (again(false), attempts(3, 7), Decision::SettleAfter(30 * SECOND, COUNTED)),
            (again(true), attempts(1, 0), Decision::TryInPlace(Duration::from_millis(250))),
            (again(true), attempts(2, 0), Decision::SettleAfter(5 * SECOND, COUNTED)),
        ];
        for (outcome, attempts, decision) in table {
            assert_eq!(
                decide(outcome, attempts, &policy(), 0.5),
                decision,
                "{outcome:?} {attempts:?}"
            );
        }
    }

    #[test]
    fn retry_after_stretches_a_wait_and_never_shortens_it() {
        let wish =
            |wait| Outcome::TryAgain { not_before: Some(wait), whole_backend: true, few: false };
        let long = decide(wish(20 * SECOND), attempts(1, 0), &policy(), 0.5);
        assert_eq!(long, Decision::TryInPlace(20 * SECOND));
        let short = decide(wish(Duration::ZERO), attempts(1, 0), &policy(), 0.5);
        assert_eq!(short, Decision::TryInPlace(Duration::from_millis(250)));
        let last = decide(wish(20 * SECOND), attempts(3, 0), &policy(), 0.5);
        assert_eq!(last, Decision::SettleAfter(20 * SECOND, COUNTED));
    }

    #[test]
    fn tries_in_place_end_when_a_message_was_held_for_long() {
        let long = Attempts { held: HELD_MAX, ..attempts(1, 0) };
        let decision = decide(again(false), long, &policy(), 0.5);
        assert_eq!(decision, Decision::SettleAfter(5 * SECOND, COUNTED));
    }

    #[test]
    fn nack_discard_discards_what_would_be_requeued_and_nothing_else() {
        let policy = Policy { nack_discard: true, ..policy() };
        let discard = Decision::Settle(Settlement::Discard);
        assert_eq!(decide(Outcome::Refused, attempts(1, 0), &policy, 0.5), discard);
        assert_eq!(decide(again(false), attempts(3, 0), &policy, 0.5), discard);
        let first = decide(again(false), attempts(1, 0), &policy, 0.5);
        assert_eq!(first, Decision::TryInPlace(Duration::from_millis(250)));
        assert_eq!(
            decide(Outcome::Unwell { certain: true }, attempts(1, 0), &policy, 0.5),
            Decision::Hold
        );
    }

    #[test]
    fn what_fails_on_a_stream_is_kept_and_tried_on() {
        let policy = Policy { can_requeue: false, ..policy() };
        for outcome in [Outcome::Refused, again(false)] {
            let decision = decide(outcome, attempts(3, 0), &policy, 0.5);
            assert_eq!(decision, Decision::TryOn(5 * SECOND));
        }
    }

    #[test]
    fn a_message_that_alone_is_turned_away_is_not_held_until_the_broker_ends_the_session() {
        let policy = Policy { nack_discard: true, ..policy() };
        let decide =
            |held, policy: &Policy| in_doubt(Attempts { held, ..attempts(0, 0) }, 3, policy, 0.5);
        assert_eq!(decide(Duration::ZERO, &policy), Decision::TryInPlace(4 * SECOND));
        let uncounted = Settlement::Requeue { counted: false };
        let back = Decision::SettleAfter(4 * SECOND, uncounted);
        assert_eq!(decide(HELD_MAX, &policy), back);
        let stream = Policy { can_requeue: false, ..policy };
        assert_eq!(decide(HELD_MAX, &stream), Decision::TryOn(4 * SECOND));
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        let wish = proptest::option::of((0_u64..1000).prop_map(Duration::from_secs));
        prop_oneof![
            Just(Outcome::Delivered),
            Just(Outcome::Refused),
            any::<bool>().prop_map(|certain| Outcome::Unwell { certain }),
            (wish, any::<bool>(), any::<bool>()).prop_map(|(not_before, whole_backend, few)| {
                Outcome::TryAgain { not_before, whole_backend, few }
            }),
        ]
    }

    proptest! {
        #[test]
        fn only_a_delivered_message_is_acked(
            outcome in any_outcome(), here in any::<u32>(), before in any::<u32>(),
            nack_discard in any::<bool>(), chance in 0.0..=1.0,
        ) {
            let policy = Policy { nack_discard, ..policy() };
            let decision = decide(outcome, attempts(here, before), &policy, chance);
            let is_acked = decision == Decision::Settle(Settlement::Ack);
            prop_assert_eq!(is_acked, outcome == Outcome::Delivered);
        }

        #[test]
        fn no_message_is_requeued_at_once(
            outcome in any_outcome(), here in any::<u32>(), before in any::<u32>(), chance in 0.0..=1.0,
        ) {
            match decide(outcome, attempts(here, before), &policy(), chance) {
                Decision::Settle(settlement) => prop_assert_eq!(settlement, Settlement::Ack),
                Decision::SettleAfter(wait, _) => prop_assert!(wait >= SECOND && wait <= HELD_MAX),
                Decision::TryInPlace(wait) | Decision::TryOn(wait) => prop_assert!(wait >= Duration::from_millis(1)),
                Decision::Hold => {}
            }
        }

        #[test]
        fn an_innocent_message_is_held_and_nothing_else(
            certain in any::<bool>(), here in any::<u32>(), before in any::<u32>(), nack_discard in any::<bool>(),
        ) {
            let policy = Policy { nack_discard, ..policy() };
            let decision = decide(Outcome::Unwell { certain }, attempts(here, before), &policy, 0.5);
            prop_assert_eq!(decision, Decision::Hold);
        }
    }
}
