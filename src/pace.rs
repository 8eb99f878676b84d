//! A rate, evenly spaced, never in bursts: that of `max_rate`, and that of `redrive`.

use std::time::Duration;

use tokio::time::Instant;

/// A message that goes no later than this after its turn, as timers and a busy thread have it, does
/// not move the turns of those that follow: else no rate near a timer's resolution were reached.
const LATE_MAX: Duration = Duration::from_millis(5);

/// Spaces messages by 1/rate: one that comes late is not made up for by one that comes early.
#[derive(Debug)]
pub(crate) struct Pace {
    spacing: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// `rate` in messages a second; `None` is no limit.
    pub(crate) fn new(rate: Option<f64>) -> Self {
        let spacing = rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX)
        });
        Self { spacing, next: None }
    }

    /// When the next message may go, if that is after `now`.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// A message goes at `now`.
    pub(crate) fn pass(&mut self, now: Instant) {
        if !self.spacing.is_zero() {
            let in_turn =
                self.next.filter(|next| *next <= now && now.duration_since(*next) <= LATE_MAX);
            self.next = in_turn.unwrap_or(now).checked_add(self.spacing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spaced_evenly_and_a_pause_earns_no_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(4.0));
        let mut sent = Vec::new();
        let mut now = start;
        for message in 0..6 {
            if message == 3 {
                now += Duration::from_secs(10);
            }
            if let Some(next) = pace.wait(now) {
                now = next;
            }
            pace.pass(now);
            sent.push(now - start);
        }
        let millis: Vec<_> = sent.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 250, 500, 10_500, 10_750, 11_000]);
    }

    #[test]
    fn a_rate_is_reached_though_every_timer_fires_late() {
        let start = Instant::now();
        for rate in [300_u32, 1_000, 5_000] {
            let mut pace = Pace::new(Some(f64::from(rate)));
            let (mut now, mut sent) = (start, 0);
            while now < start + Duration::from_secs(1) {
                while pace.wait(now).is_none() {
                    pace.pass(now);
                    sent += 1;
                }
                now = pace.wait(now).unwrap() + Duration::from_millis(2);
            }
            assert!(sent > rate * 9 / 10 && sent <= rate + 1, "{sent} of {rate}");
        }
    }

    #[test]
    fn no_rate_never_waits() {
        let mut pace = Pace::new(None);
        let now = Instant::now();
        pace.pass(now);
        assert_eq!(pace.wait(now), None);
    }

    #[test]
    fn a_tiny_rate_is_no_overflow() {
        let mut pace = Pace::new(Some(f64::MIN_POSITIVE));
        pace.pass(Instant::now());
    }
}
