//! What keeps an agent from working at a broker at all, as the broker said when asked.

use std::fmt;

use super::finding::Weight;
use crate::broker::{Answer, CopyQueue, Inspection};
use crate::config::definition::{AgentDefinition, DeadLetter, Declare};

/// What keeps an agent from working, or will unless it is mended by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not there.
    Missing {
        /// What.
        what: What,
        /// The agent declares it when it starts.
        declared: bool,
    },
    /// The broker refuses it.
    Refused {
        /// What.
        what: What,
        /// The reply code.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// The broker takes nothing that is published for now.
    Alarm,
}

/// What an agent asks a broker for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Its queue.
    Queue,
    /// Its exchange.
    Exchange,
    /// The queue of this name, for retries.
    RetryQueue(String),
    /// Copies, published to queues by the default exchange.
    Copies,
    /// The queue of this name, for dead letters.
    DeadLetterQueue(String),
    /// The exchange of this name, for dead letters.
    DeadLetterExchange(String),
}

/// What stands in the way of an agent that starts now.
#[must_use]
pub fn obstacles(definition: &AgentDefinition, inspection: &Inspection) -> Vec<Obstacle> {
    let declares = definition.source.declare == Declare::Create;
    let exchange = inspection.exchange.as_ref().map(|said| (What::Exchange, said, declares));
    let queue = (What::Queue, &inspection.queue, declares);
    let target = definition.dead_letter.as_ref().zip(inspection.dead_letter.as_ref());
    let dead_letter = target.map(|(target, said)| (dead_letter(target), said, false));
    let publishing = inspection.publishing.as_ref().map(|said| (What::Copies, said, false));
    let copies = inspection.copies.iter().map(|(queue, said)| (copy_queue(queue), said, true));
    let asked = [exchange, Some(queue), dead_letter, publishing].into_iter().flatten();
    let asked = asked.chain(copies);
    let alarm = inspection.has_alarm.then_some(Obstacle::Alarm);
    asked.filter_map(|(what, said, declared)| obstacle(what, said, declared)).chain(alarm).collect()
}

fn dead_letter(target: &DeadLetter) -> What {
    match &target.routing_key {
        Some(queue) if target.exchange.is_empty() => What::DeadLetterQueue(queue.clone()),
        Some(_) | None => What::DeadLetterExchange(target.exchange.clone()),
    }
}

fn copy_queue(queue: &CopyQueue) -> What {
    let name = queue.name.clone();
    if queue.delay.is_some() { What::RetryQueue(name) } else { What::DeadLetterQueue(name) }
}

fn obstacle(what: What, said: &Answer, declared: bool) -> Option<Obstacle> {
    match said {
        Answer::Fine => None,
        Answer::Missing => Some(Obstacle::Missing { what, declared }),
        Answer::Refused { code, text } => {
            Some(Obstacle::Refused { what, code: *code, text: text.clone() })
        }
    }
}

impl Obstacle {
    /// How much it matters.
    pub(super) fn weight(&self) -> Weight {
        match self {
            // 405: in exclusive use, of the daemon whose files these are perhaps.
            Self::Missing { declared: true, .. } | Self::Refused { code: 405, .. } => Weight::Note,
            Self::Alarm => Weight::Warning,
            Self::Missing { declared: false, .. } | Self::Refused { .. } => Weight::Error,
        }
    }

    /// As [`Finding::keys`](super::Finding::keys).
    pub(super) fn keys(&self) -> &'static [&'static [&'static str]] {
        let (Self::Missing { what, .. } | Self::Refused { what, .. }) = self else {
            return &[&["async/amqp", "host"]];
        };
        match what {
            What::Queue => &[&["async/amqp", "name"]],
            What::Exchange => &[&["async/amqp", "exchange"]],
            What::RetryQueue(_) => &[&["retry", "strategy"], &["retry", "delays"]],
            What::Copies => &[&["retry", "strategy"], &["dead_letter", "queue"]],
            What::DeadLetterQueue(_) | What::DeadLetterExchange(_) => &[
                &["dead_letter", "queue"],
                &["dead_letter", "exchange"],
                &["async/amqp", "arguments", "x-dead-letter-exchange"],
            ],
        }
    }

    /// As [`Finding::remedy`](super::Finding::remedy).
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Missing { declared: true, .. } => "it is declared when the agent starts",
            Self::Missing { what, .. } => match what {
                What::Queue => "declare it, mend the name, or set `declare = \"create\"`",
                What::Exchange => "declare it, mend the name, or remove `exchange`",
                What::RetryQueue(_) | What::Copies => "declare it",
                What::DeadLetterQueue(_) | What::DeadLetterExchange(_) => {
                    "declare it, or name another in [dead_letter]"
                }
            },
            Self::Refused { code: 403, .. } => {
                "give the user the permission, see `rabbitmqctl set_permissions`"
            }
            Self::Refused { code: 405, .. } => "nothing, if it is the running daemon that uses it",
            Self::Refused { code: 406, what: What::RetryQueue(_), .. } => {
                "delete it when it is empty: it is not as it has to be, and is declared when needed"
            }
            Self::Refused { code: 406, .. } => {
                "let the file say what the broker has, or set `declare = \"passive\"`"
            }
            Self::Alarm => "see to its memory and its disk; all goes on when there is enough again",
            Self::Refused { .. } => "mend what the broker names",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, .. } => write!(formatter, "{what} does not exist")?,
            Self::Refused { what, code, text } => {
                write!(formatter, "the broker refuses {what}: {code} {text}")?;
            }
            Self::Alarm => formatter.write_str(
                "the broker answers nothing once a message was published, as during an alarm: copies wait, and with them the messages that fail",
            )?,
        }
        let (Self::Missing { what, .. } | Self::Refused { what, .. }) = self else {
            return Ok(());
        };
        match what {
            What::Queue | What::Exchange => Ok(()),
            What::RetryQueue(_)
            | What::Copies
            | What::DeadLetterQueue(_)
            | What::DeadLetterExchange(_) => {
                formatter.write_str(", so that messages that fail would be kept in the window")
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue => formatter.write_str("the queue"),
            Self::Exchange => formatter.write_str("the exchange"),
            Self::RetryQueue(name) => write!(formatter, "the queue `{name}` for retries"),
            Self::Copies => formatter.write_str("copies to queues, by the default exchange"),
            Self::DeadLetterQueue(name) => write!(formatter, "the queue `{name}` for dead letters"),
            Self::DeadLetterExchange(name) => {
                write!(formatter, "the exchange `{name}` for dead letters")
            }
        }
    }
}
