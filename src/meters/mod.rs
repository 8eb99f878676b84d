//! What an agent counts, for whoever asks: metrics, the admin interface, `status`.
//!
//! Each number has one writer, the agent's own thread, so that counting is a load and a store:
//! no lock, and no atomic operation that other cores would have to hear of. Readers may see two
//! numbers of different moments; each alone is right. The numbers outlive a life of an agent: one
//! that panicked, or whose definition changed, counts on.

mod histogram;
mod recent;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub use histogram::{BOUNDS, Buckets, Histogram};
pub use recent::{Figures, Recent};

use crate::broker::Ended;
use crate::outcome::{Outcome, Reply};
use crate::settlement::Reason;

/// A number with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// What it is now, or was a moment ago.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only the one writer may.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Only the one writer may: what another adds at the same moment would be lost.
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}

/// The numbers of one agent, over all its lives since the daemon started.
#[derive(Debug, Default)]
pub struct Meters {
    /// Messages that came.
    pub received: Number,
    /// Messages acked: every required backend has them, or `auto_ack` is set.
    pub delivered: Number,
    /// Messages acked because a copy waits in a delay queue.
    pub retried: Number,
    /// Messages acked because a copy is among the dead letters, by [`Reason::ALL`].
    pub dead_lettered: [Number; Reason::ALL.len()],
    /// Messages given back to their queue.
    pub requeued: Number,
    /// Messages that the broker was told to drop or to dead-letter itself.
    pub discarded: Number,
    /// Messages given up with their session; the broker hands them out again.
    pub abandoned: Number,
    /// Tries that followed a failed one while the message was held.
    pub tried_in_place: Number,
    /// Messages that are held and not settled.
    pub held: Number,
    /// Messages whose requests are under way: workers that are busy.
    pub in_flight: Number,
    /// Sessions that ended or could not begin, by [`Ended::CAUSES`].
    pub sessions_ended: [Number; Ended::CAUSES.len()],
    /// Lives that ended in a panic; written by the supervisor.
    pub panics: Number,
    /// When the last message came, in milliseconds since 1970; 0 is never.
    pub last_received: Number,
    /// When the agent last had a turn of work with a session, in milliseconds since 1970; 0 is never.
    pub last_alive: Number,
    /// From a message's `timestamp` to its ack, where it has one.
    pub delay: Histogram,
    backends: Mutex<Vec<Arc<BackendMeters>>>,
    last_error: Mutex<Option<LastError>>,
}

/// What failed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// In words, with what it happened to; no secret, and nothing of a message but a backend's reply.
    pub text: String,
}

impl Meters {
    /// The numbers of the backend of this name, made where it has none yet.
    #[must_use]
    pub fn backend(&self, name: &Arc<str>) -> Arc<BackendMeters> {
        let mut backends = locked(&self.backends);
        if let Some(known) = backends.iter().find(|known| known.name == *name) {
            return Arc::clone(known);
        }
        let new = Arc::new(BackendMeters::new(Arc::clone(name)));
        backends.push(Arc::clone(&new));
        new
    }

    /// The numbers of every backend that the agent has, or has had.
    #[must_use]
    pub fn backends(&self) -> Vec<Arc<BackendMeters>> {
        locked(&self.backends).clone()
    }

    /// What failed last, if anything has.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        locked(&self.last_error).clone()
    }

    pub(crate) fn failed(&self, text: String) {
        *locked(&self.last_error) = Some(LastError { at: SystemTime::now(), text });
    }

    /// All messages that were dead-lettered.
    #[must_use]
    pub fn all_dead_lettered(&self) -> u64 {
        self.dead_lettered.iter().map(Number::get).sum()
    }
}

/// The numbers of one backend of one agent.
#[derive(Debug)]
pub struct BackendMeters {
    /// The backend's name in the agent file.
    pub name: Arc<str>,
    /// Requests that ended, by [`Class`] and then by [`Judged`].
    pub requests: [[Number; Judged::ALL.len()]; Class::ALL.len()],
    /// From the start of a request to its reply, or to the end of waiting for one.
    pub took: Histogram,
    /// 1 while its breaker is open, by what it answered this agent; else 0.
    pub breaker_open: Number,
    /// 1 while its hosts cannot be reached; else 0.
    pub unreachable: Number,
}

impl BackendMeters {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            requests: Default::default(),
            took: Histogram::default(),
            breaker_open: Number::default(),
            unreachable: Number::default(),
        }
    }

    pub(crate) fn replied(&self, reply: &Reply, outcome: Outcome, took: Duration) {
        let class = &self.requests[Class::of(reply) as usize];
        class[Judged::of(outcome) as usize].add(1);
        self.took.record(took);
    }

    /// Requests that ended so, whatever their class.
    #[must_use]
    pub fn judged(&self, judged: Judged) -> u64 {
        self.requests.iter().map(|class| class[judged as usize].get()).sum()
    }
}

/// A reply's class: a hundred of statuses, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 100 to 199.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
    /// 600 and above, which HTTP does not know.
    Unknown,
    /// Nothing left us.
    NotSent,
    /// Sent, and no status came.
    Unanswered,
    /// No request could be made of the message.
    Impossible,
}

impl Class {
    /// In the order of [`BackendMeters::requests`].
    pub const ALL: [Self; 9] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Unknown,
        Self::NotSent,
        Self::Unanswered,
        Self::Impossible,
    ];

    fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Answered { status, .. } => match status / 100 {
                0 | 1 => Self::Informational,
                2 => Self::Success,
                3 => Self::Redirection,
                4 => Self::ClientError,
                5 => Self::ServerError,
                _ => Self::Unknown,
            },
            Reply::NotSent(..) => Self::NotSent,
            Reply::Unanswered(..) => Self::Unanswered,
            Reply::Impossible(_) => Self::Impossible,
        }
    }

    /// As a label says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
            Self::Unanswered => "unanswered",
            Self::Impossible => "impossible",
        }
    }
}

/// An [`Outcome`] without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The backend has it.
    Delivered,
    /// The message is at fault.
    Refused,
    /// It may go well later.
    TryAgain,
    /// The backend is at fault.
    Unwell,
}

impl Judged {
    /// In the order of [`BackendMeters::requests`].
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Refused, Self::TryAgain, Self::Unwell];

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Refused => Self::Refused,
            Outcome::TryAgain { .. } => Self::TryAgain,
            Outcome::Unwell { .. } => Self::Unwell,
        }
    }

    /// As a label says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::TryAgain => "try_again",
            Self::Unwell => "unwell",
        }
    }
}

/// Milliseconds since 1970, as the times in [`Meters`] are.
pub(crate) fn millis_since_1970(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that a [`Number`] of milliseconds since 1970 says; `None` for 0, which is never.
#[must_use]
pub fn time(millis: &Number) -> Option<SystemTime> {
    let millis = millis.get();
    (millis > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

/// A panic while one of these is locked leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_outcomes_stand_where_their_number_says() {
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place, "{class:?}");
        }
        for (place, judged) in Judged::ALL.into_iter().enumerate() {
            assert_eq!(judged as usize, place, "{judged:?}");
        }
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason}");
        }
    }

    #[test]
    fn a_backend_counts_on_under_its_name() {
        let meters = Meters::default();
        let reply = Reply::Answered { status: 503, retry_after: None };
        let outcome = Outcome::TryAgain { not_before: None, whole_backend: true, few: false };
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        meters.backend(&one).replied(&reply, outcome, Duration::from_millis(3));
        meters.backend(&other).replied(&reply, Outcome::Delivered, Duration::from_millis(3));
        meters.backend(&one).replied(&reply, outcome, Duration::from_millis(3));
        let counts = |judged| {
            let backends = meters.backends();
            backends.iter().map(|backend| backend.judged(judged)).collect::<Vec<_>>()
        };
        assert_eq!(counts(Judged::TryAgain), [2, 0]);
        assert_eq!(counts(Judged::Delivered), [0, 1]);
        let one = meters.backend(&one);
        assert_eq!(one.requests[Class::ServerError as usize][Judged::TryAgain as usize].get(), 2);
        assert_eq!(one.took.buckets().count(), 2);
    }
}
