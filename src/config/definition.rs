//! What the daemon runs on: settings that have been read, checked and made whole.
//!
//! Nothing here can be wrong any more: a definition is only made by
//! [`load`](super::load), which reports every problem that it finds. Two
//! definitions that are equal make the same agent, which is what a reload asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::backoff::Strategy;
use crate::outcome::StatusPolicy;
use crate::secret::Secret;
use crate::spans::Sampling;
use crate::tls::TlsSettings;

/// Settings of the daemon itself, from the main file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Threads that agents are spread over; `None` lets the daemon choose.
    pub threads: Option<NonZeroUsize>,
    /// The longest that a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// How and what to log.
    pub log: LogSettings,
    /// Where the running daemon can be asked.
    pub admin: AdminSettings,
    /// Where spans go; `None` is nowhere, and none are made.
    pub tracing: Option<TracingSettings>,
}

/// Where the running daemon can be asked, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The Unix socket; `None` is none.
    pub socket: Option<AdminSocket>,
    /// TCP addresses; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Whether who comes by TCP may pause, resume and reload, not only look.
    pub allow_control: bool,
}

/// The Unix socket that the daemon answers on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    /// At most 107 bytes.
    pub path: PathBuf,
    /// Permissions, at most `0o777`.
    pub mode: u32,
    /// The main file names it, so that the daemon must not run without.
    pub is_named: bool,
}

/// Where spans go, and which are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingSettings {
    /// Where OTLP is spoken, `http` or `https`, with its path and without user information.
    pub endpoint: Url,
    /// Sent with each batch; names and values checked.
    pub headers: Vec<(String, Secret)>,
    /// For one batch, from the first byte sent to the last byte of the answer.
    pub timeout: Duration,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// `service.name`.
    pub service_name: String,
    /// Further attributes of the resource, by name.
    pub resource: BTreeMap<String, String>,
}

/// How and what to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or a comma-separated list of `target=level`; `AMQP_AGENTD_LOG` wins over it.
    pub level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Fields for the journal where standard error is the journal, else text, with colours on a terminal.
    Auto,
    /// Text, with colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
    /// The journal's native fields.
    Journal,
}

/// One agent: where its messages come from and where they go.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentDefinition {
    /// Unique among the agents of a daemon; the file's stem unless the file says otherwise.
    pub name: Arc<str>,
    /// The file it was read from.
    pub file: PathBuf,
    /// Where messages come from.
    pub source: Source,
    /// The most messages in flight at once.
    pub workers: u16,
    /// For one attempt at one backend, from the first byte sent to the last byte of the reply's head.
    pub timeout: Duration,
    /// Messages a second; `None` is no limit.
    pub max_rate: Option<f64>,
    /// How a lost session is taken up again.
    pub reconnect: Reconnect,
    /// How several backends are told.
    pub dispatch: Dispatch,
    /// How a message that failed is tried again.
    pub retry: RetryPolicy,
    /// Where the copy of a message goes that is not tried again. `None`: nowhere, since nothing is
    /// configured and nothing may be declared, or since it was switched off.
    pub dead_letter: Option<DeadLetter>,
    /// The longest that the window is kept while a backend is unwell, before it is given back.
    pub hold_max: Duration,
    /// At least one, at least one of them required.
    pub backends: Vec<BackendDefinition>,
}

/// Where messages come from: brokers, queue, exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Tried in order; at least one.
    pub brokers: Vec<BrokerAddress>,
    /// The queue.
    pub queue: Queue,
    /// The exchange that the queue is bound to; `None` declares and binds nothing.
    pub exchange: Option<Exchange>,
    /// Binding keys, in order, each bound once.
    pub topics: Vec<String>,
    /// What is declared at the start of a session.
    pub declare: Declare,
    /// The window: the most unsettled messages held, 1 to 65535.
    pub prefetch_count: u16,
    /// Settle with ack whatever the backends say.
    pub auto_ack: bool,
    /// Requeue is replaced by discard: `basic.nack` without requeue.
    pub nack_discard: bool,
    /// The consumer's tag; `None` makes one of host, agent and process id.
    pub consumer_tag: Option<String>,
    /// `x-priority` of the consumer.
    pub consumer_priority: Option<i32>,
    /// Where the broker's management interface is, tried in order; empty asks nobody.
    pub management: Vec<ManagementAddress>,
}

/// Where RabbitMQ's management interface is, and how to log in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementAddress {
    /// `http` or `https`, without user information; the path ends with `/`, and `api/…` follows it.
    pub url: Url,
    /// Percent-decoded; without a `:`.
    pub username: String,
    /// Percent-decoded.
    pub password: Secret,
    /// For `https`.
    pub tls: TlsSettings,
}

impl Source {
    /// The kind of queue that copies of its messages wait in: as safe as the messages were.
    #[must_use]
    pub fn copy_kind(&self) -> QueueType {
        match self.queue.queue_type {
            Some(QueueType::Quorum) => QueueType::Quorum,
            // Nothing can be taken out of a stream.
            Some(QueueType::Classic | QueueType::Stream) | None => QueueType::Classic,
        }
    }
}

/// The queue as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// At most 255 bytes.
    pub name: String,
    /// `x-queue-type`; `None` leaves it to the broker.
    pub queue_type: Option<QueueType>,
    /// Survives a broker restart.
    pub durable: bool,
    /// Deleted when its last consumer leaves (KrakenD's `delete`).
    pub auto_delete: bool,
    /// Only this connection may use it.
    pub exclusive: bool,
    /// Further `x-` arguments.
    pub arguments: BTreeMap<String, Argument>,
}

/// The kinds of queue that RabbitMQ has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueType {
    /// A classic queue.
    Classic,
    /// A replicated queue.
    Quorum,
    /// An append-only log.
    Stream,
}

/// The exchange as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// At most 255 bytes, never empty.
    pub name: String,
    /// `topic` unless said otherwise; any type that the broker knows.
    pub exchange_type: String,
    /// Survives a broker restart.
    pub durable: bool,
    /// Deleted when its last binding goes.
    pub auto_delete: bool,
    /// Further arguments, such as `alternate-exchange`.
    pub arguments: BTreeMap<String, Argument>,
}

/// The value of a queue's or exchange's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// `true` or `false`.
    Boolean(bool),
    /// A signed 64-bit integer.
    Integer(i64),
    /// Text.
    Text(String),
}

/// What is declared at the start of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declare {
    /// Exchange and queue are declared and bound; one that exists otherwise is a 406.
    Create,
    /// Both must exist; nothing is bound.
    Passive,
    /// Nothing is asked of the broker but to consume.
    Skip,
}

/// One broker and how to log in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// A name or an address, IPv6 without its brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// Percent-decoded.
    pub username: String,
    /// Percent-decoded.
    pub password: Secret,
    /// Percent-decoded; `/` where the URI has none.
    pub vhost: String,
    /// The SASL mechanism.
    pub auth: AuthMechanism,
    /// Seconds, 4 to 65535, offered to the broker.
    pub heartbeat_seconds: u16,
    /// For TCP, TLS, login and opening the virtual host together.
    pub connect_timeout: Duration,
    /// `Some` for `amqps`.
    pub tls: Option<TlsSettings>,
}

/// The SASL mechanisms that RabbitMQ has for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMechanism {
    /// User and password.
    Plain,
    /// User and password, RabbitMQ's older form.
    AmqPlain,
    /// The client certificate says who it is.
    External,
}

/// How a lost session is taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    /// `None` tries for ever.
    pub max_retries: Option<u32>,
    /// The formula of the waits.
    pub strategy: Strategy,
    /// How often a session that seems alive is asked whether it is.
    pub health_interval: Duration,
}

/// How several backends are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatch {
    /// All at once.
    Parallel,
    /// In order, stopping at the first required one that fails.
    Sequential,
}

/// How a message that failed is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How many deliveries of a message may fail, each with its quick tries, before it is not tried again; at least 1.
    pub attempts: u32,
    /// Quick tries after the first, while the message is held.
    pub in_place: u32,
    /// How long a message waits before its next delivery, by its attempt; the last repeats; at least one.
    pub delays: Vec<Duration>,
    /// A message that failed first so long ago is not tried again; `None` is no limit.
    pub max_age: Option<Duration>,
    /// The share of a wait in the window that chance may add or take, 0 to 1.
    pub jitter: f64,
    /// Where a message waits between two deliveries.
    pub strategy: RetryStrategy,
}

/// Where a message waits between two deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryStrategy {
    /// In delay queues of ours: a copy is published, and comes back when its time is over.
    Queue,
    /// In its own quorum queue, by the delayed retry of RabbitMQ ≥ 4.3.
    Native,
    /// In the window.
    InPlace,
    /// In the window, and then it goes back to its queue.
    Requeue,
}

/// Where the copy of a message goes that is not tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange; empty for the default exchange, which routes by a queue's name.
    pub exchange: String,
    /// The routing key; `None` keeps the message's own.
    pub routing_key: Option<String>,
    /// Whether the queue that `routing_key` names may be declared by us.
    pub declare: bool,
}

/// One HTTP service that messages are handed to.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendDefinition {
    /// For logs; the first host's authority unless said otherwise.
    pub name: Arc<str>,
    /// Each host with the path, ready to be sent to; at least one; `http` or `https`; no user information.
    pub urls: Vec<Url>,
    /// Any method token; POST unless said otherwise.
    pub method: String,
    /// Sent with each request, after ours and so over ours; names and values checked.
    pub headers: Vec<(String, Secret)>,
    /// For one attempt; the agent's unless said otherwise.
    pub timeout: Duration,
    /// Whether its answer decides what becomes of the message.
    pub required: bool,
    /// What its statuses mean.
    pub status: StatusPolicy,
    /// For `https`.
    pub tls: TlsSettings,
    /// Which HTTP it is spoken to in.
    pub http2: Http2,
    /// Whether a part of the URLs came from the environment, a file or a credential: only their
    /// hosts are shown.
    pub path_is_secret: bool,
}

/// Which HTTP a backend is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Negotiate,
    /// HTTP/2 from the first byte, without asking.
    PriorKnowledge,
    /// HTTP/1.1 only.
    Never,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A definition as a small file would make it, for tests that care about little of it.
    pub(crate) fn definition(name: &str) -> AgentDefinition {
        AgentDefinition {
            name: Arc::from(name),
            file: PathBuf::from(format!("{name}.toml")),
            source: source(name),
            workers: 10,
            timeout: Duration::from_secs(5),
            max_rate: None,
            reconnect: Reconnect {
                max_retries: None,
                strategy: Strategy::ExponentialJitter,
                health_interval: Duration::from_secs(10),
            },
            dispatch: Dispatch::Parallel,
            retry: RetryPolicy {
                attempts: 10,
                in_place: 2,
                delays: vec![Duration::from_secs(5)],
                max_age: None,
                jitter: 0.2,
                strategy: RetryStrategy::Queue,
            },
            dead_letter: Some(DeadLetter {
                exchange: String::new(),
                routing_key: Some(format!("{name}.dead")),
                declare: true,
            }),
            hold_max: Duration::from_mins(5),
            backends: vec![backend()],
        }
    }

    fn source(name: &str) -> Source {
        let broker = BrokerAddress {
            host: "127.0.0.1".to_owned(),
            port: 5672,
            username: "guest".to_owned(),
            password: Secret::new("guest"),
            vhost: "/".to_owned(),
            auth: AuthMechanism::Plain,
            heartbeat_seconds: 10,
            connect_timeout: Duration::from_secs(10),
            tls: None,
        };
        let queue = Queue {
            name: name.to_owned(),
            queue_type: None,
            durable: true,
            auto_delete: false,
            exclusive: false,
            arguments: BTreeMap::new(),
        };
        Source {
            brokers: vec![broker],
            queue,
            exchange: None,
            topics: Vec::new(),
            declare: Declare::Create,
            prefetch_count: 100,
            auto_ack: false,
            nack_discard: false,
            consumer_tag: None,
            consumer_priority: None,
            management: Vec::new(),
        }
    }

    fn backend() -> BackendDefinition {
        BackendDefinition {
            name: Arc::from("127.0.0.1:8080"),
            urls: vec![Url::parse("http://127.0.0.1:8080/").expect("it is a URL")],
            method: "POST".to_owned(),
            headers: Vec::new(),
            timeout: Duration::from_secs(5),
            required: true,
            status: StatusPolicy::default(),
            tls: TlsSettings::default(),
            http2: Http2::Negotiate,
            path_is_secret: false,
        }
    }

    #[test]
    fn copies_wait_in_a_queue_as_safe_as_the_source() {
        for (source_kind, kind) in [
            (None, QueueType::Classic),
            (Some(QueueType::Classic), QueueType::Classic),
            (Some(QueueType::Quorum), QueueType::Quorum),
            (Some(QueueType::Stream), QueueType::Classic),
        ] {
            let mut source = source("orders");
            source.queue.queue_type = source_kind;
            assert_eq!(source.copy_kind(), kind, "{source_kind:?}");
        }
    }
}
