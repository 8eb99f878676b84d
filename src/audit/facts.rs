//! What is known of a broker and of an agent's queue.

use std::collections::BTreeMap;

use crate::broker::Server;
use crate::config::definition::{Argument, Declare, QueueType, Source};

/// What is known of a broker and of an agent's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What the broker says that it is.
    pub server: Server,
    /// The queue.
    pub queue: QueueFacts,
}

/// What is known of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFacts {
    /// How it is known.
    pub known: Known,
    /// `None` where it is the broker's choice.
    pub kind: Option<QueueType>,
    /// Survives a broker restart.
    pub durable: bool,
    /// Deleted when its last consumer leaves.
    pub auto_delete: bool,
    /// What it was declared with.
    pub arguments: BTreeMap<String, Argument>,
    /// What policies add, without the `x-` of arguments.
    pub policy: BTreeMap<String, Argument>,
    /// The delivery limit that is in force, where the broker tells it; negative is none.
    pub delivery_limit: Option<i64>,
}

/// How a queue is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Not at all: it is not declared by us.
    Not,
    /// By what we declare; a policy may say otherwise.
    Declared,
    /// By RabbitMQ's management interface, policies included.
    LookedUp,
}

impl QueueFacts {
    /// What the agent file alone tells.
    #[must_use]
    pub fn declared(source: &Source) -> Self {
        let known = match source.declare {
            Declare::Create => Known::Declared,
            Declare::Passive | Declare::Skip => Known::Not,
        };
        Self {
            known,
            kind: source.queue.queue_type,
            durable: source.queue.durable,
            auto_delete: source.queue.auto_delete,
            arguments: source.queue.arguments.clone(),
            policy: BTreeMap::new(),
            delivery_limit: None,
        }
    }

    /// A text that is in force; an argument wins over a policy.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = |argument: &'_ Argument| matches!(argument, Argument::Text(_));
        let values = [self.arguments.get(&format!("x-{name}")), self.policy.get(name)];
        let value = values.into_iter().flatten().find(|value| text(value))?;
        match value {
            Argument::Text(text) => Some(text),
            Argument::Boolean(_) | Argument::Integer(_) => None,
        }
    }

    /// A limit that is in force: of argument and policy the lower one.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        let values = [self.arguments.get(&format!("x-{name}")), self.policy.get(name)];
        let numbers = values.into_iter().flatten().filter_map(|value| match value {
            Argument::Integer(number) => Some(*number),
            Argument::Boolean(_) | Argument::Text(_) => None,
        });
        numbers.min()
    }

    /// The exchange that the broker itself dead-letters to.
    #[must_use]
    pub fn dead_letter_exchange(&self) -> Option<&str> {
        self.text("dead-letter-exchange")
    }

    /// Whether the broker's own dead letters are confirmed before they leave the queue.
    #[must_use]
    pub fn dead_letters_at_least_once(&self) -> bool {
        self.text("dead-letter-strategy") == Some("at-least-once")
            && self.text("overflow") == Some("reject-publish")
    }
}

impl Facts {
    /// How many failed deliveries end a message; `Err` where the queue has no such limit, `None`
    /// where it is of a kind that has none, or of an unknown one.
    #[must_use]
    pub fn delivery_limit(&self) -> Option<Result<u64, NoLimit>> {
        /// Of a quorum queue that states none, since RabbitMQ 4.0.
        const DEFAULT: i64 = 20;
        if self.queue.kind != Some(QueueType::Quorum) || self.queue.known == Known::Not {
            return None;
        }
        let stated = self.queue.delivery_limit.or_else(|| self.stated_limit());
        let default = self.server.is_rabbitmq_since(4, 0).then_some(DEFAULT);
        let limit = stated.or(default);
        Some(limit.and_then(|limit| u64::try_from(limit).ok()).ok_or(NoLimit))
    }

    /// A negative one is none, and so above any other.
    fn stated_limit(&self) -> Option<i64> {
        let argument = self.queue.arguments.get("x-delivery-limit");
        let values = [argument, self.queue.policy.get("delivery-limit")];
        let numbers = values.into_iter().flatten().filter_map(|value| match value {
            Argument::Integer(number) => Some(*number),
            Argument::Boolean(_) | Argument::Text(_) => None,
        });
        numbers.min_by_key(|number| u64::try_from(*number).unwrap_or(u64::MAX))
    }
}

/// A quorum queue that hands a message out for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLimit;
