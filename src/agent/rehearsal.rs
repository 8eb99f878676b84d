//! What an agent would do with one message, told rather than done: no broker, no backend, no clock.
//!
//! The window, the hold, the breaker, the health of hosts, the decisions and the copies are the
//! agent's own; only what comes back from backends is supposed, and the broker is played.
//! Chance is in the middle, so that jitter moves nothing.

mod play;
mod queue;
mod reply;
mod tried;

use std::sync::Arc;
use std::time::Duration;

use crate::config::definition::AgentDefinition;
use crate::copies::History;
use crate::delivery::Message;
use crate::outcome::Outcome;
use crate::request::TemplateError;
use crate::settlement::{Attempts, Reason};

pub use reply::{Replies, Supposed};

/// Something that happens to the message.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How long after its first delivery.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What may happen to a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The broker hands it out.
    Delivered {
        /// Counted from 1.
        number: u32,
        /// As its flag says.
        redelivered: bool,
    },
    /// It is tried at all backends that are due.
    Tried {
        /// As `X-Amqp-Attempt` says.
        attempt: u32,
        /// To see whether the backend is well.
        as_probe: bool,
        /// By backend, in the order of the file.
        said: Vec<Said>,
    },
    /// A backend that is unwell is asked with `HEAD`, and without the message.
    Asked(Said),
    /// A backend that is unwell: nothing more is handed out.
    HoldBegan {
        /// Its name.
        backend: Arc<str>,
        /// Its hosts cannot be reached; else it is what it answers.
        unreachable: bool,
    },
    /// Messages are handed out again.
    HoldEnded,
    /// A hold lasts: the message goes back uncounted, and no more are asked for.
    Released,
    /// It is kept, and tried again as part of the same delivery.
    TryInPlace {
        /// Until then.
        wait: Wait,
        /// It would be tried sooner, but the backend asked for quiet, or has failed so often in a row.
        is_left_alone: bool,
        /// A backend turned it away as if unwell: not counted.
        in_doubt: bool,
    },
    /// This attempt has failed: it is kept, and the next one begins after a wait.
    TryOn(Wait),
    /// It is not to be tried again and there is nowhere to put it: kept, and tried on.
    Stuck(Wait),
    /// It goes back to its queue after a wait.
    Requeue {
        /// In the window.
        wait: Wait,
        /// As the message's fault.
        counted: bool,
        /// What the queue then makes it wait.
        in_queue: Duration,
    },
    /// A copy waits in a delay queue, and the message is acked.
    CopyTo {
        /// The delay queue.
        queue: String,
        /// Until it comes back.
        delay: Duration,
    },
}

/// A wait in the window, which chance may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wait {
    /// With chance in the middle, as the story goes on.
    pub middle: Duration,
    /// At the least.
    pub least: Duration,
    /// At the most.
    pub most: Duration,
}

impl Wait {
    /// The longer of two.
    fn max(self, other: Self) -> Self {
        Self {
            middle: self.middle.max(other.middle),
            least: self.least.max(other.least),
            most: self.most.max(other.most),
        }
    }

    /// Whether chance moves it.
    #[must_use]
    pub fn is_moved(self) -> bool {
        self.least != self.most
    }
}

/// What one backend said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its name.
    pub backend: Arc<str>,
    /// Whether it decides.
    pub required: bool,
    /// As in the log.
    pub reply: String,
    /// What it means.
    pub outcome: Outcome,
}

/// How the message's way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every required backend has it: acked.
    Delivered,
    /// Acked whatever the backends said, since `auto_ack` is set.
    Acked,
    /// A copy is among the dead letters.
    DeadLettered {
        /// The exchange; empty for the default exchange.
        exchange: String,
        /// The routing key, which names the queue where the exchange is the default one.
        routing_key: String,
        /// Why.
        reason: Reason,
    },
    /// Discarded, since `nack_discard` is set.
    Discarded,
    /// The broker ends it: it came back more often than its queue allows.
    DeliveryLimit(i64),
    /// It never is settled while the backend goes on like that.
    Never(Endless),
    /// There was more to tell than is worth reading.
    Cut,
}

/// Why it never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endless {
    /// The backend is unwell, and the message waits until it is well.
    Held,
    /// There is nowhere to put it.
    Stuck,
    /// It goes back to its queue and comes again, and nothing counts that.
    GoesRound,
}

/// A message's way, as far as it can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// In the order of time.
    pub steps: Vec<Step>,
    /// How it ends.
    pub ending: Ending,
    /// When, after the first delivery.
    pub after: Duration,
}

/// What becomes of `message` with the agent of `definition`, if its backends reply like `replies`
/// and it comes `today`, in seconds since 1970.
///
/// # Errors
///
/// Where no request at all can be made by the definition.
pub fn rehearse(
    definition: &AgentDefinition,
    message: Message,
    replies: Replies,
    today: u64,
) -> Result<Story, TemplateError> {
    Ok(play::Play::new(definition, replies, today)?.go(message))
}

/// The number that the next try of a message has, over all its deliveries, and the names of the
/// backends that have it already; gives it back the exchange and routing key that it came with.
#[must_use]
pub fn first_try(definition: &AgentDefinition, message: &mut Message) -> (u32, Vec<Arc<str>>) {
    let history = History::take_up(message);
    let attempts = Attempts::after(&history, definition.retry.strategy);
    let done = definition.backends.iter().map(|backend| &backend.name);
    let done = done.filter(|name| history.has(name)).map(Arc::clone).collect();
    (attempts.tries().saturating_add(1), done)
}
