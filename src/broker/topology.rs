//! What a session declares before it consumes.

use amqprs::channel::{
    Channel, ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments,
};

use super::arguments;
use super::closing::Closing;
use super::ended::Ended;
use super::rpc;
use crate::config::definition::{Declare, Exchange, Queue, Source};

/// Declares what `source.declare` says, in KrakenD's order: exchange, queue, bindings.
///
/// Never with `no_wait`: an error would surface later and without its reason.
pub(super) async fn declare(
    channel: &Channel,
    closing: &Closing,
    source: &Source,
) -> Result<(), Ended> {
    let passive = match source.declare {
        Declare::Create => false,
        Declare::Passive => true,
        Declare::Skip => return Ok(()),
    };
    if let Some(exchange) = &source.exchange {
        declare_exchange(channel, closing, exchange, passive).await?;
    }
    declare_queue(channel, closing, &source.queue, passive).await?;
    let Some(exchange) = source.exchange.as_ref().filter(|_| !passive) else {
        return Ok(());
    };
    for topic in &source.topics {
        let arguments = QueueBindArguments::new(&source.queue.name, &exchange.name, topic);
        let bound = channel.clone();
        rpc::call("queue.bind", closing, async move { bound.queue_bind(arguments).await }).await?;
    }
    Ok(())
}

pub(super) async fn declare_exchange(
    channel: &Channel,
    closing: &Closing,
    exchange: &Exchange,
    passive: bool,
) -> Result<(), Ended> {
    // RabbitMQ lets nobody declare `amq.*` (403), but all of them exist.
    let passive = passive || exchange.name.starts_with("amq.");
    let arguments = ExchangeDeclareArguments::new(&exchange.name, &exchange.exchange_type)
        .passive(passive)
        .durable(exchange.durable)
        .auto_delete(exchange.auto_delete)
        .arguments(arguments::table(&exchange.arguments))
        .finish();
    let channel = channel.clone();
    rpc::call("exchange.declare", closing, async move { channel.exchange_declare(arguments).await })
        .await
}

pub(super) async fn declare_queue(
    channel: &Channel,
    closing: &Closing,
    queue: &Queue,
    passive: bool,
) -> Result<(), Ended> {
    let mut table = arguments::table(&queue.arguments);
    if let Some(kind) = queue.queue_type {
        arguments::insert(&mut table, "x-queue-type", arguments::queue_type(kind));
    }
    let arguments = QueueDeclareArguments::new(&queue.name)
        .passive(passive)
        .durable(queue.durable)
        .auto_delete(queue.auto_delete)
        .exclusive(queue.exclusive)
        .arguments(table)
        .finish();
    let channel = channel.clone();
    rpc::call("queue.declare", closing, async move { channel.queue_declare(arguments).await })
        .await
        .map(|_| ())
}
