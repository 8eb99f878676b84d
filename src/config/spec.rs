//! What the TOML says: every table and key, before anything is checked.
//!
//! Only types are settled here. Ranges, defaults and what does not go together are
//! [`resolve`](super::resolve)'s.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::value::{Period, Scalar, Section, StatusEntry, Strings};

/// A key that may be left out.
pub(super) type Key<T> = Option<Spanned<T>>;

/// The main file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MainSpec {
    /// Table: the daemon itself.
    pub daemon: Key<Section<DaemonSpec>>,
    /// Table: how and what to log.
    pub log: Key<Section<LogSpec>>,
    /// Table: where the running daemon can be asked.
    pub admin: Key<Section<AdminSpec>>,
    /// Table: where spans of the messages' ways go.
    pub tracing: Key<Section<TracingSpec>>,
    /// Table: what agents inherit.
    #[expect(dead_code, reason = "read to be checked; agents inherit the tree itself")]
    pub defaults: Key<Section<DefaultsSpec>>,
}

/// `[daemon]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DaemonSpec {
    /// Integer, 1 to 1024: threads that agents are spread over. Default: the daemon chooses.
    pub threads: Key<i64>,
    /// Duration: the longest that a stop waits for requests in flight. Default: `"30s"`.
    pub drain_timeout: Key<Period>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogSpec {
    /// `"auto"`, `"text"`, `"json"` or `"journal"`. Default: `"auto"`.
    pub format: Key<String>,
    /// A level, or a list such as `"info,amqprs=warn"`. Default: `"info"`.
    pub level: Key<String>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSpec {
    /// String: the Unix socket that the daemon answers on; `""` is none. Default: `"/run/amqp-agentd/admin.sock"`.
    pub socket: Key<String>,
    /// String: who may use the socket, as `chmod` takes it. Default: `"0660"`.
    pub socket_mode: Key<String>,
    /// String or list: addresses with a port to answer on as well; a port alone is on 127.0.0.1. Default: none.
    pub listen: Key<Strings>,
    /// Boolean: who comes by `listen` may pause, resume and reload, not only look. Default: false.
    pub allow_control: Key<bool>,
}

/// `[tracing]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracingSpec {
    /// String: `http(s)://HOST:PORT` of an OTLP collector; `/v1/traces` is added. Default: none, and no spans.
    pub endpoint: Key<String>,
    /// Table of strings: headers sent to it with each batch of spans. Default: none.
    pub headers: Key<BTreeMap<Spanned<String>, Spanned<String>>>,
    /// Number, 0 to 1: the share of traces that is recorded, of those that no message brings. Default: 1.
    pub sample: Key<f64>,
    /// String: the name of the service. Default: `"amqp-agentd"`.
    pub service_name: Key<String>,
    /// Table of strings: further attributes of the resource, such as `"deployment.environment.name"`. Default: none.
    pub attributes: Key<BTreeMap<Spanned<String>, Spanned<String>>>,
    /// Duration, `"100ms"` to `"1m"`: for one batch of spans. Default: `"10s"`.
    pub timeout: Key<Period>,
}

/// `[defaults]`: tables of an agent file that every agent inherits key by key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be checked; agents inherit the tree itself")]
pub(super) struct DefaultsSpec {
    /// Table, as in an agent file.
    #[serde(rename = "async/amqp")]
    pub amqp: Key<Section<AmqpSpec>>,
    /// Table, as in an agent file.
    pub consumer: Key<Section<ConsumerSpec>>,
    /// Table, as in an agent file.
    pub connection: Key<Section<ConnectionSpec>>,
    /// Table, as in an agent file.
    pub retry: Key<Section<RetrySpec>>,
    /// Table, as in an agent file.
    pub dead_letter: Key<Section<DeadLetterSpec>>,
    /// Table, as in an agent file.
    pub hold: Key<Section<HoldSpec>>,
    /// Table, as in an agent file.
    pub dispatch: Key<Section<DispatchSpec>>,
    /// One table, which each backend of every agent inherits.
    pub backend: Key<Section<BackendSpec>>,
}

/// An agent file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentSpec {
    /// String, 1 to 64 of `A-Z a-z 0-9 . _ -`: the agent's name. Default: the file's stem.
    pub name: Key<String>,
    /// Boolean: false checks the file and does not run the agent. Default: true.
    pub enabled: Key<bool>,
    /// Table: where messages come from.
    #[serde(rename = "async/amqp")]
    pub amqp: Key<Section<AmqpSpec>>,
    /// Table: how they are taken.
    pub consumer: Key<Section<ConsumerSpec>>,
    /// Table: how a lost connection is taken up again.
    pub connection: Key<Section<ConnectionSpec>>,
    /// Table: how a message that failed is tried again.
    pub retry: Key<Section<RetrySpec>>,
    /// Table: where the copy of a message goes that is not tried again.
    pub dead_letter: Key<Section<DeadLetterSpec>>,
    /// Table: what to do while a backend is unwell.
    pub hold: Key<Section<HoldSpec>>,
    /// Table: how several backends are told.
    pub dispatch: Key<Section<DispatchSpec>>,
    /// List of tables: where messages go; at least one.
    pub backend: Key<Vec<Spanned<Section<BackendSpec>>>>,
}

/// `["async/amqp"]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmqpSpec {
    /// String or list, required: broker URIs; a list fails over in order.
    pub host: Key<Strings>,
    /// String, required: the queue.
    pub name: Key<String>,
    /// String: the exchange to bind the queue to. Default: none, and no binding.
    pub exchange: Key<String>,
    /// String: `"topic"`, `"direct"`, `"fanout"`, `"headers"` or a plugin's `"x-…"`. Default: `"topic"`.
    pub exchange_type: Key<String>,
    /// Table of strings, integers and booleans: arguments of the exchange. Default: none.
    pub exchange_arguments: Key<BTreeMap<Spanned<String>, Spanned<Scalar>>>,
    /// `"classic"`, `"quorum"` or `"stream"`. Default: the broker's.
    pub queue_type: Key<String>,
    /// Table of strings, integers and booleans: arguments of the queue. Default: none.
    pub arguments: Key<BTreeMap<Spanned<String>, Spanned<Scalar>>>,
    /// `"create"`, `"passive"` (must exist) or `"skip"` (not asked about). Default: `"create"`.
    pub declare: Key<String>,
    /// Boolean: queue and exchange survive a restart of the broker. Default: true.
    pub durable: Key<bool>,
    /// Boolean: queue and exchange are deleted when no longer used. Default: false.
    pub delete: Key<bool>,
    /// Boolean: only this agent's connection may use the queue. Default: false.
    pub exclusive: Key<bool>,
    /// Boolean: accepted and ignored, since errors would be lost. Default: false.
    pub no_wait: Key<bool>,
    /// Integer, 1 to 65535: the most unsettled messages held. Default: 100.
    pub prefetch_count: Key<i64>,
    /// Integer: accepted and ignored, since RabbitMQ refuses it. Default: 0.
    pub prefetch_size: Key<i64>,
    /// Boolean: messages are acked whatever the backends say. Default: false.
    pub auto_ack: Key<bool>,
    /// Boolean: accepted and ignored, as RabbitMQ ignores it. Default: false.
    pub no_local: Key<bool>,
    /// Boolean: what would be requeued is discarded. Default: false.
    pub nack_discard: Key<bool>,
    /// String: the consumer's tag. Default: made of host, agent and process id.
    pub consumer_tag: Key<String>,
    /// Integer: `x-priority` of the consumer. Default: none.
    pub consumer_priority: Key<i64>,
    /// Duration in whole seconds, `"4s"` to `"65535s"`. Default: `"10s"`.
    pub heartbeat: Key<Period>,
    /// Duration: for TCP, TLS and login together. Default: `"10s"`.
    pub connect_timeout: Key<Period>,
    /// String or list: `http(s)://USER:PASSWORD@HOST:PORT` of RabbitMQ's management interface, which
    /// is asked about the queue when the agent starts. Default: none.
    pub management: Key<Strings>,
    /// Table: for `amqps://`, and for `https://` in `management`.
    pub tls: Key<Section<BrokerTlsSpec>>,
}

/// `tls` in `["async/amqp"]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BrokerTlsSpec {
    /// String: a PEM file of certificates to trust. Default: the system's.
    pub ca: Key<String>,
    /// String: a PEM file with the client certificate and its chain. Default: none.
    pub cert: Key<String>,
    /// String: a PEM file with the certificate's private key. Default: none.
    pub key: Key<String>,
    /// String: the name to check instead of the host's. Default: the host's.
    pub server_name: Key<String>,
}

/// `[consumer]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumerSpec {
    /// String or list: binding keys. Required with a topic or direct exchange.
    pub topic: Key<Strings>,
    /// Integer, 1 to 65535: the most messages in flight at once. Default: 10.
    pub workers: Key<i64>,
    /// Duration: for one attempt at one backend. Default: `"5s"`.
    pub timeout: Key<Period>,
    /// Number: messages a second, 0 is no limit. Default: 0.
    pub max_rate: Key<f64>,
}

/// `[connection]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionSpec {
    /// Integer: tries to connect before the agent gives up, 0 is for ever. Default: 0.
    pub max_retries: Key<i64>,
    /// `"linear"`, `"linear-jitter"`, `"exponential"`, `"exponential-jitter"` or `"fallback"`.
    /// Default: `"exponential-jitter"`.
    pub backoff_strategy: Key<String>,
    /// Duration, at least `"1s"`: how often a connection is asked whether it lives. Default: `"10s"`.
    pub health_interval: Key<Period>,
}

/// `[retry]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetrySpec {
    /// Integer, 1 to 1000: deliveries of a message that may fail before it is a dead letter. Default: 10.
    pub attempts: Key<i64>,
    /// Integer, 0 to 100: quick tries after the first. Default: 2.
    pub in_place: Key<i64>,
    /// List of durations: how long a message waits, by its attempt; the last repeats.
    /// Default: `["5s", "30s", "2m", "10m"]`.
    pub delays: Key<Vec<Spanned<Period>>>,
    /// Duration, `"1s"` to `"8760h"`: a message that failed first so long ago is a dead letter. Default: none.
    pub max_age: Key<Period>,
    /// Number, 0 to 1: the share of a wait that chance adds or takes. Default: 0.2.
    pub jitter: Key<f64>,
    /// `"queue"`, `"native"`, `"in_place"` or `"requeue"`: where a message waits.
    /// Default: `"queue"` where `declare` is `"create"`, else `"requeue"`.
    pub strategy: Key<String>,
}

/// `[dead_letter]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterSpec {
    /// Boolean: false keeps a message that is not tried again, and its place in the window. Default: true.
    pub enabled: Key<bool>,
    /// String: the queue. Default: the source's `x-dead-letter-exchange`, else `NAME.dead` where `declare` is `"create"`.
    pub queue: Key<String>,
    /// String: the exchange, in the queue's stead. Default: none.
    pub exchange: Key<String>,
    /// String: the routing key to that exchange. Default: the message's own.
    pub routing_key: Key<String>,
}

/// `[hold]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldSpec {
    /// Duration, `"1s"` to `"10m"`: how long messages are kept while a backend is unwell, before
    /// they are given back. At most a third of the broker's `consumer_timeout`. Default: `"5m"`.
    pub release_after: Key<Period>,
}

/// `[dispatch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DispatchSpec {
    /// `"parallel"` or `"sequential"`. Default: `"parallel"`.
    pub mode: Key<String>,
}

/// `[[backend]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendSpec {
    /// String: for logs. Default: the first host's name and port.
    pub name: Key<String>,
    /// String or list, required: base URLs.
    pub host: Key<Strings>,
    /// String, required: the path, starting with `/`, and query that follow the host.
    pub url_pattern: Key<String>,
    /// String: the HTTP method. Default: `"POST"`.
    pub method: Key<String>,
    /// String: accepted and ignored, since replies are not decoded. Default: none.
    pub encoding: Key<String>,
    /// Duration: for one attempt. Default: `consumer.timeout`.
    pub timeout: Key<Period>,
    /// Table of strings: headers sent with each request. Default: none.
    pub headers: Key<BTreeMap<Spanned<String>, Spanned<String>>>,
    /// Boolean: whether its answer decides what becomes of the message. Default: true.
    pub required: Key<bool>,
    /// Table: what its statuses mean.
    pub status: Key<Section<StatusSpec>>,
    /// `"negotiate"`, `"prior_knowledge"` or `"never"`. Default: `"negotiate"`.
    pub http2: Key<String>,
    /// Table: for `https://`.
    pub tls: Key<Section<BackendTlsSpec>>,
}

/// `status` of a backend: lists of codes (404) and classes (`"4xx"`); a code wins over a class.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusSpec {
    /// List: the message is delivered.
    pub success: Key<Vec<Spanned<StatusEntry>>>,
    /// List: it is tried again.
    pub retry: Key<Vec<Spanned<StatusEntry>>>,
    /// List: it is at fault for ever.
    pub dead_letter: Key<Vec<Spanned<StatusEntry>>>,
    /// List: the backend is unwell and messages wait.
    pub pause: Key<Vec<Spanned<StatusEntry>>>,
}

/// `tls` of a backend
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendTlsSpec {
    /// String: a PEM file of certificates to trust. Default: the system's.
    pub ca: Key<String>,
    /// String: a PEM file with the client certificate and its chain. Default: none.
    pub cert: Key<String>,
    /// String: a PEM file with the certificate's private key. Default: none.
    pub key: Key<String>,
}
