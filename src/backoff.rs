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
pub const RECONNECT_MAX: Duration = Duration::from_secs(60);

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
