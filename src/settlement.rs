//! What the broker is told of a message: a pure function of outcome, attempts and policy.

use std::fmt;
use std::time::Duration;

use crate::backoff;
use crate::config::definition::{RetryPolicy, RetryStrategy};
use crate::outcome::Outcome;

/// What the broker is told; each ends the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// `basic.ack`: every required backend has the message.
    Ack,
    /// `basic.ack`: a copy has taken the message's place, and the broker has confirmed it.
    Replaced(CopyTo),
    /// Back to the queue.
    Requeue {
        /// The message is at fault: `basic.reject`, which RabbitMQ ≥ 4.3 counts against a quorum
        /// queue's delivery limit. Else we are the ones in the way: `basic.nack`, which it does not.
        counted: bool,
    },
    /// `basic.nack` without requeue (KrakenD's `nack_discard`): to the queue's own dead-letter exchange, or gone.
    Discard,
}

/// Where a copy goes that takes a message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyTo {
    /// To a delay queue, which gives it back to the message's queue after this time.
    Retry(Duration),
    /// To the dead letters: it is not tried again.
    DeadLetter(Reason),
}

/// Why a message is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A backend refused it: it is at fault, and will be for ever.
    Refused,
    /// No request can be made of it.
    Impossible,
    /// As many deliveries failed as `retry.attempts` allows.
    Attempts,
    /// It failed first longer ago than `retry.max_age`.
    MaxAge,
}

impl fmt::Display for Reason {
    /// The one word that a dead letter has in its header, and that `redrive --reason` takes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refused => "refused",
            Self::Impossible => "impossible",
            Self::Attempts => "attempts",
            Self::MaxAge => "max_age",
        })
    }
}

/// What to do with a message next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// Tell the broker now.
    Settle(Settlement),
    /// Publish a copy; once the broker has confirmed it, settle with [`Settlement::Replaced`].
    Copy(CopyTo),
    /// Keep it, and try again after a wait, as part of the same attempt.
    TryInPlace(Duration),
    /// This attempt has failed: keep it, and begin the next one after a wait.
    TryOn(Duration),
    /// It is not to be tried again, but there is nowhere to put it: keep it, and try again all the
    /// same, since that loses nothing.
    Stuck(Duration),
    /// Keep it for a wait, then tell the broker: so that no requeue is faster than its backoff.
    SettleAfter(Duration, Settlement),
    /// Keep it and hand out nothing more until the backend is well.
    Hold,
}

/// How often a message has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Tries of this attempt, the last one included; those that found the backend unwell do not count.
    pub here: u32,
    /// Attempts that failed before this one: deliveries, each with its quick tries.
    pub before: u32,
    /// Tries before this attempt, as far as we know.
    pub tries_before: u32,
    /// How long we have held it.
    pub held: Duration,
    /// How long ago it failed first.
    pub age: Duration,
}

impl Attempts {
    /// Tries in all.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries_before.saturating_add(self.here)
    }

    /// Begins the next attempt, this one having failed.
    pub fn next(&mut self) {
        self.tries_before = self.tries();
        self.before = self.before.saturating_add(1);
        self.here = 0;
    }
}

/// The part of an agent's definition that settlements depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How a message that failed is tried again.
    pub retry: RetryPolicy,
    /// What becomes of a message that is not tried again.
    pub last_resort: LastResort,
    /// Ack whatever the backends say.
    pub auto_ack: bool,
    /// Whether what is given back comes again. A stream takes a requeue for an ack, so what
    /// fails there is kept and tried on.
    pub can_requeue: bool,
}

/// What becomes of a message that is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastResort {
    /// A copy goes to the dead letters.
    DeadLetter,
    /// It is kept, since there are none: never dropped.
    Keep,
    /// It is discarded, and so is what would be tried later (KrakenD's `nack_discard`).
    Discard,
}

/// The longest that a message is held for quick tries, and again the longest that it then
/// waits for its requeue: together a third of RabbitMQ's `consumer_timeout` of 30 minutes.
pub const HELD_MAX: Duration = Duration::from_mins(5);

/// The longest that a message is kept in the window between its attempts, well within the same.
pub const KEPT_MAX: Duration = Duration::from_mins(15);

/// The quick tries for what waiting rarely mends (404, 409), and its attempts.
const FEW_IN_PLACE: u32 = 1;
const FEW_ATTEMPTS: u32 = 3;

/// Decides what becomes of a message; `chance` is uniform in 0 to 1 and moves only waits.
#[must_use]
pub fn decide(outcome: Outcome, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    if policy.auto_ack {
        return Decision::Settle(Settlement::Ack);
    }
    match outcome {
        Outcome::Delivered => Decision::Settle(Settlement::Ack),
        Outcome::Unwell { .. } => Decision::Hold,
        Outcome::Refused => give_up(Reason::Refused, attempts, policy, chance),
        Outcome::TryAgain { not_before, few, .. } => {
            let in_place = policy.retry.in_place.min(if few { FEW_IN_PLACE } else { u32::MAX });
            let wait = backoff::in_place(attempts.here, policy.retry.jitter, chance)
                .max(not_before.unwrap_or_default());
            if attempts.here <= in_place && attempts.held.saturating_add(wait) <= HELD_MAX {
                return Decision::TryInPlace(wait);
            }
            let most = policy.retry.attempts.min(if few { FEW_ATTEMPTS } else { u32::MAX });
            if attempts.before.saturating_add(1) >= most {
                give_up(Reason::Attempts, attempts, policy, chance)
            } else if policy.retry.max_age.is_some_and(|max| attempts.age >= max) {
                give_up(Reason::MaxAge, attempts, policy, chance)
            } else {
                try_later(not_before, attempts, policy, chance)
            }
        }
    }
}

/// This attempt has failed, and another may follow.
fn try_later(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    if policy.last_resort == LastResort::Discard {
        return Decision::Settle(Settlement::Discard);
    }
    match policy.retry.strategy {
        RetryStrategy::Queue => {
            Decision::Copy(CopyTo::Retry(delay(not_before, attempts, &policy.retry)))
        }
        // The queue itself makes it wait.
        RetryStrategy::Native => Decision::Settle(Settlement::Requeue { counted: true }),
        RetryStrategy::InPlace => {
            let wait = wait(not_before, attempts, &policy.retry, chance);
            if policy.can_requeue && attempts.held.saturating_add(wait) > KEPT_MAX {
                Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
            } else {
                Decision::TryOn(wait)
            }
        }
        RetryStrategy::Requeue => requeue_later(not_before, attempts, policy, chance),
    }
}

/// Where no copy can be made of a message that is to be tried later: it waits in the window, and
/// goes back to its queue.
#[must_use]
pub fn requeue_later(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    let wait = wait(not_before, attempts, &policy.retry, chance);
    if policy.can_requeue {
        Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
    } else {
        Decision::TryOn(wait)
    }
}

/// Nothing more is to be tried.
fn give_up(reason: Reason, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    match policy.last_resort {
        LastResort::Discard => Decision::Settle(Settlement::Discard),
        LastResort::DeadLetter => Decision::Copy(CopyTo::DeadLetter(reason)),
        LastResort::Keep => {
            let last = Attempts { before: u32::MAX, ..attempts };
            let wait = wait(None, last, &policy.retry, chance);
            if policy.can_requeue && attempts.held.saturating_add(wait) > KEPT_MAX {
                Decision::SettleAfter(wait, Settlement::Requeue { counted: false })
            } else {
                Decision::Stuck(wait)
            }
        }
    }
}

/// The delay queue for the next attempt: of those there are, the one whose turn it is, or a later
/// one where the backend wishes for more.
fn delay(not_before: Option<Duration>, attempts: Attempts, retry: &RetryPolicy) -> Duration {
    let turn = backoff::delay(&retry.delays, attempts.before.saturating_add(1), 0.0, 0.5);
    let wish = not_before.unwrap_or_default();
    if wish <= turn {
        return turn;
    }
    let longer = retry.delays.iter().copied().filter(|delay| *delay >= wish).min();
    longer.or(retry.delays.iter().copied().max()).unwrap_or(turn)
}

/// The wait before the next attempt of a message that is kept.
fn wait(
    not_before: Option<Duration>,
    attempts: Attempts,
    retry: &RetryPolicy,
    chance: f64,
) -> Duration {
    let failures = attempts.before.saturating_add(1);
    backoff::delay(&retry.delays, failures, retry.jitter, chance)
        .max(not_before.unwrap_or_default())
        .min(HELD_MAX)
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
        (true, true) => Decision::SettleAfter(wait, Settlement::Requeue { counted: false }),
        (false, _) | (true, false) => Decision::TryInPlace(wait),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(strategy: RetryStrategy) -> Policy {
        let retry = RetryPolicy {
            attempts: 10,
            in_place: 2,
            delays: vec![5 * SECOND, 30 * SECOND],
            max_age: None,
            jitter: 0.0,
            strategy,
        };
        let last_resort = LastResort::DeadLetter;
        Policy { retry, last_resort, auto_ack: false, can_requeue: true }
    }

    fn queue() -> Policy {
        policy(RetryStrategy::Queue)
    }

    fn attempts(here: u32, before: u32) -> Attempts {
        Attempts { here, before, ..Attempts::default() }
    }

    fn again(few: bool) -> Outcome {
        Outcome::TryAgain { not_before: None, whole_backend: false, few }
    }

    fn wish(wait: Duration) -> Outcome {
        Outcome::TryAgain { not_before: Some(wait), whole_backend: true, few: false }
    }

    fn retry(delay: Duration) -> Decision {
        Decision::Copy(CopyTo::Retry(delay))
    }

    fn dead(reason: Reason) -> Decision {
        Decision::Copy(CopyTo::DeadLetter(reason))
    }

    const COUNTED: Settlement = Settlement::Requeue { counted: true };
    const UNCOUNTED: Settlement = Settlement::Requeue { counted: false };
    const SECOND: Duration = Duration::from_secs(1);

    /// The table of design: each outcome, the try that it ends, and what follows.
    #[test]
    fn each_outcome_has_its_settlement() {
        let table = [
            (Outcome::Delivered, attempts(1, 0), Decision::Settle(Settlement::Ack)),
            (Outcome::Delivered, attempts(3, 9), Decision::Settle(Settlement::Ack)),
            (Outcome::Refused, attempts(1, 0), dead(Reason::Refused)),
            (Outcome::Refused, attempts(1, 1), dead(Reason::Refused)),
            (Outcome::Unwell { certain: true }, attempts(0, 0), Decision::Hold),
            (Outcome::Unwell { certain: false }, attempts(9, 9), Decision::Hold),
            (again(false), attempts(1, 0), Decision::TryInPlace(Duration::from_millis(250))),
            (again(false), attempts(2, 0), Decision::TryInPlace(Duration::from_millis(500))),
            (again(false), attempts(3, 0), retry(5 * SECOND)),
            (again(false), attempts(1, 7), Decision::TryInPlace(Duration::from_millis(250))),
            (again(false), attempts(3, 1), retry(30 * SECOND)),
            (again(false), attempts(3, 8), retry(30 * SECOND)),
            (again(false), attempts(3, 9), dead(Reason::Attempts)),
            (again(true), attempts(1, 0), Decision::TryInPlace(Duration::from_millis(250))),
            (again(true), attempts(2, 0), retry(5 * SECOND)),
            (again(true), attempts(2, 1), retry(30 * SECOND)),
            (again(true), attempts(2, 2), dead(Reason::Attempts)),
        ];
        for (outcome, attempts, decision) in table {
            let decided = decide(outcome, attempts, &queue(), 0.5);
            assert_eq!(decided, decision, "{outcome:?} {attempts:?}");
        }
    }

    #[test]
    fn each_strategy_lets_a_message_wait_in_its_place() {
        let kept = Attempts { held: KEPT_MAX, ..attempts(3, 1) };
        let table = [
            (RetryStrategy::Queue, attempts(3, 1), retry(30 * SECOND)),
            (RetryStrategy::Native, attempts(3, 1), Decision::Settle(COUNTED)),
            (RetryStrategy::InPlace, attempts(3, 1), Decision::TryOn(30 * SECOND)),
            (RetryStrategy::InPlace, kept, Decision::SettleAfter(30 * SECOND, COUNTED)),
            (RetryStrategy::Requeue, attempts(3, 1), Decision::SettleAfter(30 * SECOND, COUNTED)),
        ];
        for (strategy, attempts, decision) in table {
            let decided = decide(again(false), attempts, &policy(strategy), 0.5);
            assert_eq!(decided, decision, "{strategy:?}");
        }
    }

    #[test]
    fn a_message_that_failed_first_too_long_ago_is_not_tried_again() {
        let mut policy = queue();
        policy.retry.max_age = Some(60 * SECOND);
        let at = |age| Attempts { age, ..attempts(3, 0) };
        let young = decide(again(false), at(59 * SECOND), &policy, 0.5);
        assert_eq!(young, retry(5 * SECOND));
        let old = decide(again(false), at(60 * SECOND), &policy, 0.5);
        assert_eq!(old, dead(Reason::MaxAge));
    }

    #[test]
    fn retry_after_stretches_a_wait_and_never_shortens_it() {
        let long = decide(wish(20 * SECOND), attempts(1, 0), &queue(), 0.5);
        assert_eq!(long, Decision::TryInPlace(20 * SECOND));
        let short = decide(wish(Duration::ZERO), attempts(1, 0), &queue(), 0.5);
        assert_eq!(short, Decision::TryInPlace(Duration::from_millis(250)));
        let last = decide(wish(20 * SECOND), attempts(3, 0), &queue(), 0.5);
        assert_eq!(last, retry(30 * SECOND));
        let beyond = decide(wish(100 * SECOND), attempts(3, 0), &queue(), 0.5);
        assert_eq!(beyond, retry(30 * SECOND));
        let requeue = policy(RetryStrategy::Requeue);
        let kept = decide(wish(20 * SECOND), attempts(3, 0), &requeue, 0.5);
        assert_eq!(kept, Decision::SettleAfter(20 * SECOND, COUNTED));
    }

    #[test]
    fn tries_in_place_end_when_a_message_was_held_for_long() {
        let long = Attempts { held: HELD_MAX, ..attempts(1, 0) };
        assert_eq!(decide(again(false), long, &queue(), 0.5), retry(5 * SECOND));
    }

    #[test]
    fn what_has_nowhere_to_go_is_kept_and_never_dropped() {
        let policy = Policy { last_resort: LastResort::Keep, ..policy(RetryStrategy::Requeue) };
        for (outcome, attempts) in
            [(Outcome::Refused, attempts(1, 0)), (again(false), attempts(3, 9))]
        {
            let decided = decide(outcome, attempts, &policy, 0.5);
            assert_eq!(decided, Decision::Stuck(30 * SECOND));
            let long = Attempts { held: KEPT_MAX, ..attempts };
            let back = decide(outcome, long, &policy, 0.5);
            assert_eq!(back, Decision::SettleAfter(30 * SECOND, UNCOUNTED));
        }
    }

    #[test]
    fn nack_discard_discards_what_would_be_copied_and_nothing_else() {
        let policy = Policy { last_resort: LastResort::Discard, ..queue() };
        let discard = Decision::Settle(Settlement::Discard);
        assert_eq!(decide(Outcome::Refused, attempts(1, 0), &policy, 0.5), discard);
        assert_eq!(decide(again(false), attempts(3, 0), &policy, 0.5), discard);
        let first = decide(again(false), attempts(1, 0), &policy, 0.5);
        assert_eq!(first, Decision::TryInPlace(Duration::from_millis(250)));
        let unwell = decide(Outcome::Unwell { certain: true }, attempts(1, 0), &policy, 0.5);
        assert_eq!(unwell, Decision::Hold);
    }

    #[test]
    fn what_fails_on_a_stream_is_kept_and_tried_on() {
        let stream = |last_resort| Policy {
            can_requeue: false,
            last_resort,
            ..policy(RetryStrategy::InPlace)
        };
        let kept = Attempts { held: KEPT_MAX, ..attempts(3, 0) };
        assert_eq!(
            decide(again(false), kept, &stream(LastResort::DeadLetter), 0.5),
            Decision::TryOn(5 * SECOND)
        );
        assert_eq!(
            decide(Outcome::Refused, kept, &stream(LastResort::Keep), 0.5),
            Decision::Stuck(30 * SECOND)
        );
    }

    #[test]
    fn a_message_that_alone_is_turned_away_is_not_held_until_the_broker_ends_the_session() {
        let policy = Policy { last_resort: LastResort::Discard, ..queue() };
        let decide =
            |held, policy: &Policy| in_doubt(Attempts { held, ..attempts(0, 0) }, 3, policy, 0.5);
        assert_eq!(decide(Duration::ZERO, &policy), Decision::TryInPlace(4 * SECOND));
        let back = Decision::SettleAfter(4 * SECOND, UNCOUNTED);
        assert_eq!(decide(HELD_MAX, &policy), back);
        let stream = Policy { can_requeue: false, ..policy };
        assert_eq!(decide(HELD_MAX, &stream), Decision::TryInPlace(4 * SECOND));
    }

    #[test]
    fn an_attempt_that_failed_is_counted_once_with_all_its_tries() {
        let mut attempts = Attempts { here: 3, before: 1, tries_before: 3, ..Attempts::default() };
        attempts.next();
        assert_eq!((attempts.here, attempts.before, attempts.tries()), (0, 2, 6));
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

    fn any_policy() -> impl Strategy<Value = Policy> {
        let strategies = [
            RetryStrategy::Queue,
            RetryStrategy::Native,
            RetryStrategy::InPlace,
            RetryStrategy::Requeue,
        ];
        let resorts = [LastResort::DeadLetter, LastResort::Keep, LastResort::Discard];
        let strategy = proptest::sample::select(strategies.to_vec());
        let last_resort = proptest::sample::select(resorts.to_vec());
        (strategy, last_resort, any::<bool>()).prop_map(|(strategy, last_resort, can_requeue)| {
            Policy { last_resort, can_requeue, ..policy(strategy) }
        })
    }

    proptest! {
        #[test]
        fn only_a_delivered_message_is_acked(
            outcome in any_outcome(), here in any::<u32>(), before in any::<u32>(),
            policy in any_policy(), chance in 0.0..=1.0,
        ) {
            let decision = decide(outcome, attempts(here, before), &policy, chance);
            let is_acked = decision == Decision::Settle(Settlement::Ack);
            prop_assert_eq!(is_acked, outcome == Outcome::Delivered);
        }

        #[test]
        fn no_message_goes_round_at_once(
            outcome in any_outcome(), here in any::<u32>(), before in any::<u32>(),
            policy in any_policy(), chance in 0.0..=1.0,
        ) {
            match decide(outcome, attempts(here, before), &policy, chance) {
                Decision::Settle(Settlement::Ack) | Decision::Hold => {}
                Decision::Settle(Settlement::Discard) => prop_assert_eq!(policy.last_resort, LastResort::Discard),
                Decision::Settle(settlement) => {
                    prop_assert_eq!(settlement, COUNTED);
                    prop_assert_eq!(policy.retry.strategy, RetryStrategy::Native);
                }
                Decision::Copy(CopyTo::DeadLetter(_)) => {
                    prop_assert_eq!(policy.last_resort, LastResort::DeadLetter);
                }
                Decision::Copy(CopyTo::Retry(wait)) => {
                    prop_assert!(policy.retry.delays.contains(&wait));
                }
                Decision::SettleAfter(wait, _) => {
                    prop_assert!(wait >= SECOND && wait <= HELD_MAX && policy.can_requeue);
                }
                Decision::TryInPlace(wait) | Decision::TryOn(wait) | Decision::Stuck(wait) => {
                    prop_assert!(wait >= Duration::from_millis(1));
                }
            }
        }

        #[test]
        fn nothing_is_lost_unless_the_user_said_so(
            outcome in any_outcome(), here in any::<u32>(), before in any::<u32>(), policy in any_policy(),
        ) {
            let decision = decide(outcome, attempts(here, before), &policy, 0.5);
            let is_discarded = matches!(decision,
                Decision::Settle(Settlement::Discard) | Decision::SettleAfter(_, Settlement::Discard));
            prop_assert!(policy.last_resort == LastResort::Discard || !is_discarded);
        }

        #[test]
        fn an_innocent_message_is_held_and_nothing_else(
            certain in any::<bool>(), here in any::<u32>(), before in any::<u32>(), policy in any_policy(),
        ) {
            let decision = decide(Outcome::Unwell { certain }, attempts(here, before), &policy, 0.5);
            prop_assert_eq!(decision, Decision::Hold);
        }
    }
}
