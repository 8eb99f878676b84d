//! What an agent did in the last minute: its meters, looked at now and then.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Buckets, Meters};

/// How often meters are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// So many looks make a minute.
const KEPT: usize = 12;

/// What was seen at each look of the last minute. One that saw nothing change takes no memory.
#[derive(Debug, Default)]
pub struct Recent {
    seen: VecDeque<Seen>,
    last_look: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    at: Instant,
    received: u64,
    delivered: u64,
    took: Buckets,
}

/// What an agent did in the last minute, or since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Messages received a second.
    pub received_per_second: f64,
    /// Messages delivered a second.
    pub delivered_per_second: f64,
    /// The median of the time from request to reply; `None` where nothing was asked.
    pub p50: Option<Duration>,
    /// What 99 of 100 requests did not exceed.
    pub p99: Option<Duration>,
}

impl Recent {
    /// Looks at `meters`, where it is time to.
    pub fn look(&mut self, meters: &Meters, now: Instant) {
        if self.last_look.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            return;
        }
        self.last_look = Some(now);
        let seen = Seen::now(meters, now);
        let is_idle = self.seen.len() >= KEPT && self.seen.iter().all(|old| old.same(&seen));
        if is_idle {
            self.seen.clear();
            self.seen.shrink_to_fit();
        }
        if self.seen.len() > KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    /// What came since the oldest look that is kept, at most about a minute ago.
    #[must_use]
    pub fn figures(&self, meters: &Meters, now: Instant) -> Figures {
        let Some(oldest) = self.seen.front() else { return Figures::default() };
        let latest = Seen::now(meters, now);
        // Of less than a second no rate can be told.
        let seconds = now.saturating_duration_since(oldest.at).as_secs_f64().max(1.0);
        let rate = |new: u64, old: u64| {
            let more = u32::try_from(new.saturating_sub(old)).unwrap_or(u32::MAX);
            f64::from(more) / seconds
        };
        let took = latest.took.since(&oldest.took);
        Figures {
            received_per_second: rate(latest.received, oldest.received),
            delivered_per_second: rate(latest.delivered, oldest.delivered),
            p50: took.quantile(0.5),
            p99: took.quantile(0.99),
        }
    }
}

impl Seen {
    fn now(meters: &Meters, at: Instant) -> Self {
        let mut took = Buckets::default();
        for backend in meters.backends() {
            took.add(&backend.took.buckets());
        }
        Self { at, received: meters.received.get(), delivered: meters.delivered.get(), took }
    }

    fn same(&self, other: &Self) -> bool {
        let numbers = |seen: &Self| (seen.received, seen.delivered, seen.took.count());
        numbers(self) == numbers(other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outcome::{Outcome, Reply};

    fn delivers(meters: &Meters, messages: u64, took: Duration) {
        let reply = Reply::Answered { status: 204, retry_after: None };
        for _ in 0..messages {
            meters.received.add(1);
            meters.delivered.add(1);
            meters.backend(&Arc::from("one")).replied(&reply, Outcome::Delivered, took);
        }
    }

    #[test]
    fn figures_are_of_the_last_minute() {
        let (meters, start) = (Meters::default(), Instant::now());
        let mut recent = Recent::default();
        let mut now = start;
        for _ in 0..20 {
            recent.look(&meters, now);
            delivers(&meters, 50, Duration::from_millis(900));
            now += EVERY;
        }
        for _ in 0..14 {
            recent.look(&meters, now);
            delivers(&meters, 10, Duration::from_millis(2));
            now += EVERY;
        }
        let figures = recent.figures(&meters, now);
        assert!((figures.delivered_per_second - 2.0).abs() < 0.01, "{figures:?}");
        assert!(figures.p99.unwrap() <= Duration::from_millis(2), "{figures:?}");
    }

    #[test]
    fn a_look_too_soon_is_none_and_idle_agents_keep_one() {
        let (meters, start) = (Meters::default(), Instant::now());
        let mut recent = Recent::default();
        for second in 0..600 {
            recent.look(&meters, start + Duration::from_secs(second));
            assert!(recent.seen.len() <= KEPT + 1);
        }
        assert!(recent.seen.len() <= KEPT);
        let figures = recent.figures(&meters, start + Duration::from_mins(10));
        assert_eq!(figures, Figures::default());
    }
}
