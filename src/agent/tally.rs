//! What an agent has counted: for the summary each minute, and for the sum that must always come out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::info;

use super::attempt::Report;
use super::hold::Hold;
use super::line::{self, Failed};
use super::shared::Shared;
use crate::broker::Ended;
use crate::config::definition::AgentDefinition;
use crate::delivery::{Field, Properties};
use crate::meters::{BackendMeters, Buckets, Meters, millis_since_1970};
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
    /// How long requests took until the last summary.
    took: Buckets,
    next_summary: Instant,
    /// What others may read.
    meters: Arc<Meters>,
    /// By the backend's place in the agent file.
    backends: Vec<Arc<BackendMeters>>,
    /// What had come when [`turned`](Self::turned) looked last.
    seen_received: u64,
}

impl Tally {
    pub(super) fn new(definition: &AgentDefinition, meters: Arc<Meters>, now: Instant) -> Self {
        let backends = definition.backends.iter().map(|backend| meters.backend(&backend.name));
        let backends: Vec<_> = backends.collect();
        Self {
            agent: Arc::clone(&definition.name),
            counts: Counts::default(),
            summed_up: Counts::default(),
            took: took(&backends),
            next_summary: now + SUMMARY_INTERVAL,
            meters,
            backends,
            seen_received: 0,
        }
    }

    pub(super) fn received(&mut self) {
        self.counts.received += 1;
        self.meters.received.add(1);
    }

    /// A message was settled, which had been published at `published` after 1970, if that is known.
    pub(super) fn settled(&mut self, settlement: Settlement, published: Option<Duration>) {
        let (count, meter) = match settlement {
            Settlement::Ack => {
                if let Some(published) = published {
                    // A publisher whose clock is ahead of ours has its messages delivered at once.
                    self.meters.delay.record(since_1970().saturating_sub(published));
                }
                (&mut self.counts.delivered, &self.meters.delivered)
            }
            Settlement::Replaced(CopyTo::Retry(_)) => {
                (&mut self.counts.retried, &self.meters.retried)
            }
            Settlement::Replaced(CopyTo::DeadLetter(reason)) => {
                (&mut self.counts.dead_lettered, &self.meters.dead_lettered[reason as usize])
            }
            Settlement::Requeue { .. } => (&mut self.counts.requeued, &self.meters.requeued),
            Settlement::Discard => (&mut self.counts.discarded, &self.meters.discarded),
        };
        *count += 1;
        meter.add(1);
    }

    pub(super) fn abandoned(&mut self, messages: usize) {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.counts.abandoned += messages;
        self.meters.abandoned.add(messages);
    }

    /// A request of a message has ended.
    pub(super) fn replied(&self, report: &Report) {
        self.backends[report.target].replied(&report.reply, report.outcome, report.took);
    }

    pub(super) fn tried_in_place(&self) {
        self.meters.tried_in_place.add(1);
    }

    /// A session ended, or could not begin.
    pub(super) fn without_session(&self, reason: &Ended) {
        self.meters.sessions_ended[reason.cause()].add(1);
        self.meters.failed(format!("broker: {reason}"));
    }

    /// A message failed for this delivery.
    pub(super) fn failed(&self, failed: &Failed) {
        self.meters.failed(line::said(&failed.backend, &failed.reply));
    }

    /// A backend failed, be it without a message.
    pub(super) fn failed_with(&self, report: &Report) {
        let name = &self.backends[report.target].name;
        self.meters.failed(line::said(name, &report.reply.to_string()));
    }

    /// Which backends are unwell at `now`.
    pub(super) fn unwell(&self, hold: &Hold, shared: &Shared, now: Instant) {
        for (target, backend) in self.backends.iter().enumerate() {
            backend.breaker_open.set(u64::from(hold.is_open(target)));
            backend.unreachable.set(u64::from(shared.is_down(target, now)));
        }
    }

    /// When to sum up next.
    pub(super) fn next_summary(&self) -> Instant {
        self.next_summary
    }

    /// All is done with a session that can be done now, and so much is held.
    pub(super) fn turned(&mut self, held: usize, in_flight: usize) {
        self.check(held);
        let now = millis_since_1970(SystemTime::now());
        self.meters.last_alive.set(now);
        if self.counts.received != self.seen_received {
            self.seen_received = self.counts.received;
            self.meters.last_received.set(now);
        }
        self.holds(held, in_flight);
    }

    /// So much is held, and so much in flight, be it without a session.
    pub(super) fn holds(&self, held: usize, in_flight: usize) {
        self.meters.held.set(held as u64);
        self.meters.in_flight.set(in_flight as u64);
    }

    /// The agent holds nothing any more, and knows of no backend.
    pub(super) fn left(&self) {
        self.holds(0, 0);
        for backend in &self.backends {
            backend.breaker_open.set(0);
            backend.unreachable.set(0);
        }
    }

    /// Checks that nothing went missing: `received = settled + abandoned + held`.
    fn check(&self, held: usize) {
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
        // What is held while nothing moves is a hold, or a wait: worth a line too.
        if self.counts == self.summed_up && held == 0 && in_flight == 0 {
            return;
        }
        let all = took(&self.backends);
        let latency = all.since(&std::mem::replace(&mut self.took, all.clone()));
        let (new, old) = (self.counts, std::mem::replace(&mut self.summed_up, self.counts));
        // No reply, no figure: a zero would look like a fast backend.
        let millis = |share| {
            let micros = latency.quantile(share)?.as_micros();
            Some(f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0)
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

/// How long all requests to these took, since the daemon started.
fn took(backends: &[Arc<BackendMeters>]) -> Buckets {
    let mut all = Buckets::default();
    for backend in backends {
        all.add(&backend.took.buckets());
    }
    all
}

/// When a message was published, after 1970, where it says so: RabbitMQ's own header has
/// milliseconds, the property only seconds (<https://www.rabbitmq.com/docs/message-interceptors>).
pub(super) fn published(properties: &Properties) -> Option<Duration> {
    match properties.header("timestamp_in_ms") {
        Some(Field::Integer(millis)) => Some(Duration::from_millis(u64::try_from(millis).ok()?)),
        Some(_) | None => properties.timestamp().map(Duration::from_secs),
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;
    use crate::config::definition::tests::definition;
    use crate::outcome::{Outcome, Reply};
    use crate::settlement::Reason;

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

    fn tally(start: Instant) -> Tally {
        Tally::new(&definition("orders"), Arc::default(), start)
    }

    fn report(took: Duration) -> Report {
        Report {
            target: 0,
            reply: Reply::Answered { status: 204, retry_after: None },
            outcome: Outcome::Delivered,
            excerpt: bytes::Bytes::new(),
            started: Instant::now(),
            took,
        }
    }

    fn holds(line: &str, fields: &[&str]) -> bool {
        fields.iter().all(|field| line.split(' ').any(|word| word == *field))
    }

    #[test]
    fn an_agent_that_moved_sums_up_once_a_minute_and_counts_from_there() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lines = logged(|| {
            let mut tally = tally(start);
            for _ in 0..3 {
                tally.received();
            }
            tally.settled(Settlement::Ack, None);
            tally.replied(&report(Duration::from_millis(8)));
            tally.sum_up(at(59), 2, 1);
            tally.sum_up(at(60), 2, 1);
            tally.sum_up(at(61), 2, 1);
            tally.settled(Settlement::Ack, None);
            tally.settled(Settlement::Requeue { counted: true }, None);
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
            let mut tally = tally(start);
            tally.sum_up(start + SUMMARY_INTERVAL, 0, 0);
            tally.close(0);
        });
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn messages_that_are_held_for_long_are_in_every_summary() {
        let start = Instant::now();
        let lines = logged(|| {
            let mut tally = tally(start);
            tally.received();
            for minute in 1..=3 {
                tally.sum_up(start + SUMMARY_INTERVAL * minute, 1, 0);
            }
        });
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(holds(&lines[2], &["received=0", "held=1"]), "{lines:#?}");
    }

    #[test]
    fn what_is_counted_can_be_read_and_counts_on_in_the_next_life() {
        let meters = Arc::new(Meters::default());
        for _ in 0..2 {
            let mut tally = Tally::new(&definition("orders"), Arc::clone(&meters), Instant::now());
            for _ in 0..4 {
                tally.received();
            }
            tally.settled(Settlement::Ack, Some(since_1970() + Duration::from_hours(1)));
            let dead = Settlement::Replaced(CopyTo::DeadLetter(Reason::MaxAge));
            tally.settled(dead, None);
            tally.replied(&report(Duration::from_millis(8)));
            tally.turned(2, 1);
            tally.without_session(&Ended::Silent);
            tally.abandoned(2);
            tally.backends[0].breaker_open.set(1);
            tally.backends[0].unreachable.set(1);
            tally.left();
        }
        let counts = [&meters.received, &meters.delivered, &meters.abandoned, &meters.held];
        assert_eq!(counts.map(crate::meters::Number::get), [8, 2, 4, 0]);
        assert_eq!(meters.dead_lettered[Reason::MaxAge as usize].get(), 2);
        assert_eq!(meters.delay.buckets().at_most(0), 2, "a publisher whose clock is ahead");
        assert_eq!(meters.sessions_ended[Ended::Silent.cause()].get(), 2);
        assert_eq!(meters.last_error().unwrap().text, format!("broker: {}", Ended::Silent));
        assert_eq!(meters.backends().len(), 1);
        let backend = &meters.backends()[0];
        assert_eq!(backend.took.buckets().count(), 2);
        let unwell = [&backend.breaker_open, &backend.unreachable];
        assert_eq!(unwell.map(crate::meters::Number::get), [0, 0], "who is gone knows nothing");
        assert!(crate::meters::time(&meters.last_received).is_some());
    }
}
