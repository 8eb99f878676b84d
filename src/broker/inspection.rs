//! Asks a broker whether an agent could work there, and changes nothing.

use std::time::Duration;

use amqprs::channel::{
    BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel, QueueDeclareArguments,
};
use amqprs::connection::Connection;
use amqprs::{BasicProperties, FieldTable, FieldValue};
use tokio::task::JoinSet;

use super::closing::Closing;
use super::ended::Ended;
use super::publisher::{self, CopyQueue};
use super::server::Server;
use super::{arguments, login, rpc, topology};
use crate::config::definition::{
    AgentDefinition, BrokerAddress, DeadLetter, Declare, Exchange, Queue, Source,
};
use crate::copies;

/// The longest wait for the broker when we leave.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// What a broker says to what an agent would ask of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it says that it is.
    pub server: Server,
    /// The exchange, where the agent asks for one.
    pub exchange: Option<Answer>,
    /// The queue: that it is there as declared, and may be consumed from.
    pub queue: Answer,
    /// The exchange or the queue that dead letters are published to and that is not ours to declare.
    /// `None` where there is none, or where this user may not ask.
    pub dead_letter: Option<Answer>,
    /// The queues for copies that are declared when first needed: whether they could be.
    pub copies: Vec<(CopyQueue, Answer)>,
    /// Whether copies may be published to queues; `None` where none are, or where the broker does
    /// not say.
    pub publishing: Option<Answer>,
    /// The broker answers nothing once a message was published, as it does while it has an alarm.
    pub has_alarm: bool,
}

/// What a broker says of an exchange or a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there, and as the agent needs it.
    Fine,
    /// 404.
    Missing,
    /// Any other reply code.
    Refused {
        /// Such as 403 or 406.
        code: u16,
        /// The reply text.
        text: String,
    },
}

impl Inspection {
    /// Logs in to `address` and asks.
    ///
    /// What is there is declared as the agent would, which changes nothing and tells whether it
    /// could; what is missing is not. Each call has its deadline.
    ///
    /// # Errors
    /// Why there is no connection, or no longer one.
    pub async fn of(address: &BrokerAddress, definition: &AgentDefinition) -> Result<Self, Ended> {
        let name = format!("amqp-agentd check {}", definition.name);
        let asking =
            Asking { connection: login::login(address, &name).await?, closing: Closing::default() };
        let inspection = asking.inspect(definition).await;
        asking.close().await;
        inspection
    }
}

/// A connection to ask on. An answer may close the channel, so each question has its own.
struct Asking {
    connection: Connection,
    closing: Closing,
}

impl Asking {
    async fn inspect(&self, definition: &AgentDefinition) -> Result<Inspection, Ended> {
        let (watched, callback) = (self.connection.clone(), self.closing.clone());
        rpc::call("connection.open", &self.closing, async move {
            watched.register_callback(callback).await
        })
        .await?;
        let server = Server::of(&self.connection);
        let source = &definition.source;
        let exchange = match (&source.exchange, source.declare) {
            (Some(exchange), Declare::Create | Declare::Passive) => {
                Some(self.exchange(exchange, source.declare).await?)
            }
            (Some(_), Declare::Skip) | (None, _) => None,
        };
        let queue = self.queue(source, &server).await?;
        let mut copies = Vec::new();
        for queue in copies::queues(definition) {
            let answer = self.copy_queue(&queue).await?;
            copies.push((queue, answer));
        }
        let dead_letter = match &definition.dead_letter {
            Some(target) if !target.declare => self.dead_letter(target, source).await?,
            Some(_) | None => None,
        };
        let to_queue = |target: &DeadLetter| target.exchange.is_empty();
        let publishes = !copies.is_empty() || definition.dead_letter.as_ref().is_some_and(to_queue);
        let publishing = if publishes { self.publishing().await? } else { None };
        let has_alarm = publishes && publishing.is_none();
        Ok(Inspection { server, exchange, queue, dead_letter, copies, publishing, has_alarm })
    }

    async fn exchange(&self, exchange: &Exchange, declare: Declare) -> Result<Answer, Ended> {
        let there = self.declared_exchange(exchange, true).await?;
        match (&there, declare) {
            (Answer::Fine, Declare::Create) => self.declared_exchange(exchange, false).await,
            (Answer::Fine | Answer::Missing | Answer::Refused { .. }, _) => Ok(there),
        }
    }

    async fn queue(&self, source: &Source, server: &Server) -> Result<Answer, Ended> {
        // Of another broker it is not known that it refuses the question.
        let there = if server.product == "RabbitMQ" {
            self.consumable(&source.queue).await?
        } else {
            self.declared_queue(&source.queue, true).await?
        };
        match (&there, source.declare) {
            (Answer::Fine, Declare::Create) => self.declared_queue(&source.queue, false).await,
            (Answer::Fine, Declare::Passive) => self.declared_queue(&source.queue, true).await,
            (Answer::Fine, Declare::Skip) | (Answer::Missing | Answer::Refused { .. }, _) => {
                Ok(there)
            }
        }
    }

    /// Whether a queue for copies could be declared, or is there as it would be.
    async fn copy_queue(&self, queue: &CopyQueue) -> Result<Answer, Ended> {
        let may = self.may_declare(queue).await?;
        let there = self
            .declared(&queue.name, publisher::table(queue, &Server::of(&self.connection)), true)
            .await?;
        match (may, there) {
            // One that just keeps what it gets may be as somebody else made it.
            (_, Answer::Fine) if queue.delay.is_none() => Ok(Answer::Fine),
            (Answer::Fine, Answer::Fine) => {
                self.declared(
                    &queue.name,
                    publisher::table(queue, &Server::of(&self.connection)),
                    false,
                )
                .await
            }
            (may, _) => Ok(may),
        }
    }

    /// Whether the queue may be declared, without declaring it: RabbitMQ looks at permissions first,
    /// and then refuses a length that is no number (406).
    async fn may_declare(&self, queue: &CopyQueue) -> Result<Answer, Ended> {
        let mut table = publisher::table(queue, &Server::of(&self.connection));
        arguments::insert(&mut table, "x-max-length", FieldValue::from("none"));
        match self.declared(&queue.name, table, false).await? {
            Answer::Refused { code: 406, .. } => Ok(Answer::Fine),
            answer @ (Answer::Fine | Answer::Missing | Answer::Refused { .. }) => Ok(answer),
        }
    }

    async fn declared(
        &self,
        name: &str,
        table: FieldTable,
        passive: bool,
    ) -> Result<Answer, Ended> {
        let (channel, closing) = self.channel().await?;
        let question = QueueDeclareArguments::new(name)
            .passive(passive)
            .durable(true)
            .arguments(table)
            .finish();
        let asked = async move { channel.queue_declare(question).await };
        self.answer(rpc::call("queue.declare", &closing, asked).await.map(|_| ()))
    }

    /// Whether copies may be published to queues: by a message that comes back, since there is no
    /// queue of its routing key.
    ///
    /// The last question: a broker with an alarm reads nothing any more.
    async fn publishing(&self) -> Result<Option<Answer>, Ended> {
        let (channel, closing) = self.channel().await?;
        let nobody = format!("amqp-agentd.check.{:016x}", fastrand::u64(..));
        let message = BasicPublishArguments::new("", &nobody).mandatory(true).finish();
        let asked = async move {
            channel.basic_publish(BasicProperties::default(), Vec::new(), message).await?;
            // Answered once the message has been looked at.
            channel.basic_qos(BasicQosArguments::new(0, 1, false)).await
        };
        match self.answer(rpc::call("basic.publish", &closing, asked).await) {
            Ok(answer) => Ok(Some(answer)),
            Err(Ended::Unresponsive { .. }) => Ok(None),
            Err(ended) => Err(ended),
        }
    }

    /// Whether messages can be published to `target`, as far as its being there tells.
    async fn dead_letter(
        &self,
        target: &DeadLetter,
        source: &Source,
    ) -> Result<Option<Answer>, Ended> {
        let answer = match &target.routing_key {
            Some(name) if target.exchange.is_empty() => {
                let queue = Queue { name: name.clone(), ..source.queue.clone() };
                self.declared_queue(&queue, true).await?
            }
            None if target.exchange.is_empty() => return Ok(None),
            Some(_) | None => {
                let exchange = Exchange {
                    name: target.exchange.clone(),
                    exchange_type: "topic".to_owned(),
                    durable: true,
                    auto_delete: false,
                    arguments: std::collections::BTreeMap::new(),
                };
                self.declared_exchange(&exchange, true).await?
            }
        };
        match answer {
            // To ask takes a permission on RabbitMQ 4 that publishing does not.
            Answer::Refused { code: 403, .. } => Ok(None),
            Answer::Fine | Answer::Missing | Answer::Refused { .. } => Ok(Some(answer)),
        }
    }

    /// Whether the queue is there and may be consumed from, without taking a message: RabbitMQ
    /// looks at name and permission first, and then refuses a priority that is no number (406).
    async fn consumable(&self, queue: &Queue) -> Result<Answer, Ended> {
        let (channel, closing) = self.channel().await?;
        // Should a broker accept it all the same, it is one message that comes, and goes back.
        let (limited, one) = (channel.clone(), BasicQosArguments::new(0, 1, false));
        let limited = async move { limited.basic_qos(one).await };
        rpc::call("basic.qos", &closing, limited).await?;
        let mut table = arguments::table(&std::collections::BTreeMap::new());
        arguments::insert(&mut table, "x-priority", FieldValue::from("none"));
        let consume = BasicConsumeArguments::new(&queue.name, "amqp-agentd check")
            .manual_ack(true)
            .arguments(table)
            .finish();
        let asked = async move { channel.basic_consume_rx(consume).await };
        let answer = rpc::call("basic.consume", &closing, asked).await.map(|_| ());
        match self.answer(answer)? {
            Answer::Refused { code: 406, .. } => Ok(Answer::Fine),
            answer @ (Answer::Fine | Answer::Missing | Answer::Refused { .. }) => Ok(answer),
        }
    }

    async fn declared_queue(&self, queue: &Queue, passive: bool) -> Result<Answer, Ended> {
        let (channel, closing) = self.channel().await?;
        self.answer(topology::declare_queue(&channel, &closing, queue, passive).await)
    }

    async fn declared_exchange(&self, exchange: &Exchange, passive: bool) -> Result<Answer, Ended> {
        let (channel, closing) = self.channel().await?;
        self.answer(topology::declare_exchange(&channel, &closing, exchange, passive).await)
    }

    async fn channel(&self) -> Result<(Channel, Closing), Ended> {
        let (opener, closing) = (self.connection.clone(), Closing::default());
        let opening = async move { opener.open_channel(None).await };
        let channel = rpc::call("channel.open", &self.closing, opening).await?;
        let (watched, callback) = (channel.clone(), closing.clone());
        let registered = async move { watched.register_callback(callback).await };
        rpc::call("channel.open", &self.closing, registered).await?;
        Ok((channel, closing))
    }

    /// Reads an answer: a channel that is closed is one, a connection that ends is none.
    fn answer(&self, answer: Result<(), Ended>) -> Result<Answer, Ended> {
        match answer {
            Ok(()) => Ok(Answer::Fine),
            Err(Ended::ChannelClosed { code: 404, .. }) => Ok(Answer::Missing),
            Err(Ended::ChannelClosed { code, text }) => Ok(Answer::Refused { code, text }),
            Err(_) if self.closing.is_known() => Err(self.closing.reason()),
            Err(ended) => Err(ended),
        }
    }

    async fn close(self) {
        let connection = self.connection;
        let mut leaving = JoinSet::new();
        leaving.spawn(async move { connection.close().await.ok() });
        tokio::time::timeout(CLOSE_MAX, leaving.join_next()).await.ok();
    }
}
