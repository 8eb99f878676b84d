//! A task for each message, on a runtime of several threads.

use std::sync::Arc;

use amqprs::channel::{Channel, ConsumerMessage};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::Reqwest;
use super::consumer::{Consumer, Stop, ack, nack, parts};
use crate::Failure;
use crate::contestant::Job;

/// Until SIGTERM.
pub async fn run(job: &Job) -> Result<(), Failure> {
    let mut stop = Stop::hear()?;
    let client = Reqwest::new(&job.sink_url)?;
    let stopping = Arc::new(Notify::new());
    let mut queues = JoinSet::new();
    for queue in &job.queues {
        let consumer = Consumer::open(&job.broker_url, queue, job.window).await?;
        queues.spawn(forward(consumer, client.clone(), Arc::clone(&stopping)));
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
    client: Reqwest,
    stopping: Arc<Notify>,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    let stopping = stopping.notified();
    tokio::pin!(stopping);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            message = consumer.messages.recv() => match message {
                Some(message) => {
                    tasks.spawn(deliver(client.clone(), consumer.channel.clone(), message));
                }
                None => break,
            },
            Some(ended) = tasks.join_next() => ended??,
            () = &mut stopping, if !is_stopping => {
                is_stopping = true;
                consumer.cancel().await?;
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    consumer.close().await
}

async fn deliver(
    client: Reqwest,
    channel: Channel,
    message: ConsumerMessage,
) -> Result<(), Failure> {
    let Some((tag, body)) = parts(message) else {
        return Ok(());
    };
    if client.post(body).await.unwrap_or(false) {
        ack(&channel, tag, false).await
    } else {
        nack(&channel, tag).await
    }
}
