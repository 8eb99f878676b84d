//! Publishing copies of messages: on a connection of its own, each confirmed by the broker.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::ended::Ended;
use super::properties::Properties;
use crate::config::definition::{BrokerAddress, QueueType};

/// A copy of a message, to be published before the message itself is acked.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The exchange; empty for the default exchange, which routes by a queue's name.
    pub exchange: String,
    /// At most 255 bytes.
    pub routing_key: String,
    /// The message's own, and what we add.
    pub properties: Properties,
    /// As published.
    pub body: Bytes,
    /// The queue that the copy goes to, if we may declare it: it is when first needed.
    pub queue: Option<CopyQueue>,
}

/// A queue for copies, as we declare it: durable, and of the kind of the queue that messages come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CopyQueue {
    /// At most 255 bytes.
    pub name: String,
    /// Quorum, or classic.
    pub kind: QueueType,
    /// A delay queue: how long a message stays, and the queue that it then goes to.
    pub delay: Option<(Duration, String)>,
}

/// Why a copy is not known to be safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSafe {
    /// `basic.return`: no queue takes it.
    Returned {
        /// The reply code, such as 312.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// `basic.nack`: the queue did not take it, since it is full or its disk is.
    Refused,
    /// The connection or channel ended before it was confirmed, or there is none.
    Ended(Ended),
}

impl fmt::Display for NotSafe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned { code, text } => {
                write!(formatter, "the broker returned it: {code} {text}")
            }
            Self::Refused => formatter.write_str("the broker refused it: the queue is full?"),
            Self::Ended(reason) => reason.fmt(formatter),
        }
    }
}

/// Publishes copies for one agent.
#[derive(Debug, Clone)]
pub struct Publisher {}

impl Publisher {
    /// Publishes `copy` and waits until the broker has confirmed that a queue has it.
    ///
    /// Dropping the future does not take the copy back.
    ///
    /// # Errors
    /// Why the copy is not known to be safe; it may be there all the same.
    #[expect(clippy::unused_async, reason = "to come")]
    pub async fn publish(&self, copy: Copy) -> Result<(), NotSafe> {
        drop(copy);
        Err(NotSafe::Ended(Ended::Lost))
    }
}

/// The publishing connections of one thread: the agents of one broker share one.
#[derive(Debug, Default)]
pub struct Publishers {}

impl Publishers {
    /// A publisher for the agent named `agent`, to the first of `brokers` that takes it.
    #[must_use]
    pub fn get(&mut self, brokers: &[BrokerAddress], agent: &str) -> Publisher {
        let _ = (brokers, agent);
        Publisher {}
    }
}
