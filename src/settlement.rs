//! What the broker is told of a message: a pure function of outcome, attempt and policy.

use std::time::Duration;

use crate::backoff;
use crate::config::definition::RetryPolicy;
use crate::outcome::Outcome;

/// What the broker is told; each ends the delivery.
///
/// A retry through the broker and a dead-letter copy will be further variants: like
/// [`Settlement::Ack`] they end in an ack, but only once what replaces the message is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// `basic.ack`: the message leaves the queue.
    Ack,
    /// Back to the queue.
    Requeue {
        /// The message is at fault: `basic.reject`, which RabbitMQ ≥ 4.3 counts against a quorum
        /// queue's delivery limit. Else we are the ones in the way: `basic.nack`, which it does not.
        counted: bool,
    },
    /// `basic.nack` without requeue (KrakenD's `nack_discard`): to the queue's own dead-letter exchange, or gone.
    Discard,
}

/// What to do with a message next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// Tell the broker now.
    Settle(Settlement),
    /// Keep it, and try again after a wait.
    TryInPlace(Duration),
    /// Keep it for a wait, then tell the broker: so that no requeue is faster than its backoff.
    SettleAfter(Duration, Settlement),
    /// Keep it and hand out nothing more until the backend is well.
    Hold,
}

/// How often a message has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Tries since it was delivered to us, this one included; those that found the backend unwell do not count.
    pub here: u32,
    /// Deliveries that failed before this one, as far as the broker tells.
    pub before: u32,
}

/// The part of an agent's definition that settlements depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How a message that failed is tried again.
    pub retry: RetryPolicy,
    /// Discard where we would requeue.
    pub nack_discard: bool,
    /// Ack whatever the backends say.
    pub auto_ack: bool,
}

/// The longest that a message waits for its requeue while we hold it, well below RabbitMQ's
/// `consumer_timeout` of 30 minutes.
pub const HELD_MAX: Duration = Duration::from_secs(300);

/// The tries in place for what waiting rarely mends.
const FEW: u32 = 1;

/// Decides what becomes of a message; `chance` is uniform in 0 to 1 and moves only waits.
#[must_use]
pub fn decide(outcome: Outcome, attempts: Attempts, policy: &Policy, chance: f64) -> Decision {
    if policy.auto_ack {
        return Decision::Settle(Settlement::Ack);
    }
    match outcome {
        Outcome::Delivered => Decision::Settle(Settlement::Ack),
        Outcome::Unwell { .. } => Decision::Hold,
        Outcome::Refused => give_back(None, attempts, policy, chance),
        Outcome::TryAgain { not_before, few, .. } => {
            let in_place = if few { policy.retry.in_place.min(FEW) } else { policy.retry.in_place };
            if attempts.here > in_place {
                return give_back(not_before, attempts, policy, chance);
            }
            let wait = backoff::in_place(attempts.here, policy.retry.jitter, chance);
            Decision::TryInPlace(wait.max(not_before.unwrap_or_default()))
        }
    }
}

/// Nothing more is to be tried here: back to the queue after the backoff, or discarded.
fn give_back(
    not_before: Option<Duration>,
    attempts: Attempts,
    policy: &Policy,
    chance: f64,
) -> Decision {
    if policy.nack_discard {
        return Decision::Settle(Settlement::Discard);
    }
    let failures = attempts.before.saturating_add(1);
    let wait = backoff::delay(&policy.retry.delays, failures, policy.retry.jitter, chance)
        .max(not_before.unwrap_or_default())
        .min(HELD_MAX);
    Decision::SettleAfter(wait, Settlement::Requeue { counted: true })
}
