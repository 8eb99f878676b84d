//! Takes single messages out of a queue, each by a question of its own.
//!
//! A consumer is sent as many messages as its window holds; this one gets just what it asks for,
//! and leaves the rest of the queue as it is.

use std::time::Duration;

use amqprs::channel::{
    BasicAckArguments, BasicGetArguments, BasicNackArguments, Channel, GetMessage,
    QueueDeclareArguments,
};
use amqprs::connection::Connection;
use amqprs::error::Error;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::closing::Closing;
use super::ended::Ended;
use super::properties::Properties;
use super::server::Server;
use super::{login, rpc};
use crate::config::definition::BrokerAddress;
use crate::delivery::{Delivery, Message};

/// The longest wait for room in the connection's queue of outgoing frames.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// The most messages that a classic queue is given back one by one.
///
/// RabbitMQ takes each that was asked for singly as a settlement of its own, and a classic queue
/// searches all that are held for each: the square of their number, in which it answers nobody. When a
/// channel is closed it takes all of them back in one step.
const NACKS_MAX: usize = 1000;

/// Takes messages out of one queue, on a connection of its own.
///
/// What it took and did not ack is the queue's again when it [leaves](Self::leave) or is dropped.
pub struct Taker {
    server: Server,
    connection: Connection,
    channel: Channel,
    closing: Closing,
    queue: String,
    held: usize,
    /// The question that is under way.
    question: JoinSet<Result<Option<GetMessage>, Error>>,
    asked_at: Instant,
}

impl Taker {
    /// Connects to `address` as `name`, and says how many messages wait in `queue`, which has to
    /// be there.
    ///
    /// # Errors
    /// Why not, in the broker's words where it said any.
    pub async fn open(
        address: &BrokerAddress,
        queue: &str,
        name: &str,
    ) -> Result<(Self, u32), Ended> {
        let connection = login::login(address, name).await?;
        let server = Server::of(&connection);
        let closing = Closing::default();
        let (watched, callback) = (connection.clone(), closing.clone());
        let registering = async move { watched.register_callback(callback).await };
        rpc::call("connection.open", &closing, registering).await?;
        let opener = connection.clone();
        let opening = async move { opener.open_channel(None).await };
        let channel = rpc::call("channel.open", &closing, opening).await?;
        let (watched, callback) = (channel.clone(), closing.clone());
        let registering = async move { watched.register_callback(callback).await };
        rpc::call("channel.open", &closing, registering).await?;
        let asked = channel.clone();
        let arguments = QueueDeclareArguments::new(queue).passive(true).finish();
        let asking = async move { asked.queue_declare(arguments).await };
        let told = rpc::call("queue.declare", &closing, asking).await?;
        let taker = Self {
            server,
            connection,
            channel,
            closing,
            queue: queue.to_owned(),
            held: 0,
            question: JoinSet::new(),
            asked_at: Instant::now(),
        };
        // Without an answer only where none was asked for.
        Ok((taker, told.map_or(0, |(_, messages, _)| messages)))
    }

    /// What the broker says that it is.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Takes the next message; `None` when none waits. Cancel-safe: what was asked for and not
    /// waited for comes the next time.
    ///
    /// # Errors
    /// Why the session ended; it is of no use afterwards.
    pub async fn take(&mut self) -> Result<Option<Delivery>, Ended> {
        if self.question.is_empty() {
            let arguments = BasicGetArguments::new(&self.queue);
            let channel = self.channel.clone();
            self.asked_at = Instant::now();
            self.question.spawn(async move { channel.basic_get(arguments).await });
        }
        self.answer().await
    }

    /// Tells the broker that a message is done with.
    ///
    /// # Errors
    /// When the session has ended: the broker hands the message out again.
    pub async fn ack(&mut self, delivery: Delivery) -> Result<(), Ended> {
        let acking = self.channel.basic_ack(BasicAckArguments::new(delivery.tag, false));
        delivery.abandon();
        // To settle on a channel that the broker has closed would cost the whole connection.
        if !self.channel.is_open() || !self.connection.is_open() {
            return Err(self.closing.reason());
        }
        match tokio::time::timeout(SETTLE_MAX, acking).await {
            Ok(sent) => sent.map_err(|_| self.closing.reason()),
            Err(_) => Err(Ended::Unresponsive { what: "an ack", waited: SETTLE_MAX }),
        }
    }

    /// Keeps a message from everybody until the end.
    pub fn hold(&mut self, delivery: Delivery) {
        self.held += 1;
        delivery.abandon();
    }

    /// Gives back all that was taken and not acked, in its order, and leaves; waits for as long as the
    /// connection lives.
    ///
    /// From a queue that `counts` deliveries, as quorum queues do, as uncounted as its release knows
    /// how; where that is not known, up to a number.
    ///
    /// # Errors
    /// When the broker did not confirm that it heard everything that it was told.
    pub async fn leave(mut self, counts: bool) -> Result<(), Ended> {
        if !self.question.is_empty()
            && let Some(delivery) = self.answer().await?
        {
            delivery.abandon();
        }
        if !self.channel.is_open() || !self.connection.is_open() {
            return Err(self.closing.reason());
        }
        let closing = self.closing.clone();
        let nacks = counts || self.held <= NACKS_MAX;
        let leaving = async move {
            if nacks {
                // Tag 0 stands for all (AMQP 0-9-1 section 1.8.3.13, and RabbitMQ's page on nack).
                self.channel.basic_nack(BasicNackArguments::new(0, true, true)).await?;
            }
            self.channel.close().await?;
            self.connection.close().await
        };
        // A quorum queue that is given back much takes its time.
        rpc::call_patiently(&closing, leaving).await
    }

    /// Waits for the answer to the question that is under way.
    async fn answer(&mut self) -> Result<Option<Delivery>, Ended> {
        let give_up_at = self.asked_at + rpc::ANSWER_MAX;
        match tokio::time::timeout_at(give_up_at, self.question.join_next()).await {
            Ok(Some(answer)) => {
                let taken = rpc::answered(answer, &self.closing)?;
                Ok(taken.map(delivery))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(Ended::Unresponsive { what: "basic.get", waited: rpc::ANSWER_MAX }),
        }
    }
}

fn delivery((got, properties, body): GetMessage) -> Delivery {
    let message = Message {
        exchange: got.exchange().clone(),
        routing_key: got.routing_key().clone(),
        redelivered: got.redelivered(),
        properties: Properties(properties),
        body: Bytes::from(body),
    };
    Delivery::new(got.delivery_tag(), message)
}
