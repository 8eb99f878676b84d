//! Publishing copies of messages: on a connection of its own, each confirmed by the broker.

mod confirms;
mod connection;
mod connector;
mod destination;
mod known;
mod lane;
mod ledger;
mod progress;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::connector::{Connector, LaneHandle};
pub(super) use self::destination::table;
use self::lane::Request;
use self::progress::Progress;
use super::ended::Ended;
use super::properties::Properties;
use crate::config::definition::{BrokerAddress, QueueType};

/// Copies of one agent that wait for their turn to be published; the next one waits with its agent.
const REQUESTS_MAX: usize = 64;

/// A little more than it takes a connection to close.
const END_MAX: Duration = Duration::from_secs(4);

/// The longest short string of AMQP.
const NAME_MAX: usize = 255;

/// A copy of a message, to be published before the message itself is acked.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The exchange; empty for the default exchange, which routes by a queue's name. At most 255 bytes.
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
///
/// The agents of a thread share a connection with each broker, and each has a channel of its own on
/// it: what the broker refuses one of them disturbs no other.
#[derive(Debug, Clone)]
pub struct Publisher {
    requests: mpsc::Sender<Box<Request>>,
    blocked: watch::Receiver<bool>,
}

impl Publisher {
    /// Publishes `copy` and waits until the broker has confirmed that a queue has it.
    ///
    /// A confirm is waited for as long as its connection lives: a broker with an alarm gives none
    /// until the alarm is over. Dropping the future is safe, and does not take the copy back.
    ///
    /// # Errors
    /// Why the copy is not known to be safe; it may be there all the same.
    pub async fn publish(&self, copy: Copy) -> Result<(), NotSafe> {
        if copy.exchange.len() > NAME_MAX || copy.routing_key.len() > NAME_MAX {
            // The library would panic.
            let text = "an exchange or routing key of more than 255 bytes cannot be published to";
            return Err(NotSafe::Ended(Ended::LibraryFailed(text.to_owned())));
        }
        let (answer, told) = oneshot::channel();
        // Without a lane, or without its answer, the thread is coming to its end.
        if self.requests.send(Box::new(Request { copy, answer })).await.is_err() {
            return Err(NotSafe::Ended(Ended::Lost));
        }
        told.await.unwrap_or(Err(NotSafe::Ended(Ended::Lost)))
    }

    /// Whether copies of this agent wait for the broker and it has answered none for 5 s.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// The same, to wait for a change of it.
    #[must_use]
    pub fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.clone()
    }
}

/// The publishing connections of one thread: the agents of one broker share one.
///
/// A connection is opened when first needed, and given up when nobody has published on it for
/// 5 min, or nobody is left who could.
#[derive(Default)]
pub struct Publishers {
    connectors: Vec<Rc<Connector>>,
    lanes: JoinSet<()>,
}

impl Publishers {
    /// A publisher for the agent named `agent`, to the first of `brokers` that takes it.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    #[must_use]
    pub fn get(&mut self, brokers: &[BrokerAddress], agent: &str) -> Publisher {
        while self.lanes.try_join_next().is_some() {}
        // Each lane has its connector.
        self.connectors.retain(|connector| Rc::strong_count(connector) > 1);
        let known = self.connectors.iter().find(|connector| connector.brokers == brokers);
        let connector = if let Some(connector) = known {
            Rc::clone(connector)
        } else {
            let connector = Rc::new(Connector::new(brokers));
            self.connectors.push(Rc::clone(&connector));
            connector
        };
        let publisher = connector.lanes.borrow().get(agent).and_then(LaneHandle::publisher);
        publisher.unwrap_or_else(|| self.start(&connector, agent))
    }

    /// Takes leave of all brokers, waiting at most 4 s. The agents have ended before.
    pub async fn end(mut self) {
        self.connectors.clear();
        let left = async { while self.lanes.join_next().await.is_some() {} };
        tokio::time::timeout(END_MAX, left).await.ok();
        self.lanes.shutdown().await;
    }

    fn start(&mut self, connector: &Rc<Connector>, agent: &str) -> Publisher {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let (progress, progressed) = watch::channel(Progress::default());
        let (block, blocked) = watch::channel(false);
        let handle = LaneHandle {
            requests: requests.downgrade(),
            progress: progressed,
            blocked: blocked.clone(),
        };
        connector.lanes.borrow_mut().insert(agent.to_owned(), handle);
        let lane = lane::run(Rc::clone(connector), agent.to_owned(), received, progress, block);
        self.lanes.spawn_local(lane);
        Publisher { requests, blocked }
    }
}

impl fmt::Debug for Publishers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Publishers").finish_non_exhaustive()
    }
}

impl LaneHandle {
    /// `None` when the lane has come to its end.
    fn publisher(&self) -> Option<Publisher> {
        let requests = self.requests.upgrade().filter(|requests| !requests.is_closed())?;
        Some(Publisher { requests, blocked: self.blocked.clone() })
    }
}
