//! What a message brings along of its earlier deliveries.

use crate::delivery::{Field, Message};

use super::headers;

// Names as they stand in a message: octets.
const ATTEMPTS: &[u8] = headers::ATTEMPTS.as_bytes();
const TRIES: &[u8] = headers::TRIES.as_bytes();
const FIRST_FAILURE: &[u8] = headers::FIRST_FAILURE.as_bytes();
const DONE: &[u8] = headers::DONE.as_bytes();
const EXCHANGE: &[u8] = headers::EXCHANGE.as_bytes();
const ROUTING_KEY: &[u8] = headers::ROUTING_KEY.as_bytes();
const DEAD_LETTERED_BY: &[u8] = headers::DEAD_LETTERED_BY.as_bytes();

/// How a message fared before this delivery: by the headers of its copy, and as far as the broker tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Attempts that failed, as its copy tells. Crashes, drains and holds are none.
    pub attempts: u32,
    /// Tries of these attempts.
    pub tries: u32,
    /// When it failed first, in seconds since 1970.
    pub first_failure: Option<u64>,
    /// The names of the backends that have it, one a line.
    pub done: String,
    /// Deliveries that failed, as far as the broker tells.
    ///
    /// `x-delivery-count` of a quorum queue, else what `redelivered` says. A quorum queue that
    /// counts only how often a message was handed out (`x-acquired-count`) knows of no failure.
    /// Before RabbitMQ 4.3 crashes and requeues of innocent messages are among them.
    pub deliveries: u32,
}

impl History {
    /// Reads it, and gives the message back the exchange and routing key that it was published
    /// with, which a copy cannot have.
    ///
    /// A dead letter that comes again starts afresh, but for the backends that have it.
    #[must_use]
    pub fn take_up(message: &mut Message) -> Self {
        let mut history = Self::default();
        let (mut exchange, mut routing_key, mut is_afresh) = (None, None, false);
        let (mut failed, mut acquired) = (None, false);
        for (name, field) in message.properties.headers_of("x-") {
            match (name, field) {
                (b"x-delivery-count", Field::Integer(count)) => failed = Some(number(count)),
                (b"x-acquired-count", Field::Integer(_)) => acquired = true,
                (ATTEMPTS, Field::Integer(count)) => history.attempts = number(count),
                (TRIES, Field::Integer(count)) => history.tries = number(count),
                (FIRST_FAILURE, Field::Timestamp(seconds)) => {
                    history.first_failure = Some(seconds);
                }
                (DONE, Field::Text(done)) => {
                    history.done = String::from_utf8_lossy(done).into_owned();
                }
                (EXCHANGE, Field::Text(text)) => exchange = Some(owned(text)),
                (ROUTING_KEY, Field::Text(text)) => routing_key = Some(owned(text)),
                (DEAD_LETTERED_BY, _) => is_afresh = true,
                _ => {}
            }
        }
        let redelivered = u32::from(message.redelivered && !acquired);
        history.deliveries = failed.unwrap_or(redelivered);
        if is_afresh {
            (history.attempts, history.tries, history.first_failure) = (0, 0, None);
        }
        if let Some(exchange) = exchange {
            message.exchange = exchange;
        }
        if let Some(routing_key) = routing_key {
            message.routing_key = routing_key;
        }
        history
    }

    /// Whether the backend of this name has the message.
    #[must_use]
    pub fn has(&self, backend: &str) -> bool {
        !self.done.is_empty() && self.done.lines().any(|name| name == backend)
    }
}

fn number(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

fn owned(text: &[u8]) -> String {
    // AMQP's limit for both; what is longer is not ours.
    let text = String::from_utf8_lossy(text);
    text[..text.floor_char_boundary(255)].to_owned()
}
