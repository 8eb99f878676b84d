//! What an agent has counted: for the summary each minute, and for the sum that must always come out.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;
use tracing::info;

use crate::settlement::{CopyTo, Settlement};

/// How often an agent that moved sums up.
const SUMMARY_INTERVAL: Duration = Duration::from_mins(1);

/// Counts since the agent started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) received: u64,
    /// Every required backend has them.
    pub(super) delivered: u64,
    /// A copy waits in a delay queue.
    pub(super) retried: u64,
    /// A copy is among the dead letters.
    pub(super) dead_lettered: u64,
    pub(super) requeued: u64,
    pub(super) discarded: u64,
    /// Given up because the session was gone; the broker hands them out again.
    pub(super) abandoned: u64,
}

impl Counts {
    fn settled(&self) -> u64 {
        self.delivered + self.retried + self.dead_lettered + self.requeued + self.discarded
    }
}

/// The counts, and what was new since the last summary.
pub(super) struct Tally {
    agent: Arc<str>,
    pub(super) counts: Counts,
    summed_up: Counts,
    /// Microseconds from request to reply; made when the first reply comes, dropped when idle.
    latency: Option<Histogram<u32>>,
    next_summary: Instant,
}

impl Tally {
    pub(super) fn new(agent: Arc<str>, now: Instant) -> Self {
        Self {
            agent,
            counts: Counts::default(),
            summed_up: Counts::default(),
            latency: None,
            next_summary: now + SUMMARY_INTERVAL,
        }
    }

    pub(super) fn received(&mut self) {
        self.counts.received += 1;
    }

    pub(super) fn settled(&mut self, settlement: Settlement) {
        match settlement {
            Settlement::Ack => self.counts.delivered += 1,
            Settlement::Replaced(CopyTo::Retry(_)) => self.counts.retried += 1,
            Settlement::Replaced(CopyTo::DeadLetter(_)) => self.counts.dead_lettered += 1,
            Settlement::Requeue { .. } => self.counts.requeued += 1,
            Settlement::Discard => self.counts.discarded += 1,
        }
    }

    pub(super) fn abandoned(&mut self, messages: usize) {
        self.counts.abandoned += u64::try_from(messages).unwrap_or(u64::MAX);
    }

    pub(super) fn replied(&mut self, took: Duration) {
        let latency = self.latency.get_or_insert_with(|| {
            Histogram::new_with_bounds(1, 600_000_000, 2).expect("the bounds are in order")
        });
        latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// When to sum up next.
    pub(super) fn next_summary(&self) -> Instant {
        self.next_summary
    }

    /// Checks that nothing went missing: `received = settled + abandoned + held`.
    pub(super) fn check(&self, held: usize) {
        let gone = self.counts.settled() + self.counts.abandoned;
        debug_assert_eq!(self.counts.received, gone + held as u64, "the counts must add up");
    }

    /// Sums up if it is time to and anything moved.
    pub(super) fn sum_up(&mut self, now: Instant, held: usize, in_flight: usize) {
        if now < self.next_summary {
            return;
        }
        self.next_summary = now + SUMMARY_INTERVAL;
        self.write(held, in_flight);
    }

    /// Sums up at the end, whatever the time.
    pub(super) fn close(&mut self, held: usize) {
        self.check(held);
        self.write(held, 0);
    }

    fn write(&mut self, held: usize, in_flight: usize) {
        let latency = self.latency.take();
        // What is held while nothing moves is a hold, or a wait: worth a line too.
        if self.counts == self.summed_up && held == 0 && in_flight == 0 {
            return;
        }
        let (new, old) = (self.counts, std::mem::replace(&mut self.summed_up, self.counts));
        // No reply, no figure: a zero would look like a fast backend.
        let millis = |quantile| {
            latency.as_ref().map(|all| {
                let micros = u32::try_from(all.value_at_quantile(quantile)).unwrap_or(u32::MAX);
                f64::from(micros) / 1000.0
            })
        };
        info!(
            agent = %self.agent,
            received = new.received - old.received,
            delivered = new.delivered - old.delivered,
            retried = new.retried - old.retried,
            dead_lettered = new.dead_lettered - old.dead_lettered,
            requeued = new.requeued - old.requeued,
            discarded = new.discarded - old.discarded,
            abandoned = new.abandoned - old.abandoned,
            held,
            in_flight,
            p50_ms = millis(0.5),
            p99_ms = millis(0.99),
            "summary"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;

    /// What a subscriber has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of the log that `doing` writes.
    fn logged(doing: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, doing);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn holds(line: &str, fields: &[&str]) -> bool {
        fields.iter().all(|field| line.split(' ').any(|word| word == *field))
    }

    #[test]
    fn an_agent_that_moved_sums_up_once_a_minute_and_counts_from_there() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lines = logged(|| {
            let mut tally = Tally::new("orders".into(), start);
            for _ in 0..3 {
                tally.received();
            }
            tally.settled(Settlement::Ack);
            tally.replied(Duration::from_millis(8));
            tally.sum_up(at(59), 2, 1);
            tally.sum_up(at(60), 2, 1);
            tally.sum_up(at(61), 2, 1);
            tally.settled(Settlement::Ack);
            tally.settled(Settlement::Requeue { counted: true });
            tally.sum_up(at(120), 0, 0);
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        let first = ["received=3", "delivered=1", "held=2", "in_flight=1", "agent=orders"];
        assert!(holds(&lines[0], &first), "{lines:#?}");
        let second = ["received=0", "delivered=1", "requeued=1", "held=0", "in_flight=0"];
        assert!(holds(&lines[1], &second), "{lines:#?}");
        assert!(lines[0].contains("p99_ms=8") && !lines[1].contains("p99_ms"), "{lines:#?}");
    }

    #[test]
    fn an_agent_that_did_not_move_says_nothing() {
        let start = Instant::now();
        let lines = logged(|| {
            let mut tally = Tally::new("orders".into(), start);
            tally.sum_up(start + SUMMARY_INTERVAL, 0, 0);
            tally.close(0);
        });
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn messages_that_are_held_for_long_are_in_every_summary() {
        let start = Instant::now();
        let lines = logged(|| {
            let mut tally = Tally::new("orders".into(), start);
            tally.received();
            for minute in 1..=3 {
                tally.sum_up(start + SUMMARY_INTERVAL * minute, 1, 0);
            }
        });
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(holds(&lines[2], &["received=0", "held=1"]), "{lines:#?}");
    }
}
