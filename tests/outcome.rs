//! What each reply means for a message: the table of the documentation, row by row.
#![cfg(test)]

use std::time::Duration;

use amqp_agentd::outcome::{
    Meaning, NotSent, Outcome, RETRY_AFTER_MAX, Reply, StatusPattern, StatusPolicy, Unanswered,
    join, judge,
};
use proptest::prelude::*;

const RETRY: Outcome = Outcome::TryAgain { not_before: None, whole_backend: false, few: false };
const FEW: Outcome = Outcome::TryAgain { not_before: None, whole_backend: false, few: true };
const QUIET: Outcome = Outcome::TryAgain { not_before: None, whole_backend: true, few: false };
const PERHAPS_UNWELL: Outcome = Outcome::Unwell { certain: false };
const UNWELL: Outcome = Outcome::Unwell { certain: true };

fn answered(status: u16) -> Reply {
    Reply::Answered { status, retry_after: None }
}

fn judged(status: u16) -> Outcome {
    judge(&answered(status), &StatusPolicy::default())
}

#[test]
fn every_status_has_the_outcome_of_the_table() {
    let rows: [(&[u16], Outcome); 5] = [
        (&[401, 403, 407, 410], PERHAPS_UNWELL),
        (&[404, 409], FEW),
        (&[408, 425, 429, 503], QUIET),
        (&[400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505], Outcome::Refused),
        (&[500, 502, 504], RETRY),
    ];
    for status in 100..=599 {
        let row = rows.iter().find(|(statuses, _)| statuses.contains(&status));
        let expected = match (row, status) {
            (Some((_, outcome)), _) => *outcome,
            (None, 200..=299) => Outcome::Delivered,
            (None, 500..=599) => RETRY,
            (None, _) => Outcome::Refused,
        };
        assert_eq!(judged(status), expected, "{status}");
    }
}

#[test]
fn a_status_that_does_not_exist_is_read_as_500() {
    for status in [0, 99, 600, 999, u16::MAX] {
        assert_eq!(judged(status), RETRY, "{status}");
    }
}

#[test]
fn what_was_not_sent_leaves_the_message_innocent() {
    for kind in [NotSent::Dns, NotSent::Connect, NotSent::ConnectTimeout, NotSent::Tls] {
        let reply = Reply::NotSent(kind, String::new());
        assert_eq!(judge(&reply, &StatusPolicy::default()), UNWELL, "{kind:?}");
    }
}

#[test]
fn what_may_have_arrived_is_tried_again() {
    for kind in [Unanswered::Timeout, Unanswered::Reset, Unanswered::Garbage] {
        let reply = Reply::Unanswered(kind, String::new());
        assert_eq!(judge(&reply, &StatusPolicy::default()), RETRY, "{kind:?}");
    }
}

#[test]
fn a_message_that_cannot_be_sent_is_refused_whatever_the_policy() {
    let policy = StatusPolicy::new(&[(StatusPattern::Class(4), Meaning::Success)]);
    assert_eq!(judge(&Reply::Impossible(String::new()), &policy), Outcome::Refused);
}

#[test]
fn retry_after_quiets_the_whole_backend_and_is_capped() {
    let table = [
        (503, 7, Some(7)),
        (429, 0, Some(0)),
        (500, 20, Some(20)),
        (503, RETRY_AFTER_MAX.as_secs() + 1, Some(RETRY_AFTER_MAX.as_secs())),
        (429, u64::MAX, Some(RETRY_AFTER_MAX.as_secs())),
    ];
    for (status, seconds, expected) in table {
        let reply = Reply::Answered { status, retry_after: Some(Duration::from_secs(seconds)) };
        let expected = Outcome::TryAgain {
            not_before: expected.map(Duration::from_secs),
            whole_backend: true,
            few: false,
        };
        assert_eq!(judge(&reply, &StatusPolicy::default()), expected, "{status} {seconds}");
    }
}

#[test]
fn retry_after_changes_no_other_outcome() {
    let retry_after = Some(Duration::from_secs(1));
    for status in [200, 301, 400, 401, 410, 501] {
        let reply = Reply::Answered { status, retry_after };
        assert_eq!(judge(&reply, &StatusPolicy::default()), judged(status), "{status}");
    }
}

#[test]
fn codes_win_over_classes_whatever_their_order() {
    let code = (StatusPattern::Code(404), Meaning::Success);
    let class = (StatusPattern::Class(4), Meaning::Pause);
    for rules in [[code, class], [class, code]] {
        let policy = StatusPolicy::new(&rules);
        assert_eq!(judge(&answered(404), &policy), Outcome::Delivered);
        assert_eq!(judge(&answered(400), &policy), PERHAPS_UNWELL);
        assert_eq!(judge(&answered(499), &policy), PERHAPS_UNWELL);
        assert_eq!(judge(&answered(399), &policy), Outcome::Refused);
        assert_eq!(judge(&answered(500), &policy), RETRY);
    }
}

#[test]
fn every_meaning_can_be_given_to_any_status() {
    let table = [
        (Meaning::Success, Outcome::Delivered),
        (Meaning::DeadLetter, Outcome::Refused),
        (Meaning::Pause, PERHAPS_UNWELL),
        (Meaning::Retry, RETRY),
    ];
    for status in [100, 200, 302, 418, 599] {
        for (meaning, expected) in table {
            let policy = StatusPolicy::new(&[(StatusPattern::Code(status), meaning)]);
            assert_eq!(judge(&answered(status), &policy), expected, "{status} {meaning:?}");
        }
    }
}

#[test]
fn nothing_left_to_do_is_delivered() {
    assert_eq!(join([]), Outcome::Delivered);
}

#[test]
fn the_worst_of_several_outcomes_decides() {
    let ranks = [UNWELL, PERHAPS_UNWELL, Outcome::Refused, QUIET, RETRY, Outcome::Delivered];
    for (rank, worse) in ranks.iter().enumerate() {
        for better in &ranks[rank..] {
            assert_eq!(join([*worse, *better]), *worse, "{worse:?} {better:?}");
        }
    }
}

#[test]
fn joined_retries_keep_the_longest_wait_and_every_reservation() {
    let wait = |seconds| Outcome::TryAgain {
        not_before: Some(Duration::from_secs(seconds)),
        whole_backend: false,
        few: false,
    };
    let all = Outcome::TryAgain {
        not_before: Some(Duration::from_secs(9)),
        whole_backend: true,
        few: true,
    };
    assert_eq!(join([wait(3), QUIET, wait(9), FEW]), all);
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let again = (proptest::option::of(0..100_u64), any::<bool>(), any::<bool>()).prop_map(
        |(seconds, whole_backend, few)| Outcome::TryAgain {
            not_before: seconds.map(Duration::from_secs),
            whole_backend,
            few,
        },
    );
    prop_oneof![
        Just(Outcome::Delivered),
        Just(Outcome::Refused),
        again,
        any::<bool>().prop_map(|certain| Outcome::Unwell { certain }),
    ]
}

fn outcomes_and_a_shuffle() -> impl Strategy<Value = (Vec<Outcome>, Vec<Outcome>)> {
    proptest::collection::vec(any_outcome(), 0..6)
        .prop_flat_map(|outcomes| (Just(outcomes.clone()), Just(outcomes).prop_shuffle()))
}

proptest! {
    #[test]
    fn the_order_of_backends_does_not_matter((outcomes, shuffled) in outcomes_and_a_shuffle()) {
        prop_assert_eq!(join(outcomes), join(shuffled));
    }

    #[test]
    fn outcomes_can_be_joined_in_parts(
        one in proptest::collection::vec(any_outcome(), 0..4),
        two in proptest::collection::vec(any_outcome(), 0..4),
    ) {
        let parts = join([join(one.clone()), join(two.clone())]);
        prop_assert_eq!(parts, join(one.into_iter().chain(two)));
    }

    #[test]
    fn delivered_means_that_all_have_it(
        outcomes in proptest::collection::vec(any_outcome(), 0..4),
    ) {
        let all = outcomes.iter().all(|outcome| *outcome == Outcome::Delivered);
        prop_assert_eq!(join(outcomes) == Outcome::Delivered, all);
    }
}
