//! All queues on one thread, each with its requests in flight as one set of futures.

use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

use super::client::Client;
use super::consumer::{Consumer, Stop, ack, nack, parts};
use crate::Failure;
use crate::acks::Acks;
use crate::contestant::Job;

/// How messages are acked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acking {
    Each,
    Coalesced,
}

/// Until SIGTERM.
pub async fn run(job: &Job, client: impl Client + 'static, acking: Acking) -> Result<(), Failure> {
    LocalSet::new().run_until(run_here(job, Rc::new(client), acking)).await
}

async fn run_here(
    job: &Job,
    client: Rc<impl Client + 'static>,
    acking: Acking,
) -> Result<(), Failure> {
    let mut stop = Stop::hear()?;
    let stopping = Rc::new(Notify::new());
    let mut queues = JoinSet::new();
    for queue in &job.queues {
        let consumer = Consumer::open(&job.broker_url, queue, job.window).await?;
        queues.spawn_local(forward(consumer, Rc::clone(&client), acking, Rc::clone(&stopping)));
    }
    tokio::select! {
        () = stop.wait() => stopping.notify_waiters(),
        Some(ended) = queues.join_next() => ended??,
    }
    while let Some(ended) = queues.join_next().await {
        ended??;
    }
    Ok(())
}

async fn forward(
    mut consumer: Consumer,
    client: Rc<impl Client>,
    acking: Acking,
    stopping: Rc<Notify>,
) -> Result<(), Failure> {
    let client = &*client;
    let mut in_flight = FuturesUnordered::new();
    let mut acks = Acks::new();
    let stopping = stopping.notified();
    tokio::pin!(stopping);
    let (mut is_stopping, mut is_at_end) = (false, false);
    while !is_at_end || !in_flight.is_empty() {
        tokio::select! {
            Some(result) = in_flight.next() => {
                settle(&consumer, &mut acks, acking, result).await?;
                // All that has come back together is acked together.
                while let Some(Some(result)) = in_flight.next().now_or_never() {
                    settle(&consumer, &mut acks, acking, result).await?;
                }
                let mut told = Vec::new();
                acks.flush(|tag, multiple| told.push((tag, multiple)));
                for (tag, multiple) in told {
                    ack(&consumer.channel, tag, multiple).await?;
                }
            }
            message = consumer.messages.recv(), if !is_at_end => {
                is_at_end = message.is_none();
                if let Some((tag, body)) = message.and_then(parts) {
                    acks.delivered();
                    in_flight.push(async move { (tag, client.send(body).await.unwrap_or(false)) });
                }
            }
            () = &mut stopping, if !is_stopping => {
                is_stopping = true;
                consumer.cancel().await?;
            }
        }
    }
    consumer.close().await
}

async fn settle(
    consumer: &Consumer,
    acks: &mut Acks,
    acking: Acking,
    (tag, is_delivered): (u64, bool),
) -> Result<(), Failure> {
    if !is_delivered {
        acks.settled(tag);
        return nack(&consumer.channel, tag).await;
    }
    match acking {
        Acking::Each => {
            acks.settled(tag);
            ack(&consumer.channel, tag, false).await
        }
        Acking::Coalesced => {
            acks.done(tag);
            Ok(())
        }
    }
}
