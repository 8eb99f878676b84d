//! What spans say, by OpenTelemetry's semantic conventions where these have a word for it.
//!
//! The tables are for the documents, which a test holds to them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// A name that spans use.
pub type Attribute = &'static str;

pub(super) const SYSTEM: Attribute = "messaging.system";
pub(super) const OPERATION_NAME: Attribute = "messaging.operation.name";
pub(super) const OPERATION_TYPE: Attribute = "messaging.operation.type";
pub(super) const DESTINATION: Attribute = "messaging.destination.name";
pub(super) const DESTINATION_TEMPLATE: Attribute = "messaging.destination.template";
pub(super) const ROUTING_KEY: Attribute = "messaging.rabbitmq.destination.routing_key";
pub(super) const DELIVERY_TAG: Attribute = "messaging.rabbitmq.message.delivery_tag";
pub(super) const MESSAGE_ID: Attribute = "messaging.message.id";
pub(super) const CONVERSATION_ID: Attribute = "messaging.message.conversation_id";
pub(super) const BODY_SIZE: Attribute = "messaging.message.body.size";
pub(super) const SERVER_ADDRESS: Attribute = "server.address";
pub(super) const SERVER_PORT: Attribute = "server.port";
pub(super) const ERROR_TYPE: Attribute = "error.type";
pub(super) const STATUS_CODE: Attribute = "http.response.status_code";
pub(super) const METHOD: Attribute = "http.request.method";
pub(super) const RESEND_COUNT: Attribute = "http.request.resend_count";
pub(super) const URL: Attribute = "url.full";
pub(super) const URL_TEMPLATE: Attribute = "url.template";
pub(super) const AGENT: Attribute = "amqp_agentd.agent";
pub(super) const BACKEND: Attribute = "amqp_agentd.backend";
pub(super) const OUTCOME: Attribute = "amqp_agentd.outcome";
pub(super) const SETTLEMENT: Attribute = "amqp_agentd.settlement";
pub(super) const REASON: Attribute = "amqp_agentd.dead_letter.reason";
pub(super) const ATTEMPT: Attribute = "amqp_agentd.attempt";
pub(super) const REDELIVERED: Attribute = "amqp_agentd.redelivered";
pub(super) const HELD: Attribute = "amqp_agentd.held_ms";

/// What the span of a delivery says.
pub const DELIVERY: [Attribute; 21] = [
    SYSTEM,
    OPERATION_NAME,
    OPERATION_TYPE,
    DESTINATION,
    DESTINATION_TEMPLATE,
    ROUTING_KEY,
    DELIVERY_TAG,
    MESSAGE_ID,
    CONVERSATION_ID,
    BODY_SIZE,
    SERVER_ADDRESS,
    SERVER_PORT,
    AGENT,
    REDELIVERED,
    OUTCOME,
    SETTLEMENT,
    REASON,
    ATTEMPT,
    HELD,
    STATUS_CODE,
    ERROR_TYPE,
];

/// What the span of a request says.
pub const REQUEST: [Attribute; 10] = [
    METHOD,
    URL,
    URL_TEMPLATE,
    SERVER_ADDRESS,
    SERVER_PORT,
    STATUS_CODE,
    RESEND_COUNT,
    BACKEND,
    OUTCOME,
    ERROR_TYPE,
];

pub(super) const SERVICE_NAME: Attribute = "service.name";
pub(super) const SERVICE_VERSION: Attribute = "service.version";
pub(super) const SERVICE_INSTANCE: Attribute = "service.instance.id";
pub(super) const HOST_NAME: Attribute = "host.name";
pub(super) const PROCESS_ID: Attribute = "process.pid";

/// What is said of the daemon.
pub const RESOURCE: [Attribute; 5] =
    [SERVICE_NAME, SERVICE_VERSION, SERVICE_INSTANCE, HOST_NAME, PROCESS_ID];

/// The attributes of one span.
pub(super) trait Say {
    /// Says a text.
    fn text(&mut self, name: &str, text: impl Into<String>);
    /// Says a number.
    fn number(&mut self, name: &str, number: i64);
    /// Says whether.
    fn truth(&mut self, name: &str, truth: bool);
}

impl Say for Vec<KeyValue> {
    fn text(&mut self, name: &str, text: impl Into<String>) {
        self.push(attribute(name, Value::StringValue(text.into())));
    }

    fn number(&mut self, name: &str, number: i64) {
        self.push(attribute(name, Value::IntValue(number)));
    }

    fn truth(&mut self, name: &str, truth: bool) {
        self.push(attribute(name, Value::BoolValue(truth)));
    }
}

fn attribute(name: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

/// A count that fits.
pub(super) fn count(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
