//! One connection, one channel, one consumer, owned by one task.

mod settling;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use amqprs::channel::{
    BasicCancelArguments, BasicConsumeArguments, BasicQosArguments, Channel, ConsumerMessage,
};
use amqprs::connection::Connection;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::acks::{Acks, Frame};
use super::closing::Closing;
use super::ended::Ended;
use super::properties::Properties;
use super::server::Server;
use super::{arguments, login, rpc, topology};
use crate::config::definition::{AgentDefinition, BrokerAddress, RetryStrategy, Source};
use crate::delivery::{Delivery, Message};

/// A question that stood unanswered for this long says why the connection then ended: a heartbeat
/// is at least 4 s, and missed twice before the library gives up.
const SILENCE: Duration = Duration::from_secs(3);

/// The longest wait for the broker when we leave.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// What a session has to say.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is a delivery, which a box would only cost"
)]
pub enum Event {
    /// A message.
    Delivery(Delivery),
    /// After [`Session::cancel`]: nothing more comes.
    Drained,
}

/// A consuming session with a broker.
///
/// Deliveries may be settled only on the session that brought them; when it is gone the broker
/// hands them out again (AMQP 0-9-1 section 1.8.3.13, and RabbitMQ's page on confirms).
pub struct Session {
    server: Server,
    connection: Connection,
    channel: Channel,
    closing: Closing,
    consumer: Consumer,
    acks: Acks,
    /// What a flush says; empty between them.
    frames: Vec<Frame>,
    /// The question whether the broker is there, while it is under way.
    question: JoinSet<Result<(), amqprs::error::Error>>,
    asked_at: Instant,
    /// When to ask; while a question is under way, when to give up. Kept, so that a message
    /// costs no timer.
    alarm: Pin<Box<Sleep>>,
    health_interval: Duration,
    window: u16,
}

struct Consumer {
    tag: String,
    deliveries: UnboundedReceiver<ConsumerMessage>,
    cancelled: bool,
    drained: bool,
}

impl Session {
    /// Connects, declares, sets the window and consumes; each step has its deadline.
    ///
    /// Not cancel-safe once logged in: dropping it drops the connection.
    ///
    /// # Errors
    /// Why the session could not begin, in the broker's words where it said any.
    pub async fn open(
        address: &BrokerAddress,
        definition: &AgentDefinition,
    ) -> Result<Self, Ended> {
        let source = &definition.source;
        let tag = consumer_tag(source, &definition.name);
        let connection = login::login(address, &tag).await?;
        let server = Server::of(&connection);
        let is_native = definition.retry.strategy == RetryStrategy::Native;
        if is_native && !server.has_delayed_retry() {
            // What is dropped here closes itself.
            return Err(Ended::NoDelayedRetry(server));
        }
        let closing = Closing::default();
        let (watched, callback) = (connection.clone(), closing.clone());
        rpc::call(
            "connection.open",
            &closing,
            async move { watched.register_callback(callback).await },
        )
        .await?;
        let opener = connection.clone();
        let channel =
            rpc::call("channel.open", &closing, async move { opener.open_channel(None).await })
                .await?;
        let (watched, callback) = (channel.clone(), closing.clone());
        rpc::call(
            "channel.open",
            &closing,
            async move { watched.register_callback(callback).await },
        )
        .await?;
        topology::declare(&channel, &closing, source).await?;
        let consumer = consume(&channel, &closing, source, tag).await?;
        Ok(Self {
            server,
            connection,
            channel,
            closing,
            consumer,
            acks: Acks::new(source.prefetch_count),
            frames: Vec::new(),
            question: JoinSet::new(),
            asked_at: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(definition.reconnect.health_interval)),
            health_interval: definition.reconnect.health_interval,
            window: source.prefetch_count,
        })
    }

    /// What the broker says that it is.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The consumer's tag, as the broker shows it.
    #[must_use]
    pub fn consumer_tag(&self) -> &str {
        &self.consumer.tag
    }

    /// The next message, or why there will be none. Cancel-safe.
    ///
    /// On the way, every `health_interval`, the broker is asked whether it still answers on
    /// this channel: a library task that died leaves everything looking open.
    ///
    /// # Errors
    /// Why the session ended; it is of no use afterwards.
    pub async fn next(&mut self) -> Result<Event, Ended> {
        loop {
            let asking = !self.question.is_empty();
            tokio::select! {
                biased;
                message = self.consumer.deliveries.recv(), if !self.consumer.drained => {
                    return match message {
                        Some(message) => Ok(Event::Delivery(self.received(message))),
                        None if self.consumer.cancelled && self.channel.is_open() => {
                            self.consumer.drained = true;
                            Ok(Event::Drained)
                        }
                        None => Err(self.lost(self.closing.reason(), asking)),
                    };
                }
                Some(answer) = self.question.join_next(), if asking => {
                    rpc::answered(answer, &self.closing).map_err(|reason| self.lost(reason, true))?;
                    self.alarm.as_mut().reset(self.asked_at + self.health_interval);
                }
                () = &mut self.alarm => {
                    if asking {
                        return Err(Ended::Unresponsive { what: "basic.qos", waited: rpc::ANSWER_MAX });
                    }
                    self.ask();
                }
            }
        }
    }

    /// The next message, if one is there already. Cheaper than [`next`](Self::next), which has to
    /// be asked all the same for what else there may be.
    pub fn take(&mut self) -> Option<Delivery> {
        let message = self.consumer.deliveries.try_recv().ok()?;
        Some(self.received(message))
    }

    fn received(&mut self, message: ConsumerMessage) -> Delivery {
        let delivery = delivery(message);
        self.acks.delivered(delivery.tag);
        delivery
    }

    /// Asks the broker for no more messages. What it had sent before still comes from
    /// [`next`](Self::next), then [`Event::Drained`], and may be settled.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn cancel(&mut self) -> Result<(), Ended> {
        if self.consumer.cancelled {
            return Ok(());
        }
        self.finish_question().await?;
        self.consumer.cancelled = true;
        let channel = self.channel.clone();
        let arguments = BasicCancelArguments::new(&self.consumer.tag);
        rpc::call(
            "basic.cancel",
            &self.closing,
            async move { channel.basic_cancel(arguments).await },
        )
        .await
        .map(|_| ())
    }

    /// Whether the broker was not asked to [stop](Self::cancel) sending messages.
    #[must_use]
    pub fn is_consuming(&self) -> bool {
        !self.consumer.cancelled
    }

    /// Consumes again after [`cancel`](Self::cancel), on the same channel.
    ///
    /// # Errors
    /// When the session has ended, or the queue is gone.
    pub async fn resume(&mut self, source: &Source) -> Result<(), Ended> {
        self.finish_question().await?;
        let tag = self.consumer.tag.clone();
        self.consumer = consume(&self.channel, &self.closing, source, tag).await?;
        Ok(())
    }

    /// Leaves: says the acks that wait, closes channel and connection, waiting at most 3 s for
    /// each. Settle first: what is still unsettled counts as a failed delivery on a quorum queue.
    pub async fn close(mut self) {
        // On a session that has ended there is nobody to tell.
        self.flush_all().await.ok();
        let (channel, connection) = (self.channel, self.connection);
        let mut leaving = JoinSet::new();
        leaving.spawn(async move {
            // Crossing the broker's own close makes these fail; the connection is gone either way.
            channel.close().await.ok();
            connection.close().await.ok();
        });
        tokio::time::timeout(CLOSE_MAX, leaving.join_next()).await.ok();
    }

    /// The reason, or that silence came before it, if a question was under way.
    fn lost(&self, reason: Ended, asking: bool) -> Ended {
        let is_silent = asking && self.asked_at.elapsed() >= SILENCE;
        if is_silent && reason == Ended::Lost { Ended::Silent } else { reason }
    }

    /// Asks with `basic.qos`, which changes nothing when the window stays what it is.
    fn ask(&mut self) {
        self.asked_at = Instant::now();
        let channel = self.channel.clone();
        let arguments = BasicQosArguments::new(0, self.window, false);
        self.question.spawn(async move { channel.basic_qos(arguments).await });
        self.alarm.as_mut().reset(self.asked_at + rpc::ANSWER_MAX);
    }

    /// Waits for the question under way: the library takes one call at a time on a channel.
    async fn finish_question(&mut self) -> Result<(), Ended> {
        let answer = tokio::time::timeout(rpc::ANSWER_MAX, self.question.join_next()).await;
        match answer {
            Ok(Some(answer)) => {
                self.alarm.as_mut().reset(self.asked_at + self.health_interval);
                rpc::answered(answer, &self.closing)
            }
            Ok(None) => Ok(()),
            Err(_) => Err(Ended::Unresponsive { what: "basic.qos", waited: rpc::ANSWER_MAX }),
        }
    }
}

async fn consume(
    channel: &Channel,
    closing: &Closing,
    source: &Source,
    tag: String,
) -> Result<Consumer, Ended> {
    // prefetch_size is always 0: RabbitMQ answers anything else with 540.
    let window = BasicQosArguments::new(0, source.prefetch_count, false);
    let limited = channel.clone();
    rpc::call("basic.qos", closing, async move { limited.basic_qos(window).await }).await?;

    let mut table = arguments::table(&BTreeMap::new());
    if let Some(priority) = source.consumer_priority {
        arguments::insert(&mut table, "x-priority", amqprs::FieldValue::I(priority));
    }
    let arguments = BasicConsumeArguments::new(&source.queue.name, &tag)
        .manual_ack(true)
        .exclusive(source.queue.exclusive)
        .arguments(table)
        .finish();
    let channel = channel.clone();
    let (tag, deliveries) =
        rpc::call(
            "basic.consume",
            closing,
            async move { channel.basic_consume_rx(arguments).await },
        )
        .await?;
    Ok(Consumer { tag, deliveries, cancelled: false, drained: false })
}

fn delivery(message: ConsumerMessage) -> Delivery {
    let (deliver, properties, content) = (
        message.deliver.expect("the library hands out whole messages"),
        message.basic_properties.expect("the library hands out whole messages"),
        message.content.expect("the library hands out whole messages"),
    );
    let tag = deliver.delivery_tag();
    let message = Message {
        exchange: deliver.exchange().clone(),
        routing_key: deliver.routing_key().clone(),
        redelivered: deliver.redelivered(),
        properties: Properties(properties),
        body: Bytes::from(content),
    };
    Delivery::new(tag, message)
}

/// Says who consumes: at most 255 bytes, cut if need be.
fn consumer_tag(source: &Source, agent: &str) -> String {
    if let Some(tag) = &source.consumer_tag {
        return tag.clone();
    }
    // Asked of the kernel, since the unit's sandbox hides /proc/sys.
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let host = host.split('.').next().unwrap_or_default();
    let mut tag = format!("amqp-agentd.{agent}@{host}.{}", std::process::id());
    tag.truncate(tag.floor_char_boundary(255));
    tag
}
