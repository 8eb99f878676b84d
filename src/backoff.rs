//! How long to wait before the next try: pure functions of the attempt and of chance.

use std::time::Duration;

/// KrakenD's five strategies, by the names of `connection.backoff_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// 1 s, 2 s, 3 s, …
    Linear,
    /// The same, give or take a third.
    LinearJitter,
    /// 2 s, 4 s, 8 s, …
    Exponential,
    /// The same, give or take a third.
    ExponentialJitter,
    /// Always 1 s.
    Fallback,
}

impl Strategy {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("linear", Self::Linear),
        ("linear-jitter", Self::LinearJitter),
        ("exponential", Self::Exponential),
        ("exponential-jitter", Self::ExponentialJitter),
        ("fallback", Self::Fallback),
    ];
}

/// The longest wait between two tries to connect.
pub const RECONNECT_MAX: Duration = Duration::from_mins(1);

/// The wait before try number `attempt`, counted from 1 for the first that follows a failure.
///
/// KrakenD's formulas (lura `backoff`), but never longer than [`RECONNECT_MAX`]. `chance` is
/// uniform in 0 to 1 and moves only the two strategies with jitter, by a third either way.
#[must_use]
pub fn reconnect(strategy: Strategy, attempt: u32, chance: f64) -> Duration {
    let linear = Duration::from_secs(u64::from(attempt)).min(RECONNECT_MAX);
    let exponential =
        Duration::from_secs(1_u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(RECONNECT_MAX);
    match strategy {
        Strategy::Linear => linear,
        Strategy::LinearJitter => jittered(linear, 1.0 / 3.0, chance).min(RECONNECT_MAX),
        Strategy::Exponential => exponential,
        Strategy::ExponentialJitter => jittered(exponential, 1.0 / 3.0, chance).min(RECONNECT_MAX),
        Strategy::Fallback => Duration::from_secs(1),
    }
}

/// The wait before the first quick try in place; each further one waits twice as long.
pub const IN_PLACE_FIRST: Duration = Duration::from_millis(250);

/// The longest wait between two tries in place.
pub const IN_PLACE_MAX: Duration = Duration::from_secs(5);

/// The wait before try in place number `attempt`, counted from 1.
///
/// `jitter` is the share of the wait that `chance`, uniform in 0 to 1, adds or takes.
#[must_use]
pub fn in_place(attempt: u32, jitter: f64, chance: f64) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    jittered(IN_PLACE_FIRST.saturating_mul(factor).min(IN_PLACE_MAX), jitter, chance)
}

/// The wait before probe number `attempt`, counted from 1, of a backend that is unwell: 1 s, 2 s, 4 s, … at most 30 s.
#[must_use]
pub fn probe(attempt: u32, chance: f64) -> Duration {
    const PROBE_MAX: Duration = Duration::from_secs(30);
    let seconds = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    jittered(Duration::from_secs(seconds).min(PROBE_MAX), 0.2, chance)
}

/// The entry of `delays` for a message that failed `failures` times (at least 1); the last repeats.
#[must_use]
pub fn delay(delays: &[Duration], failures: u32, jitter: f64, chance: f64) -> Duration {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = delays.get(index).or(delays.last()).copied().unwrap_or(IN_PLACE_MAX);
    jittered(wait, jitter, chance)
}

/// `wait`, moved by at most `share` of itself either way; never below 1 ms, as in KrakenD.
fn jittered(wait: Duration, share: f64, chance: f64) -> Duration {
    let factor = 1.0 + share.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
    wait.mul_f64(factor).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    #[test]
    fn krakend_formulas_hold_below_the_cap() {
        for (attempt, linear, exponential) in [(1, 1, 2), (2, 2, 4), (5, 5, 32)] {
            let seconds = |strategy| reconnect(strategy, attempt, 0.5).as_secs();
            assert_eq!(seconds(Strategy::Linear), linear);
            assert_eq!(seconds(Strategy::Exponential), exponential);
            assert_eq!(seconds(Strategy::Fallback), 1);
        }
    }

    #[test]
    fn every_strategy_stays_at_its_cap_for_ever() {
        for (_, strategy) in Strategy::NAMES {
            for attempt in [6, 31, 32, 63, 64, 65, u32::MAX] {
                assert!(reconnect(strategy, attempt, 1.0) <= RECONNECT_MAX);
            }
        }
        assert_eq!(reconnect(Strategy::Exponential, u32::MAX, 0.0), RECONNECT_MAX);
    }

    #[test]
    fn the_last_delay_repeats_for_ever() {
        let delays = [Duration::from_secs(5), Duration::from_secs(30)];
        for (failures, wait) in [(0, 5), (1, 5), (2, 30), (3, 30), (u32::MAX, 30)] {
            assert_eq!(delay(&delays, failures, 0.0, 0.5), Duration::from_secs(wait));
        }
    }

    proptest! {
        #[test]
        fn waits_never_shrink_from_one_attempt_to_the_next(attempt in 1_u32.., chance in 0.0..=1.0) {
            for (_, strategy) in Strategy::NAMES {
                let (this, next) = (attempt, attempt.saturating_add(1));
                prop_assert!(reconnect(strategy, this, chance) <= reconnect(strategy, next, chance));
                prop_assert!(in_place(this, 0.2, chance) <= in_place(next, 0.2, chance));
                prop_assert!(probe(this, chance) <= probe(next, chance));
            }
        }

        #[test]
        fn no_wait_is_ever_nothing(attempt in any::<u32>(), jitter in any::<f64>(), chance in any::<f64>()) {
            for (_, strategy) in Strategy::NAMES {
                let attempt = attempt.max(1);
                prop_assert!(reconnect(strategy, attempt, chance) >= Duration::from_millis(1));
            }
            prop_assert!(in_place(attempt, jitter, chance) >= Duration::from_millis(1));
            prop_assert!(delay(&[], attempt, jitter, chance) >= Duration::from_millis(1));
        }

        #[test]
        fn jitter_moves_a_wait_by_its_share_at_most(chance in 0.0..=1.0) {
            let wait = reconnect(Strategy::LinearJitter, 9, chance).as_secs_f64();
            prop_assert!((6.0..=12.0).contains(&wait), "{wait}");
        }
    }
}
