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
    for (outcome, attempts) in [(Outcome::Refused, attempts(1, 0)), (again(false), attempts(3, 9))]
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
    let stream =
        |last_resort| Policy { can_requeue: false, last_resort, ..policy(RetryStrategy::InPlace) };
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
    (strategy, last_resort, any::<bool>()).prop_map(|(strategy, last_resort, can_requeue)| Policy {
        last_resort,
        can_requeue,
        ..policy(strategy)
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
