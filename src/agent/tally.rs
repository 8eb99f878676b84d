//! What an agent has counted: for the summary each minute, and for the sum that must always come out.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;
use tracing::info;

use crate::settlement::Settlement;

/// How often an agent that moved sums up.
const SUMMARY_INTERVAL: Duration = Duration::from_mins(1);

/// Counts since the agent started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) acked: u64,
    pub(super) requeued: u64,
    pub(super) discarded: u64,
    /// Given up because the session was gone; the broker hands them out again.
    pub(super) abandoned: u64,
}

impl Counts {
    fn settled(&self) -> u64 {
        self.acked + self.requeued + self.discarded
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
            Settlement::Ack => self.counts.acked += 1,
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
        if self.counts == self.summed_up && in_flight == 0 {
            return;
        }
        let (new, old) = (self.counts, std::mem::replace(&mut self.summed_up, self.counts));
        let millis = |quantile| {
            latency.as_ref().map_or(0.0, |all| {
                f64::from(u32::try_from(all.value_at_quantile(quantile)).unwrap_or(u32::MAX))
                    / 1000.0
            })
        };
        info!(
            agent = %self.agent,
            received = new.received - old.received,
            delivered = new.acked - old.acked,
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
