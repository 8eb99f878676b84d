//! What is likely to go wrong with an agent's queue before it does: pure, but for [`ask`].
//!
//! AMQP tells little of a queue: the broker's name and version, whether what is declared is there,
//! and what the agent file itself declares. Policies are told only by RabbitMQ's management
//! interface, where an agent names it. What is not known is not warned of, or with that said.

pub mod ask;
mod facts;
mod finding;
mod obstacle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::broker::Inspection;
use crate::config::definition::{AgentDefinition, Argument, QueueType, RetryStrategy};
use crate::settlement::{HELD_MAX, KEPT_MAX};

pub use facts::{Facts, Known, NoLimit, QueueFacts};
pub use finding::{Finding, Weight};
pub use obstacle::{Obstacle, What, obstacles};

/// The most messages that a quorum queue gives a consumer without a limit: measured on RabbitMQ
/// 3.10 and 4.3, which both heed a higher one that is asked for.
const QUORUM_WINDOW_MAX: u16 = 2000;

/// A finding, and how sure it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub finding: Finding,
    /// What could make it untrue.
    pub doubt: Doubt,
}

/// What could make a finding untrue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing.
    None,
    /// A policy, and nobody can be asked.
    Policy,
    /// A policy, which could not be looked up: the queue is not there yet, or nobody answered.
    PolicyForNow,
}

/// Reads `problem; remedy`.
impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.finding, self.finding.remedy())?;
        match self.doubt {
            Doubt::None => Ok(()),
            Doubt::Policy => formatter.write_str(
                " (as far as the agent file tells: a policy may say otherwise, name `management` to have it looked up)",
            ),
            Doubt::PolicyForNow => formatter
                .write_str(" (as far as the agent file tells: a policy may say otherwise)"),
        }
    }
}

/// What is likely to go wrong, the worst first.
#[must_use]
pub fn audit(definition: &AgentDefinition, facts: &Facts) -> Vec<Found> {
    let mut findings = Vec::new();
    native(definition, facts, &mut findings);
    dead_letters(definition, facts, &mut findings);
    limits(definition, facts, &mut findings);
    lasting(definition, facts, &mut findings);
    // Why it could not be looked up where it was to be, is told with that.
    if facts.queue.known == Known::Not && definition.source.management.is_empty() {
        findings.push(Finding::QueueUnknown);
    }
    let is_known = facts.queue.known == Known::LookedUp;
    let doubt = |finding: &Finding| match finding.depends_on_policies() && !is_known {
        false => Doubt::None,
        true if definition.source.management.is_empty() => Doubt::Policy,
        true => Doubt::PolicyForNow,
    };
    let mut found: Vec<_> =
        findings.into_iter().map(|finding| Found { doubt: doubt(&finding), finding }).collect();
    found.sort_by_key(|found| found.finding.weight());
    found
}

/// What keeps the agent from working, as the broker said when asked.
#[must_use]
pub fn of_inspection(definition: &AgentDefinition, inspection: &Inspection) -> Vec<Found> {
    let obstacles = obstacles(definition, inspection).into_iter();
    obstacles.map(|it| Found { finding: Finding::Obstacle(it), doubt: Doubt::None }).collect()
}

fn native(definition: &AgentDefinition, facts: &Facts, findings: &mut Vec<Finding>) {
    match definition.retry.strategy {
        RetryStrategy::Native if tries_again(definition) => {}
        RetryStrategy::Native
        | RetryStrategy::Queue
        | RetryStrategy::InPlace
        | RetryStrategy::Requeue => return,
    }
    let queue = &facts.queue;
    if !facts.server.has_delayed_retry() {
        findings.push(Finding::NoDelayedRetry(facts.server.clone()));
        return;
    }
    match (queue.kind, queue.known) {
        (Some(kind @ (QueueType::Classic | QueueType::Stream)), _) => {
            findings.push(Finding::NotQuorum(kind));
        }
        (Some(QueueType::Quorum) | None, Known::Not) => {
            findings.push(Finding::DelayedRetryUnknown);
        }
        (Some(QueueType::Quorum) | None, Known::Declared | Known::LookedUp) => {
            if !matches!(queue.text("delayed-retry-type"), Some("failed" | "all")) {
                findings.push(Finding::DelayedRetryOff);
            }
        }
    }
}

fn dead_letters(definition: &AgentDefinition, facts: &Facts, findings: &mut Vec<Finding>) {
    let (source, queue) = (&definition.source, &facts.queue);
    if definition.dead_letter.is_none() && tries_again(definition) {
        findings.push(Finding::NoDeadLetters);
    }
    let discards = source.nack_discard && !source.auto_ack;
    if queue.dead_letter_exchange().is_none() {
        if discards && queue.known != Known::Not {
            findings.push(Finding::DiscardDrops);
        }
        return;
    }
    match queue.kind {
        Some(QueueType::Quorum) if !queue.dead_letters_at_least_once() => {
            findings.push(Finding::AtMostOnce { quorum: true });
        }
        Some(QueueType::Classic) | None if discards => {
            findings.push(Finding::AtMostOnce { quorum: false });
        }
        Some(QueueType::Quorum | QueueType::Classic | QueueType::Stream) | None => {}
    }
}

/// What the queue itself does with messages that fail, or that are held.
fn limits(definition: &AgentDefinition, facts: &Facts, findings: &mut Vec<Finding>) {
    let (source, queue) = (&definition.source, &facts.queue);
    let attempts = definition.retry.attempts;
    let goes_back = match definition.retry.strategy {
        RetryStrategy::Native | RetryStrategy::Requeue => tries_again(definition),
        RetryStrategy::Queue | RetryStrategy::InPlace => false,
    };
    match facts.delivery_limit() {
        None => {}
        Some(Err(NoLimit)) => {
            let stated = queue.number("delivery-limit").is_some();
            if stated || queue.known == Known::LookedUp {
                findings.push(Finding::LimitOff);
            }
        }
        Some(Ok(limit)) => {
            // What the file alone tells, `check` has said already.
            let below = goes_back && limit < u64::from(attempts);
            if below && queue.known == Known::LookedUp && !says_limit(definition, limit) {
                findings.push(Finding::LimitBelowAttempts { limit, attempts });
            }
            if queue.dead_letter_exchange().is_none() {
                findings.push(Finding::LimitDrops(limit));
            }
        }
    }
    let is_classic = queue.kind == Some(QueueType::Classic);
    let requeues = definition.retry.strategy == RetryStrategy::Requeue;
    // The second delivery is told from the first.
    if is_classic && requeues && tries_again(definition) && attempts > 2 {
        findings.push(Finding::AttemptsUncounted);
    }
    if queue.kind == Some(QueueType::Quorum) && source.prefetch_count > QUORUM_WINDOW_MAX {
        findings.push(Finding::LargeWindow(source.prefetch_count));
    }
    consumer_timeout(definition, facts, findings);
}

/// The node's own `consumer_timeout` is told by nobody; 30 minutes by default, it is well above
/// what a message is ever held.
fn consumer_timeout(definition: &AgentDefinition, facts: &Facts, findings: &mut Vec<Finding>) {
    // Queues have one of their own since 3.12, and of 4.3 on only quorum queues.
    let server = &facts.server;
    let heeds_it = server.is_rabbitmq_since(3, 12)
        && (!server.is_rabbitmq_since(4, 3) || facts.queue.kind == Some(QueueType::Quorum));
    let limit = facts.queue.number("consumer-timeout").and_then(|limit| u64::try_from(limit).ok());
    let (Some(limit), true) = (limit.map(Duration::from_millis), heeds_it) else { return };
    let held = held_max(definition);
    if limit < held {
        findings.push(Finding::ConsumerTimeout { limit, held });
    }
}

/// How long a message may be held as a matter of course: while a backend is unwell, or between two
/// attempts.
fn held_max(definition: &AgentDefinition) -> Duration {
    let retry = &definition.retry;
    let delays = retry.delays.iter().copied().map(|delay| delay.min(HELD_MAX));
    let longest = delays.clone().max().unwrap_or_default();
    // The last delay repeats.
    let waits = usize::try_from(retry.attempts).unwrap_or(usize::MAX).saturating_sub(1);
    let listed = delays.len().min(waits);
    let repeats = u32::try_from(waits - listed).unwrap_or(u32::MAX);
    let last = delays.clone().next_back().unwrap_or_default();
    let all = delays.take(listed).sum::<Duration>().saturating_add(last.saturating_mul(repeats));
    let waits = match retry.strategy {
        RetryStrategy::Queue | RetryStrategy::Native => Duration::ZERO,
        RetryStrategy::InPlace => all.min(KEPT_MAX),
        RetryStrategy::Requeue => longest,
    };
    definition.hold_max.max(waits)
}

/// Whether the queue, and with it its messages, lasts as long as the file says.
fn lasting(definition: &AgentDefinition, facts: &Facts, findings: &mut Vec<Finding>) {
    let (stated, queue) = (&definition.source.queue, &facts.queue);
    if queue.known != Known::LookedUp {
        return;
    }
    if stated.durable && !queue.durable {
        findings.push(Finding::NotDurable);
    }
    if queue.auto_delete && !stated.auto_delete {
        findings.push(Finding::AutoDelete);
    }
    let expires = queue.number("expires").and_then(|after| u64::try_from(after).ok());
    if let Some(after) = expires.filter(|_| !stated.arguments.contains_key("x-expires")) {
        findings.push(Finding::Expires(Duration::from_millis(after)));
    }
    if queue.policy.contains_key("ha-mode") && queue.kind == Some(QueueType::Classic) {
        findings.push(Finding::Mirrored);
    }
}

/// Whether a message that failed is tried again at all.
fn tries_again(definition: &AgentDefinition) -> bool {
    !definition.source.nack_discard && !definition.source.auto_ack
}

/// Whether the file states this limit itself.
fn says_limit(definition: &AgentDefinition, limit: u64) -> bool {
    let stated = definition.source.queue.arguments.get("x-delivery-limit");
    matches!(stated, Some(Argument::Integer(stated)) if u64::try_from(*stated) == Ok(limit))
}
