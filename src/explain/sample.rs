//! The message that is explained: one of our own, or as RabbitMQ's management interface shows it.
//!
//! The form is that of "Get messages" there, so that a paste works: `payload` and
//! `payload_encoding`, `properties` with `headers` among them, `exchange`, `routing_key`,
//! `redelivered`; alone, or as a list of one.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::broker::properties::PropertiesBuilder;
use crate::config::definition::AgentDefinition;
use crate::config::suggest::nearest;
use crate::copies::headers;
use crate::delivery::Message;

/// What is wrong with a message in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line and column, counted from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// A message as the management interface shows it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    payload: String,
    #[serde(default)]
    payload_encoding: Encoding,
    #[serde(default)]
    properties: Object<ShownProperties>,
    routing_key: Option<String>,
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    redelivered: bool,
    #[serde(rename = "message_count")]
    _message_count: Option<IgnoredAny>,
    #[serde(rename = "payload_bytes")]
    _payload_bytes: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    String,
    Base64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownProperties {
    content_type: Option<String>,
    content_encoding: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    expiration: Option<String>,
    message_id: Option<String>,
    #[serde(rename = "type")]
    message_type: Option<String>,
    user_id: Option<String>,
    app_id: Option<String>,
    timestamp: Option<u64>,
    priority: Option<u8>,
    #[serde(rename = "delivery_mode")]
    _delivery_mode: Option<IgnoredAny>,
    #[serde(rename = "cluster_id")]
    _cluster_id: Option<IgnoredAny>,
    #[serde(default)]
    headers: Object<BTreeMap<String, Value>>,
}

/// An object; the management interface shows one without members as an empty list.
#[derive(Debug, Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Object<T>, A::Error> {
                match items.next_element::<IgnoredAny>()? {
                    None => Ok(Object(T::default())),
                    Some(_) => Err(A::Error::custom("a list, expected an object")),
                }
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// A small message, such as the agent's queue may hold.
#[must_use]
pub fn built_in(definition: &AgentDefinition) -> Message {
    let source = &definition.source;
    let exchange = source.exchange.as_ref().map(|exchange| exchange.name.clone());
    let topic = source.topics.first().filter(|topic| !topic.is_empty());
    let routing_key = match topic {
        Some(topic) if exchange.is_some() => topic.replace(['*', '#'], "sample"),
        Some(_) | None => source.queue.name.clone(),
    };
    let properties = PropertiesBuilder::default()
        .content_type("application/json")
        .message_id("sample-1")
        .header("source", "explain")
        .build();
    Message {
        exchange: exchange.unwrap_or_default(),
        routing_key,
        redelivered: false,
        properties,
        body: Bytes::from_static(b"{\"sample\":1}"),
    }
}

/// Reads one message; `queue` is its routing key where it says none.
///
/// # Errors
///
/// What is wrong with it, and where.
pub fn read(text: &str, queue: &str) -> Result<Message, Fault> {
    let shown = if text.trim_start().starts_with('[') {
        let mut list: Vec<Shown> = serde_json::from_str(text).map_err(|error| fault(&error))?;
        match (list.len(), list.pop()) {
            (1, Some(shown)) => shown,
            (0, _) | (_, None) => {
                return Err(general("the list holds no message", "give one: the queue was empty"));
            }
            (count, Some(_)) => {
                let problem = format!("the list holds {count} messages");
                return Err(general(&problem, "leave one of them"));
            }
        }
    } else {
        serde_json::from_str(text).map_err(|error| fault(&error))?
    };
    message(shown, queue)
}

fn message(shown: Shown, queue: &str) -> Result<Message, Fault> {
    let body = match shown.payload_encoding {
        Encoding::String => shown.payload.into_bytes(),
        Encoding::Base64 => base64::engine::general_purpose::STANDARD
            .decode(shown.payload.trim())
            .map_err(|_| {
                general(
                    "`payload` is no base64",
                    "mend it, or set `payload_encoding` to \"string\"",
                )
            })?,
    };
    let properties = shown.properties.0;
    let routing_key = match shown.routing_key {
        Some(routing_key) => routing_key,
        None if shown.exchange.is_empty() => queue.to_owned(),
        None => String::new(),
    };
    let texts = [
        ("exchange", Some(&shown.exchange)),
        ("routing_key", Some(&routing_key)),
        ("content_type", properties.content_type.as_ref()),
        ("content_encoding", properties.content_encoding.as_ref()),
        ("correlation_id", properties.correlation_id.as_ref()),
        ("reply_to", properties.reply_to.as_ref()),
        ("expiration", properties.expiration.as_ref()),
        ("message_id", properties.message_id.as_ref()),
        ("type", properties.message_type.as_ref()),
        ("user_id", properties.user_id.as_ref()),
        ("app_id", properties.app_id.as_ref()),
    ];
    let long = texts.iter().find(|(_, text)| text.is_some_and(|text| text.len() > 255));
    if let Some((name, _)) = long {
        let problem = format!("`{name}` has more than 255 octets, which AMQP cannot carry");
        return Err(general(&problem, "shorten it"));
    }
    Ok(Message {
        exchange: shown.exchange,
        routing_key,
        redelivered: shown.redelivered,
        properties: built(&properties).build(),
        body: body.into(),
    })
}

fn built(shown: &ShownProperties) -> PropertiesBuilder {
    type Setter = fn(PropertiesBuilder, &str) -> PropertiesBuilder;
    let texts: [(&Option<String>, Setter); 9] = [
        (&shown.content_type, PropertiesBuilder::content_type),
        (&shown.content_encoding, PropertiesBuilder::content_encoding),
        (&shown.correlation_id, PropertiesBuilder::correlation_id),
        (&shown.reply_to, PropertiesBuilder::reply_to),
        (&shown.expiration, PropertiesBuilder::expiration),
        (&shown.message_id, PropertiesBuilder::message_id),
        (&shown.message_type, PropertiesBuilder::message_type),
        (&shown.user_id, PropertiesBuilder::user_id),
        (&shown.app_id, PropertiesBuilder::app_id),
    ];
    let mut builder = PropertiesBuilder::default();
    for (text, set) in texts {
        builder = text.iter().fold(builder, |builder, text| set(builder, text));
    }
    builder = shown.timestamp.into_iter().fold(builder, PropertiesBuilder::timestamp);
    builder = shown.priority.into_iter().fold(builder, PropertiesBuilder::priority);
    shown.headers.0.iter().fold(builder, |builder, (name, value)| header(builder, name, value))
}

/// A header as JSON has it; what it cannot tell, such as the width of a number, changes nothing.
fn header(builder: PropertiesBuilder, name: &str, value: &Value) -> PropertiesBuilder {
    // JSON has no times, and these are read as times.
    let is_time = [headers::FIRST_FAILURE, headers::LAST_FAILURE].contains(&name);
    match value {
        Value::String(text) => builder.header(name, text),
        Value::Bool(value) => builder.boolean_header(name, *value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (_, Some(seconds)) if is_time => builder.timestamp_header(name, seconds),
            (Some(integer), _) => builder.integer_header(name, integer),
            (None, _) => builder.float_header(name, number.as_f64().unwrap_or_default()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => builder.compound_header(name),
    }
}

fn general(problem: &str, remedy: &str) -> Fault {
    Fault { place: None, problem: problem.to_owned(), remedy: remedy.to_owned() }
}

fn fault(error: &serde_json::Error) -> Fault {
    let place = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
    let text = error.to_string();
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    let names: Vec<&str> = problem.split('`').skip(1).step_by(2).collect();
    if let ([unknown, known @ ..], true) = (names.as_slice(), problem.starts_with("unknown field"))
    {
        let added = ["message_count", "payload_bytes"];
        let known: Vec<&str> = known.iter().copied().filter(|key| !added.contains(key)).collect();
        let remedy = match nearest(unknown, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("remove it; the keys here are {}", known.join(", ")),
        };
        return Fault { place, problem: format!("unknown key `{unknown}`"), remedy };
    }
    let remedy = match problem.strip_prefix("missing field ") {
        Some(name) => format!("add {name}: `explain --help` shows the form"),
        None => "write it as RabbitMQ's management interface shows a message".to_owned(),
    };
    Fault { place, problem: problem.to_owned(), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Field;

    #[test]
    fn a_paste_from_the_management_interface_is_read() {
        let text = r#"[{"payload_bytes":2,"redelivered":true,"exchange":"shop","routing_key":"order.created",
            "message_count":4,"properties":{"content_type":"text/plain","message_id":"7","type":"order",
            "priority":3,"timestamp":1700000000,"delivery_mode":2,"headers":{"tenant":"acme","n":5,
            "half":0.5,"yes":true,"list":[1],"x-agent-first-failure":1700000000}},
            "payload":"AP8=","payload_encoding":"base64"}]"#;
        let message = read(text, "orders").unwrap();
        assert_eq!(
            (message.exchange.as_str(), message.routing_key.as_str()),
            ("shop", "order.created")
        );
        assert!(message.redelivered);
        assert_eq!(&message.body[..], b"\x00\xff");
        let properties = &message.properties;
        assert_eq!(properties.content_type(), Some("text/plain"));
        assert_eq!(
            (properties.message_id(), properties.message_type()),
            (Some("7"), Some("order"))
        );
        assert_eq!((properties.priority(), properties.timestamp()), (Some(3), Some(1_700_000_000)));
        for (name, field) in [
            ("tenant", Field::Text(b"acme")),
            ("n", Field::Integer(5)),
            ("half", Field::Float(0.5)),
            ("yes", Field::Boolean(true)),
            ("list", Field::Compound),
            ("x-agent-first-failure", Field::Timestamp(1_700_000_000)),
        ] {
            assert_eq!(properties.header(name), Some(field), "{name}");
        }
    }

    #[test]
    fn little_is_needed_and_empty_objects_may_be_lists() {
        let message = read(r#"{"payload": "hello", "properties": []}"#, "orders").unwrap();
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("", "orders"));
        assert_eq!(&message.body[..], b"hello");
        let text = r#"{"payload": "", "properties": {"headers": []}, "exchange": "shop"}"#;
        assert_eq!(read(text, "orders").unwrap().routing_key, "");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
        let long = format!(r#"{{"payload":"","properties":{{"app_id":"{}"}}}}"#, "x".repeat(256));
        for (text, place, problem, remedy) in [
            (
                "{\n \"playload\": \"\"}",
                Some((2, 11)),
                "unknown key `playload`",
                "did you mean `payload`?",
            ),
            (
                r#"{"payload":"","properties":{"message-id":"1"}}"#,
                Some((1, 40)),
                "unknown key `message-id`",
                "did you mean `message_id`?",
            ),
            (
                r#"{"payload":"","zzz":1}"#,
                Some((1, 19)),
                "unknown key `zzz`",
                "remove it; the keys here are payload,",
            ),
            ("{}", Some((1, 2)), "missing field `payload`", "add `payload`"),
            ("", Some((1, 1)), "EOF while parsing a value", "write it as"),
            (
                r#"{"payload":5}"#,
                Some((1, 12)),
                "invalid type: integer `5`, expected a string",
                "write it",
            ),
            (
                r#"{"payload":"","properties":[1]}"#,
                Some((1, 30)),
                "a list, expected an object",
                "write it",
            ),
            (
                r#"{"payload":"?","payload_encoding":"base64"}"#,
                None,
                "`payload` is no base64",
                "mend it",
            ),
            (
                r#"{"payload":"","payload_encoding":"hex"}"#,
                Some((1, 38)),
                "unknown variant `hex`",
                "write it",
            ),
            ("[]", None, "the list holds no message", "give one"),
            (r#"[{"payload":""},{"payload":""}]"#, None, "the list holds 2 messages", "leave one"),
            (&long, None, "`app_id` has more than 255 octets", "shorten it"),
        ] {
            let fault = read(text, "orders").unwrap_err();
            assert_eq!(fault.place, place, "{text}: {fault:?}");
            assert!(fault.problem.starts_with(problem), "{text}: {fault:?}");
            assert!(fault.remedy.starts_with(remedy), "{text}: {fault:?}");
        }
    }

    #[test]
    fn the_built_in_sample_comes_as_the_agent_is_bound() {
        let mut definition = crate::config::definition::tests::definition("orders");
        assert_eq!(built_in(&definition).routing_key, "orders");
        definition.source.topics = vec!["order.*".to_owned()];
        definition.source.exchange = Some(crate::config::definition::Exchange {
            name: "shop".to_owned(),
            exchange_type: "topic".to_owned(),
            durable: true,
            auto_delete: false,
            arguments: BTreeMap::new(),
        });
        let sample = built_in(&definition);
        assert_eq!(
            (sample.exchange.as_str(), sample.routing_key.as_str()),
            ("shop", "order.sample")
        );
    }
}
