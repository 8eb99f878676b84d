//! When to try for a session again, and what is worth saying about it: pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff;
use crate::broker::Ended;
use crate::config::definition;

/// A session that lasted this long was a good one: the waits start over.
const LASTED: Duration = Duration::from_secs(10);

/// How often a reason that stays the same is said again.
const REMIND: Duration = Duration::from_mins(5);

/// The failures since the last session that lasted.
#[derive(Debug)]
pub(super) struct Reconnect {
    policy: definition::Reconnect,
    failures: u32,
    last: Option<Last>,
}

/// Why the last failures in a row happened.
#[derive(Debug)]
struct Last {
    /// One for each broker that was tried.
    reasons: Vec<Ended>,
    /// How often just these came again.
    repeats: u32,
    since: Instant,
    said: Instant,
}

/// What to do after a failure.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Try again after a wait.
    Retry {
        /// How long to wait.
        wait: Duration,
        /// What the log hears of it.
        say: Say,
    },
    /// `max_retries` is used up.
    GiveUp,
}

/// What a failure is worth in the log: the same one is counted, not printed each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// This reason is new.
    News,
    /// It has stayed the same for this long.
    Reminder(Duration),
    /// It was said not long ago.
    Nothing,
}

impl Reconnect {
    pub(super) fn new(policy: definition::Reconnect) -> Self {
        Self { policy, failures: 0, last: None }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// No session could begin: at each of the brokers for its reason.
    pub(super) fn refused(&mut self, reasons: Vec<Ended>, now: Instant, chance: f64) -> Next {
        // One that may come back by itself is not to wait for somebody to mend another.
        let needs_somebody = reasons.iter().all(Ended::needs_somebody);
        self.failed(reasons, needs_somebody, now, chance)
    }

    /// A session ended after `lasted`.
    pub(super) fn ended(
        &mut self,
        reason: Ended,
        lasted: Duration,
        now: Instant,
        chance: f64,
    ) -> Next {
        if lasted >= LASTED {
            self.failures = 0;
            self.last = None;
        }
        self.failed(vec![reason], false, now, chance)
    }

    fn failed(
        &mut self,
        reasons: Vec<Ended>,
        needs_somebody: bool,
        now: Instant,
        chance: f64,
    ) -> Next {
        self.failures = self.failures.saturating_add(1);
        let mut last = match self.last.take() {
            Some(last) if last.reasons == reasons => {
                Last { repeats: last.repeats.saturating_add(1), ..last }
            }
            Some(_) | None => Last { reasons, repeats: 0, since: now, said: now },
        };
        let say = if last.repeats == 0 {
            Say::News
        } else if now.duration_since(last.said) >= REMIND {
            last.said = now;
            Say::Reminder(now.duration_since(last.since))
        } else {
            Say::Nothing
        };
        // The second time somebody has to act, nothing is lost by asking slowly.
        let is_slow = needs_somebody && last.repeats > 0;
        self.last = Some(last);
        if self.policy.max_retries.is_some_and(|most| self.failures > most) {
            return Next::GiveUp;
        }
        let wait = if is_slow {
            backoff::RECONNECT_MAX
        } else {
            backoff::reconnect(self.policy.strategy, self.failures, chance)
        };
        Next::Retry { wait, say }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Strategy;

    fn reconnect(max_retries: Option<u32>) -> Reconnect {
        let (strategy, health_interval) = (Strategy::Exponential, Duration::from_secs(10));
        Reconnect::new(definition::Reconnect { max_retries, strategy, health_interval })
    }

    fn retry(seconds: u64, say: Say) -> Next {
        Next::Retry { wait: Duration::from_secs(seconds), say }
    }

    #[test]
    fn waits_grow_and_the_same_reason_is_news_once() {
        let (mut reconnect, now) = (reconnect(None), Instant::now());
        assert_eq!(reconnect.refused(vec![Ended::Lost], now, 0.5), retry(2, Say::News));
        assert_eq!(reconnect.refused(vec![Ended::Lost], now, 0.5), retry(4, Say::Nothing));
        assert_eq!(
            reconnect.refused(vec![Ended::ConsumerCancelled], now, 0.5),
            retry(8, Say::News)
        );
    }

    #[test]
    fn a_reason_that_stays_is_said_again_every_few_minutes() {
        let (mut reconnect, start) = (reconnect(None), Instant::now());
        let mut said = Vec::new();
        for minute in 0..12 {
            let now = start + Duration::from_mins(minute);
            match reconnect.refused(vec![Ended::Lost], now, 0.5) {
                Next::Retry { say: Say::Nothing, .. } => {}
                Next::Retry { say, .. } => said.push((minute, say)),
                Next::GiveUp => panic!("it has no limit"),
            }
        }
        let reminder = |minutes| (minutes, Say::Reminder(Duration::from_mins(minutes)));
        assert_eq!(said, [(0, Say::News), reminder(5), reminder(10)]);
    }

    #[test]
    fn a_session_that_lasted_starts_the_waits_over() {
        let (mut reconnect, now) = (reconnect(None), Instant::now());
        for _ in 0..5 {
            reconnect.refused(vec![Ended::Lost], now, 0.5);
        }
        let ended = reconnect.ended(Ended::Lost, LASTED, now, 0.5);
        assert_eq!(ended, retry(2, Say::News));
        let at_once = reconnect.ended(Ended::Lost, Duration::ZERO, now, 0.5);
        assert_eq!(at_once, retry(4, Say::Nothing));
    }

    #[test]
    fn what_somebody_has_to_mend_is_asked_for_slowly_from_the_second_time_on() {
        let (mut reconnect, now) = (reconnect(None), Instant::now());
        assert_eq!(reconnect.refused(vec![Ended::LoginRefused], now, 0.5), retry(2, Say::News));
        assert_eq!(reconnect.refused(vec![Ended::LoginRefused], now, 0.5), retry(60, Say::Nothing));
    }

    #[test]
    fn a_broker_that_may_come_back_by_itself_is_not_asked_slowly_for_anothers_sake() {
        let (mut reconnect, now) = (reconnect(None), Instant::now());
        let reasons = || vec![Ended::LoginRefused, Ended::Lost];
        assert_eq!(reconnect.refused(reasons(), now, 0.5), retry(2, Say::News));
        assert_eq!(reconnect.refused(reasons(), now, 0.5), retry(4, Say::Nothing));
        let both = vec![Ended::LoginRefused, Ended::LoginRefused];
        assert_eq!(reconnect.refused(both.clone(), now, 0.5), retry(8, Say::News));
        assert_eq!(reconnect.refused(both, now, 0.5), retry(60, Say::Nothing));
    }

    #[test]
    fn max_retries_is_the_number_of_tries_after_the_first() {
        let (mut reconnect, now) = (reconnect(Some(2)), Instant::now());
        assert_eq!(reconnect.refused(vec![Ended::Lost], now, 0.5), retry(2, Say::News));
        assert_eq!(reconnect.refused(vec![Ended::Lost], now, 0.5), retry(4, Say::Nothing));
        assert_eq!(reconnect.refused(vec![Ended::Lost], now, 0.5), Next::GiveUp);
    }
}
