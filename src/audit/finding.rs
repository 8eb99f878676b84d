//! What an audit may find, in the words that the log and `check --online` have for it.

use std::fmt;
use std::time::Duration;

use super::obstacle::Obstacle;
use crate::broker::Server;
use crate::config::definition::QueueType;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The agent cannot do what its file says.
    Error,
    /// Messages may be lost, or repeated more than they should be.
    Warning,
    /// Worth knowing for who asks; not logged.
    Note,
}

/// One thing that an audit found.
///
/// `Display` tells what is wrong and what comes of it: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// `retry.strategy = "native"`, and the broker has none.
    NoDelayedRetry(Server),
    /// The same, and the queue is none that could.
    NotQuorum(QueueType),
    /// The same, and the queue is told to delay nothing.
    DelayedRetryOff,
    /// The same, and nobody was asked.
    DelayedRetryUnknown,
    /// The broker says that the agent cannot work as things are.
    Obstacle(Obstacle),
    /// Nothing is done with dead letters, neither by us nor by a discard.
    NoDeadLetters,
    /// `nack_discard`, and the queue has no dead-letter exchange.
    DiscardDrops,
    /// The broker's own dead letters may get lost on their way.
    AtMostOnce {
        /// Where they could be at least once.
        quorum: bool,
    },
    /// The broker ends a message before its attempts are used up.
    LimitBelowAttempts {
        /// The queue's delivery limit.
        limit: u64,
        /// Ours.
        attempts: u32,
    },
    /// A quorum queue without a delivery limit.
    LimitOff,
    /// The delivery limit drops what it ends.
    LimitDrops(u64),
    /// Failed deliveries are not counted by the queue.
    AttemptsUncounted,
    /// The broker ends a session whose messages are held for longer.
    ConsumerTimeout {
        /// The broker's.
        limit: Duration,
        /// How long a message may be held.
        held: Duration,
    },
    /// The file says `durable`, and the queue is not.
    NotDurable,
    /// The queue is deleted when its last consumer leaves, and the file does not say so.
    AutoDelete,
    /// The queue is deleted when it is unused for this long, and the file does not say so.
    Expires(Duration),
    /// A classic mirrored queue.
    Mirrored,
    /// A window larger than is good for a quorum queue.
    LargeWindow(u16),
    /// The queue is not declared by us, and nobody was asked.
    QueueUnknown,
}

impl Finding {
    /// How much it matters.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            Self::Obstacle(obstacle) => obstacle.weight(),
            Self::NoDelayedRetry(_) | Self::NotQuorum(_) | Self::DelayedRetryOff => Weight::Error,
            Self::NoDeadLetters
            | Self::DiscardDrops
            | Self::AtMostOnce { .. }
            | Self::LimitBelowAttempts { .. }
            | Self::LimitOff
            | Self::AttemptsUncounted
            | Self::ConsumerTimeout { .. }
            | Self::NotDurable
            | Self::AutoDelete
            | Self::Expires(_)
            | Self::Mirrored
            | Self::LargeWindow(_) => Weight::Warning,
            Self::DelayedRetryUnknown | Self::LimitDrops(_) | Self::QueueUnknown => Weight::Note,
        }
    }

    /// Whether a policy could make it untrue.
    pub(super) fn depends_on_policies(&self) -> bool {
        match self {
            Self::DiscardDrops
            | Self::AtMostOnce { .. }
            | Self::LimitBelowAttempts { .. }
            | Self::LimitOff
            | Self::LimitDrops(_) => true,
            Self::NoDelayedRetry(_)
            | Self::NotQuorum(_)
            | Self::DelayedRetryOff
            | Self::DelayedRetryUnknown
            | Self::Obstacle(_)
            | Self::NoDeadLetters
            | Self::AttemptsUncounted
            | Self::ConsumerTimeout { .. }
            | Self::NotDurable
            | Self::AutoDelete
            | Self::Expires(_)
            | Self::Mirrored
            | Self::LargeWindow(_)
            | Self::QueueUnknown => false,
        }
    }

    /// The keys that are to blame, the likeliest first; where none of them stands in the file, it is
    /// the agent as a whole.
    #[must_use]
    pub fn keys(&self) -> &'static [&'static [&'static str]] {
        const AMQP: &str = "async/amqp";
        match self {
            Self::NoDelayedRetry(_)
            | Self::NotQuorum(_)
            | Self::DelayedRetryOff
            | Self::DelayedRetryUnknown
            | Self::AttemptsUncounted => &[&["retry", "strategy"]],
            Self::Obstacle(obstacle) => obstacle.keys(),
            Self::Mirrored | Self::QueueUnknown | Self::LimitDrops(_) => &[&[AMQP, "name"]],
            Self::NoDeadLetters => &[&["dead_letter", "enabled"], &["dead_letter"]],
            Self::DiscardDrops => &[&[AMQP, "nack_discard"]],
            Self::AtMostOnce { .. } => {
                &[&[AMQP, "arguments", "x-dead-letter-exchange"], &[AMQP, "nack_discard"]]
            }
            Self::LimitBelowAttempts { .. } => {
                &[&[AMQP, "arguments", "x-delivery-limit"], &["retry", "attempts"]]
            }
            Self::LimitOff => &[&[AMQP, "arguments", "x-delivery-limit"]],
            Self::ConsumerTimeout { .. } => {
                &[&[AMQP, "arguments", "x-consumer-timeout"], &["hold", "release_after"]]
            }
            Self::NotDurable => &[&[AMQP, "durable"], &[AMQP, "name"]],
            Self::AutoDelete => &[&[AMQP, "delete"], &[AMQP, "name"]],
            Self::Expires(_) => &[&[AMQP, "arguments"], &[AMQP, "name"]],
            Self::LargeWindow(_) => &[&[AMQP, "prefetch_count"]],
        }
    }

    /// What to do about it: a lowercase fragment.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoDelayedRetry(_) => "use `queue`, or upgrade the broker",
            Self::NotQuorum(_) => "use `queue`, or move to a quorum queue",
            Self::DelayedRetryOff => {
                "set `delayed-retry-type` to `failed`, and `delayed-retry-min` and `-max`, by a policy"
            }
            Self::DelayedRetryUnknown => "see to it, or let it be looked up by `management`",
            Self::QueueUnknown => "name `management` to have it looked up",
            Self::Obstacle(obstacle) => obstacle.remedy(),
            Self::NoDeadLetters => "name a queue or an exchange for them in [dead_letter]",
            Self::DiscardDrops => "give the queue a dead-letter exchange, or remove `nack_discard`",
            Self::AtMostOnce { quorum: true } => {
                "set `dead-letter-strategy` to `at-least-once` and `overflow` to `reject-publish`, by a policy or as arguments"
            }
            Self::AtMostOnce { quorum: false } => {
                "remove `nack_discard`: dead letters of this daemon are confirmed; or move to a quorum queue"
            }
            Self::LimitBelowAttempts { .. } => {
                "raise the queue's `delivery-limit` well above them, lower `retry.attempts`, or use `queue`"
            }
            Self::LimitOff => "set `delivery-limit` well above `retry.attempts`",
            Self::LimitDrops(_) => {
                "give the queue a dead-letter exchange, by a policy or as an argument"
            }
            Self::AttemptsUncounted => "use `queue` or `in_place`, or move to a quorum queue",
            Self::ConsumerTimeout { .. } => {
                "raise the queue's `consumer-timeout`, or hold for less: `hold.release_after`, `retry`"
            }
            Self::NotDurable => "declare a durable queue, or say `durable = false`",
            Self::AutoDelete => "say `delete = true`, so that a hold keeps the consumer",
            Self::Expires(_) => {
                "say so by `x-expires` in `arguments`, so that a hold keeps the consumer, and let it be longer than any outage"
            }
            Self::Mirrored => "move to a quorum queue",
            Self::LargeWindow(_) => "use 2000 or less: a few times `workers` is enough",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDelayedRetry(server) => {
                write!(formatter, "native retries need RabbitMQ 4.3 or later, and this is {server}")
            }
            Self::NotQuorum(kind) => write!(
                formatter,
                "native retries need a quorum queue, and this is a {} queue: what fails comes again at once",
                name(*kind)
            ),
            Self::DelayedRetryOff => formatter.write_str(
                "the queue has no delayed retry for what failed, which so comes again at once",
            ),
            Self::DelayedRetryUnknown => formatter.write_str(
                "whether the queue has a delayed retry is not known, since it is not declared here; without, what fails comes again at once",
            ),
            Self::Obstacle(obstacle) => obstacle.fmt(formatter),
            Self::NoDeadLetters => formatter.write_str(
                "there are no dead letters: a message that is refused, or has used up its attempts, is kept and takes its place in the window for ever",
            ),
            Self::DiscardDrops => formatter.write_str(
                "a message that fails is lost: `nack_discard` discards it, and the queue has no dead-letter exchange",
            ),
            Self::AtMostOnce { .. } => formatter.write_str(
                "what the broker itself dead-letters may be lost on the way: it does so at most once",
            ),
            Self::LimitBelowAttempts { limit, attempts } => write!(
                formatter,
                "the queue's delivery limit of {limit}, to which lost sessions count too, may end a message before its {attempts} attempts do"
            ),
            Self::LimitOff => formatter.write_str(
                "the queue has no delivery limit: a message at which this daemon itself fails would come again for ever",
            ),
            Self::LimitDrops(limit) => write!(
                formatter,
                "a message whose delivery failed more than {limit} times, lost sessions and before RabbitMQ 4.3 drains and holds included, is dropped by the queue, which has no dead-letter exchange"
            ),
            Self::AttemptsUncounted => formatter.write_str(
                "a classic queue does not tell how often a message failed: `retry.attempts` has no effect, and a message that always fails goes round for ever",
            ),
            Self::ConsumerTimeout { limit, held } => write!(
                formatter,
                "messages may be held for {} s, and the queue's consumer timeout of {} s ends the session over it, which counts against all that are held",
                held.as_secs(),
                limit.as_secs()
            ),
            Self::NotDurable => formatter.write_str(
                "the queue is not durable, whatever the file says: a restart of the broker deletes it with its messages",
            ),
            Self::AutoDelete => formatter.write_str(
                "the queue is deleted with its messages when its last consumer leaves, as a long hold makes it do",
            ),
            Self::Expires(after) => write!(
                formatter,
                "a policy deletes the queue with its messages after {} s without a consumer, as a long hold or an outage leaves it",
                after.as_secs()
            ),
            Self::Mirrored => formatter.write_str(
                "a classic mirrored queue may lose messages when a node fails, and RabbitMQ 4 has none",
            ),
            Self::LargeWindow(window) => write!(
                formatter,
                "a window of {window} is more than the 2000 that a quorum queue gives even without a limit: all that is held counts as failed when a session is lost"
            ),
            Self::QueueUnknown => formatter.write_str(
                "the queue is not declared here: its limits and policies are not known",
            ),
        }
    }
}

fn name(kind: QueueType) -> &'static str {
    match kind {
        QueueType::Classic => "classic",
        QueueType::Quorum => "quorum",
        QueueType::Stream => "stream",
    }
}
