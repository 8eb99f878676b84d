//! When to try for a session again, and what is worth saying about it: pure.

use std::time::Duration;

use crate::backoff;
use crate::broker::Ended;
use crate::config::definition;

/// A session that lasted this long was a good one: the waits start over.
const LASTED: Duration = Duration::from_secs(10);

/// The failures since the last session that lasted.
#[derive(Debug)]
pub(super) struct Reconnect {
    policy: definition::Reconnect,
    failures: u32,
    /// The last reason, and how often in a row it was the same.
    last: Option<(Ended, u32)>,
}

/// What to do after a failure.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Try again after a wait.
    Retry {
        /// How long to wait.
        wait: Duration,
        /// Whether this reason is new, and so worth a line.
        is_news: bool,
    },
    /// `max_retries` is used up.
    GiveUp,
}

impl Reconnect {
    pub(super) fn new(policy: definition::Reconnect) -> Self {
        Self { policy, failures: 0, last: None }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A session could not begin.
    pub(super) fn refused(&mut self, reason: Ended, chance: f64) -> Next {
        let needs_somebody = reason.needs_somebody();
        self.failed(reason, needs_somebody, chance)
    }

    /// A session ended after `lasted`.
    pub(super) fn ended(&mut self, reason: Ended, lasted: Duration, chance: f64) -> Next {
        if lasted >= LASTED {
            self.failures = 0;
            self.last = None;
        }
        self.failed(reason, false, chance)
    }

    fn failed(&mut self, reason: Ended, needs_somebody: bool, chance: f64) -> Next {
        self.failures = self.failures.saturating_add(1);
        let repeats = match self.last.take() {
            Some((last, repeats)) if last == reason => repeats.saturating_add(1),
            Some(_) | None => 0,
        };
        self.last = Some((reason, repeats));
        if self.policy.max_retries.is_some_and(|most| self.failures > most) {
            return Next::GiveUp;
        }
        // The second time somebody has to act, nothing is lost by asking slowly.
        let wait = if needs_somebody && repeats > 0 {
            backoff::RECONNECT_MAX
        } else {
            backoff::reconnect(self.policy.strategy, self.failures, chance)
        };
        Next::Retry { wait, is_news: repeats == 0 }
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

    fn retry(seconds: u64, is_news: bool) -> Next {
        Next::Retry { wait: Duration::from_secs(seconds), is_news }
    }

    #[test]
    fn waits_grow_and_the_same_reason_is_news_once() {
        let mut reconnect = reconnect(None);
        assert_eq!(reconnect.refused(Ended::Lost, 0.5), retry(2, true));
        assert_eq!(reconnect.refused(Ended::Lost, 0.5), retry(4, false));
        assert_eq!(reconnect.refused(Ended::ConsumerCancelled, 0.5), retry(8, true));
    }

    #[test]
    fn a_session_that_lasted_starts_the_waits_over() {
        let mut reconnect = reconnect(None);
        for _ in 0..5 {
            reconnect.refused(Ended::Lost, 0.5);
        }
        let ended = reconnect.ended(Ended::Lost, LASTED, 0.5);
        assert_eq!(ended, retry(2, true));
        let at_once = reconnect.ended(Ended::Lost, Duration::ZERO, 0.5);
        assert_eq!(at_once, retry(4, false));
    }

    #[test]
    fn what_somebody_has_to_mend_is_asked_for_slowly_from_the_second_time_on() {
        let mut reconnect = reconnect(None);
        assert_eq!(reconnect.refused(Ended::LoginRefused, 0.5), retry(2, true));
        assert_eq!(reconnect.refused(Ended::LoginRefused, 0.5), retry(60, false));
    }

    #[test]
    fn max_retries_is_the_number_of_tries_after_the_first() {
        let mut reconnect = reconnect(Some(2));
        assert_eq!(reconnect.refused(Ended::Lost, 0.5), retry(2, true));
        assert_eq!(reconnect.refused(Ended::Lost, 0.5), retry(4, false));
        assert_eq!(reconnect.refused(Ended::Lost, 0.5), Next::GiveUp);
    }
}
