//! Where copies go: queues that we declare, and exchanges that have to be there.

use std::collections::BTreeMap;
use std::time::Duration;

use amqprs::channel::{Channel, ExchangeDeclareArguments, QueueDeclareArguments};
use amqprs::{FieldTable, FieldValue};
use tokio::sync::watch;

use super::connection::Link;
use super::known::Need;
use super::progress::{self, Progress};
use super::{Copy, CopyQueue};
use crate::broker::arguments;
use crate::broker::closing::Closing;
use crate::broker::ended::Ended;
use crate::broker::server::Server;
use crate::config::definition::QueueType;

/// Sees to it that what `copy` goes to is there, as far as this connection does not know it yet.
///
/// Each question has a channel of its own: the broker closes the one on which it refuses, and no
/// copy that waits for its confirm is to suffer for that.
pub(super) async fn ready(
    link: &Link,
    copy: &Copy,
    progress: &watch::Sender<Progress>,
) -> Result<(), Ended> {
    let exchange = (!copy.exchange.is_empty()).then(|| Need::Exchange(copy.exchange.clone()));
    for need in exchange.into_iter().chain(copy.queue.clone().map(Need::Queue)) {
        if let Some(told) = link.known.get(&need) {
            told?;
            continue;
        }
        let told = progress::ask(progress, ask(link, &need)).await;
        if let Ok(()) | Err(Ended::ChannelClosed { .. }) = told {
            link.known.tell(need, told.clone());
        }
        told?;
    }
    Ok(())
}

async fn ask(link: &Link, need: &Need) -> Result<(), Ended> {
    match need {
        Need::Exchange(name) => on_own_channel(link, Question::Exchange(name)).await,
        Need::Queue(queue) => match on_own_channel(link, Question::Queue(queue, false)).await {
            // A queue that just keeps what it gets may be there as somebody else made it.
            Err(Ended::ChannelClosed { code: 403 | 406, .. }) if queue.delay.is_none() => {
                on_own_channel(link, Question::Queue(queue, true)).await
            }
            told => told,
        },
    }
}

/// What is asked of the broker.
enum Question<'a> {
    Exchange(&'a str),
    /// To make it, or only whether it is there.
    Queue(&'a CopyQueue, bool),
}

async fn on_own_channel(link: &Link, question: Question<'_>) -> Result<(), Ended> {
    let closing = Closing::default();
    let channel = link.open_channel(&closing, closing.clone()).await?;
    let told = put(link, &closing, channel.clone(), question).await;
    if let Err(Ended::ChannelClosed { .. }) = told {
        link.lost_channel();
    }
    // The library closes it behind us, if it is still open.
    drop(channel);
    told
}

async fn put(
    link: &Link,
    closing: &Closing,
    channel: Channel,
    question: Question<'_>,
) -> Result<(), Ended> {
    match question {
        Question::Exchange(name) => {
            // Nothing but the name counts when it is passive.
            let arguments = ExchangeDeclareArguments::new(name, "direct").passive(true).finish();
            let asked = async move { channel.exchange_declare(arguments).await };
            link.call("exchange.declare", closing, asked).await
        }
        Question::Queue(queue, passive) => {
            let arguments = declaration(queue, &link.server).passive(passive).finish();
            let asked = async move { channel.queue_declare(arguments).await };
            link.call("queue.declare", closing, asked).await.map(|_| ())
        }
    }
}

fn declaration(queue: &CopyQueue, server: &Server) -> QueueDeclareArguments {
    let arguments = table(queue, server);
    QueueDeclareArguments::new(&queue.name).durable(true).arguments(arguments).finish()
}

/// The arguments of a queue for copies.
///
/// Since RabbitMQ 4.0 a quorum queue drops a message that was given back 20 times, unless told
/// otherwise: a dead letter that somebody looks at again and again is to stay.
///
/// A delay queue of quorum kind hands its messages on only when the next queue has confirmed
/// them, which RabbitMQ allows only where a full queue refuses what comes.
pub(in crate::broker) fn table(queue: &CopyQueue, server: &Server) -> FieldTable {
    let mut table = arguments::table(&BTreeMap::new());
    let mut set = |name: &str, value: FieldValue| arguments::insert(&mut table, name, value);
    set("x-queue-type", arguments::queue_type(queue.kind));
    if queue.kind == QueueType::Quorum && queue.delay.is_none() && server.is_rabbitmq_since(4, 0) {
        set("x-delivery-limit", FieldValue::l(-1));
    }
    if let Some((delay, next)) = &queue.delay {
        set("x-message-ttl", FieldValue::l(milliseconds(*delay)));
        set("x-dead-letter-exchange", FieldValue::from(""));
        set("x-dead-letter-routing-key", FieldValue::from(next.as_str()));
        match queue.kind {
            QueueType::Quorum => {
                set("x-dead-letter-strategy", FieldValue::from("at-least-once"));
                set("x-overflow", FieldValue::from("reject-publish"));
            }
            // They have no such strategy.
            QueueType::Classic | QueueType::Stream => {}
        }
    }
    table
}

fn milliseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}
