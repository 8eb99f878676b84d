//! One message as it reached us, and the duty to settle it exactly once.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

pub use crate::broker::properties::{Field, Properties};

/// A message's content and how it came, without the duty to settle it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The exchange that it was first published to; empty for the default exchange.
    pub exchange: String,
    /// The routing key that it was first published with; lossy where it is not UTF-8.
    pub routing_key: String,
    /// The broker handed it out before and saw no settlement.
    pub redelivered: bool,
    /// Its AMQP properties and headers.
    pub properties: Properties,
    /// Its body, as published.
    pub body: Bytes,
}

/// A message that waits for its settlement on the channel that brought it.
///
/// [`Session::settle`](crate::broker::Session::settle) takes it by value, so that it cannot be
/// settled twice. Dropping one that was neither settled nor [abandoned](Self::abandon) is a
/// mistake of ours: it is logged, and an assertion where debug assertions are on.
pub struct Delivery {
    pub(crate) tag: u64,
    pub(crate) message: Message,
    pub(crate) duty: Duty,
}

impl Delivery {
    pub(crate) fn new(tag: u64, message: Message) -> Self {
        Self { tag, message, duty: Duty { open: true } }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Gives the delivery up because its channel is gone: the broker hands the message out again.
    pub fn abandon(mut self) {
        self.duty.open = false;
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Delivery").field("tag", &self.tag).finish_non_exhaustive()
    }
}

static DROPPED_UNSETTLED: AtomicU64 = AtomicU64::new(0);

/// Deliveries that were dropped unsettled since the process began: mistakes of ours, so none.
#[must_use]
pub fn dropped_unsettled() -> u64 {
    DROPPED_UNSETTLED.load(Ordering::Relaxed)
}

/// Whether a delivery still waits for its settlement.
pub(crate) struct Duty {
    pub(crate) open: bool,
}

impl Drop for Duty {
    fn drop(&mut self) {
        if self.open && !std::thread::panicking() {
            DROPPED_UNSETTLED.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                "a delivery was dropped unsettled; the broker keeps it until the session ends"
            );
            debug_assert!(false, "a delivery was dropped unsettled");
        }
    }
}
