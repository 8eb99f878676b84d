//! The broker of a rehearsal: the queue, and what it makes of a message that is given back.

use std::time::Duration;

use crate::broker::{Added, Copy, Fate};
use crate::config::definition::{AgentDefinition, Argument, QueueType, RetryStrategy};
use crate::delivery::{Field, Message};

/// RabbitMQ's own delivery limit of a quorum queue, since 4.0, where nothing else is said.
const DELIVERY_LIMIT: i64 = 20;

/// The agent's queue, as RabbitMQ since 4.3 would keep it.
pub(super) struct Queue {
    /// A quorum queue counts what comes back.
    counts: bool,
    limit: Option<i64>,
    /// The first and the longest wait of its own delayed retry.
    delays: Option<(Duration, Duration)>,
}

impl Queue {
    pub(super) fn of(definition: &AgentDefinition) -> Self {
        let (queue, retry) = (&definition.source.queue, &definition.retry);
        let limit = match queue.arguments.get("x-delivery-limit") {
            Some(Argument::Integer(limit)) => Some(*limit).filter(|limit| *limit >= 0),
            Some(Argument::Boolean(_) | Argument::Text(_)) | None => Some(DELIVERY_LIMIT),
        };
        let wait = |name: &str, delay: Option<&Duration>| match queue.arguments.get(name) {
            Some(Argument::Integer(millis)) => {
                Duration::from_millis(u64::try_from(*millis).unwrap_or(0))
            }
            Some(Argument::Boolean(_) | Argument::Text(_)) | None => {
                delay.copied().unwrap_or_default()
            }
        };
        let delays = match retry.strategy {
            RetryStrategy::Native => Some((
                wait("x-delayed-retry-min", retry.delays.first()),
                wait("x-delayed-retry-max", retry.delays.last()),
            )),
            RetryStrategy::Queue | RetryStrategy::InPlace | RetryStrategy::Requeue => None,
        };
        let counts = queue.queue_type == Some(QueueType::Quorum);
        Self { counts, limit: limit.filter(|_| counts), delays }
    }

    /// Whether what comes back too often is ended by the queue itself.
    pub(super) fn has_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// Takes back a message; how long it waits before it comes again, or the limit that ends it.
    pub(super) fn take_back(&self, message: &mut Message, counted: bool) -> Result<Duration, i64> {
        message.redelivered = true;
        if !self.counts {
            return Ok(Duration::ZERO);
        }
        let count = count(message) + i64::from(counted);
        if let Some(limit) = self.limit.filter(|limit| counted && count > *limit) {
            return Err(limit);
        }
        let mut added = vec![("x-acquired-count", Added::Integer(1))];
        if count > 0 {
            added.push(("x-delivery-count", Added::Integer(count)));
        }
        message.properties = message.properties.with_headers(|_| Fate::Keep, added);
        Ok(if counted { self.wait(count) } else { Duration::ZERO })
    }

    /// What a message that is given back as failed waits for in the queue.
    pub(super) fn next_wait(&self, message: &Message) -> Duration {
        self.wait(count(message) + 1)
    }

    fn wait(&self, count: i64) -> Duration {
        let times = u32::try_from(count).unwrap_or(u32::MAX);
        self.delays
            .map_or(Duration::ZERO, |(first, longest)| first.saturating_mul(times).min(longest))
    }
}

/// How often it was given back as failed.
fn count(message: &Message) -> i64 {
    match message.properties.header("x-delivery-count") {
        Some(Field::Integer(count)) => count,
        Some(_) | None => 0,
    }
}

/// A copy as it comes back from its delay queue.
pub(super) fn come_back(copy: Copy, queue: &str) -> Message {
    Message {
        exchange: copy.exchange,
        routing_key: queue.to_owned(),
        redelivered: false,
        properties: copy.properties,
        body: copy.body,
    }
}
