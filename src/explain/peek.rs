//! The first message of an agent's queue, taken and given back.
//!
//! The only part of `explain` that asks a broker.

use std::fmt;
use std::time::Duration;

use crate::broker::{Ended, NotSafe, Publisher, Server, Taker};
use crate::config::definition::{AgentDefinition, Argument, QueueType};
use crate::copies;
use crate::delivery::{Field, Message};

/// RabbitMQ's own delivery limit of a quorum queue, since 4.0.
const DELIVERY_LIMIT: i64 = 20;

/// How often a copy is published that is to save a message, and how long the message is kept
/// between two tries.
const TRIES_MAX: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Debug, Clone)]
pub struct Peeked {
    /// The message, as it was taken.
    pub message: Message,
    /// What is to be said of it.
    pub note: Option<String>,
}

/// Why there is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMessage {
    /// Nothing can be taken out of a stream and given back.
    Stream,
    /// The queue is empty, or what is in it is held by consumers.
    Empty(String),
    /// Each broker, and why it could not be asked.
    Unreachable(Vec<(String, Ended)>),
    /// The connection ended before the message was given back: the broker has it again.
    Lost(Ended),
    /// It could not be given back without being dropped, and its copy is not safe. The broker has it again.
    NotSafe(NotSafe),
}

impl fmt::Display for NoMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => formatter.write_str(
                "a stream gives no single message away (basic.get); name one by --message FILE",
            ),
            Self::Empty(queue) => write!(
                formatter,
                "no message is waiting in `{queue}`; those that a consumer holds cannot be looked at"
            ),
            Self::Unreachable(reasons) => {
                let reasons: Vec<_> =
                    reasons.iter().map(|(at, reason)| format!("{at}: {reason}")).collect();
                write!(formatter, "no broker could be asked: {}", reasons.join("; "))
            }
            Self::Lost(reason) => {
                write!(
                    formatter,
                    "the connection ended, the message is the queue's again: {reason}"
                )
            }
            Self::NotSafe(reason) => write!(
                formatter,
                "the message was handed out so often that giving it back would end it, and the copy that was to take its place is not safe: {reason}"
            ),
        }
    }
}

/// Takes the first message of the queue of `definition` and gives it back.
///
/// Where the queue would end a message that is given back once more, a copy takes its place, made
/// as `redrive` makes it: the message itself is acked only when the broker has confirmed that.
///
/// # Errors
///
/// Why there is none to show.
pub async fn peek(
    definition: &AgentDefinition,
    publisher: impl FnOnce() -> Publisher,
) -> Result<Peeked, NoMessage> {
    let queue = &definition.source.queue;
    if queue.queue_type == Some(QueueType::Stream) {
        return Err(NoMessage::Stream);
    }
    let name = format!("amqp-agentd.explain.{}.{}", definition.name, std::process::id());
    let mut reasons = Vec::new();
    for address in &definition.source.brokers {
        match Taker::open(address, &queue.name, &name).await {
            Ok((taker, _)) => return look(definition, taker, publisher).await,
            Err(reason) => reasons.push((format!("{}:{}", address.host, address.port), reason)),
        }
    }
    Err(NoMessage::Unreachable(reasons))
}

async fn look(
    definition: &AgentDefinition,
    mut taker: Taker,
    publisher: impl FnOnce() -> Publisher,
) -> Result<Peeked, NoMessage> {
    let queue = &definition.source.queue.name;
    let Some(delivery) = taker.take().await.map_err(NoMessage::Lost)? else {
        taker.leave(false).await.ok();
        return Err(NoMessage::Empty(queue.clone()));
    };
    let message = delivery.message().clone();
    let (server, count) = (taker.server().clone(), count(&message));
    let limit = limit(definition, &server);
    let is_at_the_edge = limit.is_some_and(|limit| count >= limit);
    if !is_at_the_edge {
        taker.hold(delivery);
        taker.leave(true).await.map_err(NoMessage::Lost)?;
        return Ok(Peeked { message, note: counted(definition, &server, count) });
    }
    let publisher = publisher();
    let mut tries = 1;
    while let Err(reason) = publisher.publish(copies::afresh(&message, queue, false)).await {
        if tries == TRIES_MAX {
            // Unsettled it is the broker's again, and counted: to keep it longer mends nothing.
            delivery.abandon();
            return Err(NoMessage::NotSafe(reason));
        }
        tries += 1;
        tokio::time::sleep(TRY_AGAIN).await;
    }
    taker.ack(delivery).await.map_err(NoMessage::Lost)?;
    taker.leave(true).await.map_err(NoMessage::Lost)?;
    let note = format!(
        "it was given back {count} times, and the queue would have ended it the next time: a copy took its place, at the end of `{queue}`, with all its attempts"
    );
    Ok(Peeked { message, note: Some(note) })
}

/// How often the queue counted it as given back.
fn count(message: &Message) -> i64 {
    match message.properties.header("x-delivery-count") {
        Some(Field::Integer(count)) => count,
        Some(_) | None => 0,
    }
}

/// How often a message may be given back, as far as is known, where looking at it counts. A classic
/// queue counts nothing, and RabbitMQ since 4.3 only what failed.
fn limit(definition: &AgentDefinition, server: &Server) -> Option<i64> {
    if server.is_rabbitmq_since(4, 3) {
        return None;
    }
    match definition.source.queue.arguments.get("x-delivery-limit") {
        Some(Argument::Integer(limit)) => Some(*limit).filter(|limit| *limit >= 0),
        // A policy may have set another one; a queue that counts may be of any kind by the file.
        Some(Argument::Boolean(_) | Argument::Text(_)) | None => {
            server.is_rabbitmq_since(4, 0).then_some(DELIVERY_LIMIT)
        }
    }
}

/// What looking at it has cost.
fn counted(definition: &AgentDefinition, server: &Server, count: i64) -> Option<String> {
    let may_count = definition.source.queue.queue_type == Some(QueueType::Quorum) || count > 0;
    (may_count && !server.is_rabbitmq_since(4, 3)).then(|| {
        format!(
            "{server} counts this look as a delivery: {} now; see that the queue's delivery limit is well above",
            count + 1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition::tests::definition;

    #[test]
    fn a_limit_counts_where_a_look_does() {
        let limit = |version: &str, stated: Option<i64>| {
            let mut definition = definition("orders");
            let arguments = &mut definition.source.queue.arguments;
            arguments.extend(
                stated.map(|limit| ("x-delivery-limit".to_owned(), Argument::Integer(limit))),
            );
            let server = Server { product: "RabbitMQ".to_owned(), version: version.to_owned() };
            super::limit(&definition, &server)
        };
        for (version, stated, expected) in [
            ("3.10.8", None, None),
            ("3.10.8", Some(5), Some(5)),
            ("3.10.8", Some(-1), None),
            ("4.0.1", None, Some(20)),
            ("4.2.0", Some(7), Some(7)),
            ("4.2.0", Some(-1), None),
            ("4.3.6", None, None),
            ("4.3.6", Some(1), None),
        ] {
            assert_eq!(limit(version, stated), expected, "{version} {stated:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_is_refused_before_anybody_is_asked() {
        let mut definition = definition("orders");
        definition.source.queue.queue_type = Some(QueueType::Stream);
        let peeked = peek(&definition, || unreachable!("nothing is published")).await;
        assert_eq!(peeked.unwrap_err(), NoMessage::Stream);
    }
}
