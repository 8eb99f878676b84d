//! What the broker is told of a message: a pure function of outcome, attempts and policy.

use std::fmt;
use std::time::Duration;

use crate::backoff;
use crate::config::definition::{AgentDefinition, QueueType, RetryPolicy, RetryStrategy};
use crate::copies::History;
use crate::outcome::Outcome;

/// What the broker is told; each ends the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// `basic.ack`: every required backend has the message.
    Ack,
    /// `basic.ack`: a copy has taken the message's place, and the broker has confirmed it.
    Replaced(CopyTo),
    /// Back to the queue.
    Requeue {
        /// The message is at fault: `basic.reject`, which RabbitMQ ≥ 4.3 counts against a quorum
        /// queue's delivery limit. Else we are the ones in the way: `basic.nack`, which it does not.
        counted: bool,
    },
    /// `basic.nack` without requeue (KrakenD's `nack_discard`): to the queue's own dead-letter exchange, or gone.
    Discard,
}

/// Where a copy goes that takes a message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyTo {
    /// To a delay queue, which gives it back to the message's queue after this time.
    Retry(Duration),
    /// To the dead letters: it is not tried again.
    DeadLetter(Reason),
}

/// Why a message is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A backend refused it: it is at fault, and will be for ever.
    Refused,
    /// No request can be made of it.
    Impossible,
    /// As many deliveries failed as `retry.attempts` allows.
    Attempts,
    /// It failed first longer ago than `retry.max_age`.
    MaxAge,
}

impl Reason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Impossible, Self::Attempts, Self::MaxAge];
}

impl fmt::Display for Reason {
    /// The one word that a dead letter has in its header, and that `redrive --reason` takes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refused => "refused",
            Self::Impossible => "impossible",
            Self::Attempts => "attempts",
            Self::MaxAge => "max_age",
        })
    }
}

/// What to do with a message next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// Tell the broker now.
    Settle(Settlement),
    /// Publish a copy; once the broker has confirmed it, settle with [`Settlement::Replaced`].
    Copy(CopyTo),
    /// Keep it, and try again after a wait, as part of the same attempt.
    TryInPlace(Duration),
    /// This attempt has failed: keep it, and begin the next one after a wait.
    TryOn(Duration),
    /// It is not to be tried again, but there is nowhere to put it: keep it, and try again all the
    /// same, since that loses nothing.
    Stuck(Duration),
    /// Keep it for a wait, then tell the broker: so that no requeue is faster than its backoff.
    SettleAfter(Duration, Settlement),
    /// Keep it and hand out nothing more until the backend is well.
    Hold,
}

/// How often a message has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Tries of this attempt, the last one included; those that found the backend unwell do not count.
    pub here: u32,
    /// Attempts that failed before this one: deliveries, each with its quick tries.
    pub before: u32,
    /// Tries before this attempt, as far as we know.
    pub tries_before: u32,
    /// How long we have held it.
    pub held: Duration,
    /// How long ago it failed first.
    pub age: Duration,
}

impl Attempts {
    /// Those of a message that has just come, with what it brings along of earlier deliveries.
    #[must_use]
    pub fn after(history: &History, strategy: RetryStrategy) -> Self {
        // Where the message itself goes back, only the broker counts; but crashes too.
        let before = match strategy {
            RetryStrategy::Queue | RetryStrategy::InPlace => history.attempts,
            RetryStrategy::Native | RetryStrategy::Requeue => {
                history.attempts.max(history.deliveries)
            }
        };
        let tries_before = history.tries.max(history.deliveries);
        Self { before, tries_before, ..Self::default() }
    }

    /// Tries in all.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries_before.saturating_add(self.here)
    }

    /// Begins the next attempt, this one having failed.
    pub fn next(&mut self) {
        self.tries_before = self.tries();
        self.before = self.before.saturating_add(1);
        self.here = 0;
    }
}

/// The part of an agent's definition that settlements depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How a message that failed is tried again.
    pub retry: RetryPolicy,
    /// What becomes of a message that is not tried again.
    pub last_resort: LastResort,
    /// Ack whatever the backends say.
    pub auto_ack: bool,
    /// Whether what is given back comes again. A stream takes a requeue for an ack, so what
    /// fails there is kept and tried on.
    pub can_requeue: bool,
}

impl Policy {
    /// That of an agent.
    #[must_use]
    pub fn of(definition: &AgentDefinition) -> Self {
        let last_resort = match &definition.dead_letter {
            _ if definition.source.nack_discard => LastResort::Discard,
            Some(_) => LastResort::DeadLetter,
            None => LastResort::Keep,
        };
        Self {
            retry: definition.retry.clone(),
            last_resort,
            auto_ack: definition.source.auto_ack,
            can_requeue: definition.source.queue.queue_type != Some(QueueType::Stream),
        }
    }
}

/// What becomes of a message that is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastResort {
    /// A copy goes to the dead letters.
    DeadLetter,
    /// It is kept, since there are none: never dropped.
    Keep,
    /// It is discarded, and so is what would be tried later (KrakenD's `nack_discard`).
    Discard,
}

/// The longest that a message is held for quick tries, and again the longest that it then
/// waits for its requeue: together a third of RabbitMQ's `consumer_timeout` of 30 minutes.
pub const HELD_MAX: Duration = Duration::from_mins(5);

/// The longest that a message is kept in the window between its attempts, well within the same.
pub const KEPT_MAX: Duration = Duration::from_mins(15);

/// The quick tries for what waiting rarely mends (404, 409), and its attempts.
const FEW_IN_PLACE: u32 = 1;
const FEW_ATTEMPTS: u32 = 3;

/// Decides what becomes of a message; `chance` is uniform in 0 to 1 and moves only waits.
#[must_use]
pub fn decide(outcome: Outcome, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    if policy.auto_ack {
        return Decision::Settle(Settlement::Ack);
    }
    match outcome {
        Outcome::Delivered => Decision::Settle(Settlement::Ack),
        Outcome::Unwell { .. } => Decision::Hold,
        Outcome::Refused => give_up(Reason::Refused, attempts, policy, chance),
        Outcome::TryAgain { not_before, few, .. } => {
            let in_place = policy.retry.in_place.min(if few { FEW_IN_PLACE } else { u32::MAX });
            let wait = backoff::in_place(attempts.here, policy.retry.jitter, chance)
                .max(not_before.unwrap_or_default());
            if attempts.here <= in_place && attempts.held.saturating_add(wait) <= HELD_MAX {
                return Decision::TryInPlace(wait);
            }
            let most = policy.retry.attempts.min(if few { FEW_ATTEMPTS } else { u32::MAX });
            if attempts.before.saturating_add(1) >= most {
                give_up(Reason::Attempts, attempts, policy, chance)
            } else if policy.retry.max_age.is_some_and(|max| attempts.age >= max) {
                give_up(Reason::MaxAge, attempts, policy, chance)
            } else {
                try_later(not_before, attempts, policy, chance)
            }
        }
    }
}

/// This attempt has failed, and another may follow.
fn try_later(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    if policy.last_resort == LastResort::Discard {
        return Decision::Settle(Settlement::Discard);
    }
    match policy.retry.strategy {
        RetryStrategy::Queue => {
            Decision::Copy(CopyTo::Retry(delay(not_before, attempts, &policy.retry)))
        }
        // The queue itself makes it wait.
        RetryStrategy::Native => Decision::Settle(Settlement::Requeue { counted: true }),
        RetryStrategy::InPlace => {
            let wait = wait(not_before, attempts, &policy.retry, chance);
            if policy.can_requeue && attempts.held.saturating_add(wait) > KEPT_MAX {
                Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
            } else {
                Decision::TryOn(wait)
            }
        }
        RetryStrategy::Requeue => requeue_later(not_before, attempts, policy, chance),
    }
}

/// Where no copy can be made of a message that is to be tried later: it waits in the window, and
/// goes back to its queue.
#[must_use]
pub fn requeue_later(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    let wait = wait(not_before, attempts, &policy.retry, chance);
    if policy.can_requeue {
        Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
    } else {
        Decision::TryOn(wait)
    }
}

/// Nothing more is to be tried.
fn give_up(reason: Reason, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    match policy.last_resort {
        LastResort::Discard => Decision::Settle(Settlement::Discard),
        LastResort::DeadLetter => Decision::Copy(CopyTo::DeadLetter(reason)),
        LastResort::Keep => {
            let last = Attempts { before: u32::MAX, ..attempts };
            let wait = wait(None, last, &policy.retry, chance);
            if policy.can_requeue && attempts.held.saturating_add(wait) > KEPT_MAX {
                Decision::SettleAfter(wait, Settlement::Requeue { counted: false })
            } else {
                Decision::Stuck(wait)
            }
        }
    }
}

/// The delay queue for the next attempt: of those there are, the one whose turn it is, or a later
/// one where the backend wishes for more.
fn delay(not_before: Option<Duration>, attempts: Attempts, retry: &RetryPolicy) -> Duration {
    let turn = backoff::delay(&retry.delays, attempts.before.saturating_add(1), 0.0, 0.5);
    let wish = not_before.unwrap_or_default();
    if wish <= turn {
        return turn;
    }
    let longer = retry.delays.iter().copied().filter(|delay| *delay >= wish).min();
    longer.or(retry.delays.iter().copied().max()).unwrap_or(turn)
}

/// The wait before the next attempt of a message that is kept.
fn wait(
    not_before: Option<Duration>,
    attempts: Attempts,
    retry: &RetryPolicy,
    chance: f64,
) -> Duration {
    let failures = attempts.before.saturating_add(1);
    backoff::delay(&retry.delays, failures, retry.jitter, chance)
        .max(not_before.unwrap_or_default())
        .min(HELD_MAX)
}

/// Decides what becomes of a message that a backend turned away as if it were unwell, `unwell`
/// times in a row, while it took others: it may be this message alone.
///
/// Tried again, not counted and never discarded. But one that was held for long goes back, since
/// RabbitMQ ends the session of a consumer that keeps a message beyond its `consumer_timeout`.
#[must_use]
pub fn in_doubt(attempts: Attempts, unwell: u32, policy: &Policy, chance: f64) -> Decision {
    let wait = backoff::probe(unwell, chance);
    let is_held_for_long = attempts.held.saturating_add(wait) > HELD_MAX;
    match (is_held_for_long, policy.can_requeue) {
        (true, true) => Decision::SettleAfter(wait, Settlement::Requeue { counted: false }),
        (false, _) | (true, false) => Decision::TryInPlace(wait),
    }
}

#[cfg(test)]
mod tests;
