//! What a message's properties and headers become in a request.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::values::{Values, is_legal, trim_blanks};
use super::{APPLICATION_HEADERS_MAX, HEADER_BYTES_MAX};
use crate::copies::headers as notes;
use crate::delivery::{Field, Message};

/// Before the name of an application header.
const PREFIX: &[u8] = b"x-amqp-header-";

/// Headers that this daemon puts on the copies it publishes: its own notes, not the application's.
const NOTES_PREFIX: &[u8] = notes::PREFIX.as_bytes();

/// Trace context goes under its own names (W3C Trace Context, W3C Baggage).
static TRACE: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MESSAGE_ID: HeaderName = HeaderName::from_static("x-amqp-message-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-amqp-correlation-id");
const TYPE: HeaderName = HeaderName::from_static("x-amqp-type");
const APP_ID: HeaderName = HeaderName::from_static("x-amqp-app-id");
const REPLY_TO: HeaderName = HeaderName::from_static("x-amqp-reply-to");
const EXCHANGE: HeaderName = HeaderName::from_static("x-amqp-exchange");
const ROUTING_KEY: HeaderName = HeaderName::from_static("x-amqp-routing-key");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-amqp-timestamp");
const PRIORITY: HeaderName = HeaderName::from_static("x-amqp-priority");
const REDELIVERED: HeaderName = HeaderName::from_static("x-amqp-redelivered");
const ATTEMPT: HeaderName = HeaderName::from_static("x-amqp-attempt");

/// Bytes of the name of most headers.
const NAME_BYTES: usize = 50;

/// The most digits of a number, its sign included.
const NUMBER_BYTES: usize = 24;

/// The fields of a message that may become headers, all borrowed from it.
pub(super) struct Fields<'a> {
    message: &'a Message,
    /// Text properties, each under its header's name; type and message id have rules of their own.
    texts: [(HeaderName, Option<&'a str>); 7],
    /// The application's headers.
    table: Vec<(&'a [u8], Field<'a>)>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let properties = &message.properties;
        let texts = [
            (header::CONTENT_ENCODING, properties.content_encoding()),
            (CORRELATION_ID, properties.correlation_id()),
            (TYPE, properties.message_type()),
            (APP_ID, properties.app_id()),
            (REPLY_TO, properties.reply_to()),
            (EXCHANGE, Some(message.exchange.as_str())),
            (ROUTING_KEY, Some(message.routing_key.as_str())),
        ];
        let mut table: Vec<_> = properties.headers().collect();
        // What a delay queue has left there: a retry is to look like the first try.
        if table.iter().any(|(name, _)| *name == notes::ATTEMPTS.as_bytes()) {
            let is_death = |name| notes::DEATHS.iter().any(|(death, _)| death.as_bytes() == name);
            table.retain(|(name, _)| !is_death(*name));
        }
        Self { message, texts, table }
    }

    /// The most lines that they become.
    pub(super) fn lines_max(&self) -> usize {
        let properties = &self.message.properties;
        let texts = self.texts.iter().filter(|(_, text)| text.is_some()).count();
        let ids = properties.message_id().map_or(0, |_| 2);
        let numbers = properties.timestamp().iter().count() + properties.priority().iter().count();
        // Besides, content type, redelivered and attempt are always there.
        texts + ids + numbers + 3 + self.table.len().min(APPLICATION_HEADERS_MAX)
    }

    /// About as many bytes as their values take.
    pub(super) fn value_bytes(&self) -> usize {
        let properties = &self.message.properties;
        let texts = self.texts.iter().filter_map(|(_, text)| *text);
        let texts = texts.chain(properties.content_type()).chain(properties.message_id());
        let texts: usize = texts.map(str::len).sum();
        let table = self.table.iter().map(|(_, field)| match field {
            Field::Text(text) => text.len(),
            Field::Integer(_) | Field::Timestamp(_) | Field::Float(_) => NUMBER_BYTES,
            Field::Boolean(_) | Field::Compound => 0,
        });
        // Length, timestamp, priority, attempt.
        texts + 4 * NUMBER_BYTES + table.sum::<usize>().min(HEADER_BYTES_MAX)
    }

    /// Fills `headers`. Absent, empty and illegal values are left out alike.
    pub(super) fn insert(self, headers: &mut HeaderMap, values: &mut Values, attempt: u32) {
        let Self { message, texts, table } = self;
        let properties = &message.properties;
        let content_type = properties.content_type().and_then(|text| property(values, text));
        headers.insert(
            header::CONTENT_TYPE,
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| property(values, text)) {
                headers.insert(name, value);
            }
        }
        if let Some(id) = properties.message_id().and_then(|id| property(values, id)) {
            headers.insert(IDEMPOTENCY_KEY, id.clone());
            headers.insert(MESSAGE_ID, id);
        }
        let timestamp = properties.timestamp().and_then(|seconds| values.number(seconds));
        let priority = properties.priority().and_then(|priority| values.number(priority));
        let attempt = match attempt {
            1 => Some(HeaderValue::from_static("1")),
            more => values.number(more),
        };
        let redelivered = Some(boolean(message.redelivered));
        let others = [
            (TIMESTAMP, timestamp),
            (PRIORITY, priority),
            (REDELIVERED, redelivered),
            (ATTEMPT, attempt),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        if !table.is_empty() {
            insert_application(headers, values, table);
        }
    }
}

/// Adds the application's headers within the limits, in the order of their names: a table has
/// no order of its own, and the same message is to make the same request.
///
/// Names that differ only in case are one name in HTTP: the last in byte order is sent, so that
/// the name in small letters wins.
pub(super) fn insert_application(
    headers: &mut HeaderMap,
    values: &mut Values,
    mut table: Vec<(&[u8], Field<'_>)>,
) {
    table.sort_unstable_by_key(|(name, _)| *name);
    let used: usize = headers.iter().map(|(name, value)| line_bytes(name, value.len())).sum();
    let mut bytes_left = HEADER_BYTES_MAX.saturating_sub(used);
    let mut lines_left = APPLICATION_HEADERS_MAX;
    let mut prefixed = Vec::with_capacity(PREFIX.len() + NAME_BYTES);
    for (name, field) in table {
        let Some(name) = header_name(name, &mut prefixed) else { continue };
        // Looked at before it takes memory, which the other values would keep.
        let is_unfit = matches!(field, Field::Text(text)
            if line_bytes(&name, trim_blanks(text).len()) > bytes_left || !is_legal(text));
        if is_unfit || lines_left == 0 {
            continue;
        }
        let Some(value) = header_value(values, field) else { continue };
        let bytes = line_bytes(&name, value.len());
        if bytes <= bytes_left {
            bytes_left -= bytes;
            lines_left -= 1;
            headers.insert(name, value);
        }
    }
}

/// The header's name in the request; `None` where it is not to be sent or is no token.
/// `prefixed` is memory to put it together in.
fn header_name(name: &[u8], prefixed: &mut Vec<u8>) -> Option<HeaderName> {
    if name.is_empty() || starts_with_ignoring_case(name, NOTES_PREFIX) {
        return None;
    }
    let is_own = |own: &&HeaderName| name.eq_ignore_ascii_case(own.as_str().as_bytes());
    if let Some(own) = TRACE.iter().find(is_own) {
        return Some(own.clone());
    }
    prefixed.clear();
    prefixed.extend_from_slice(PREFIX);
    prefixed.extend_from_slice(name);
    HeaderName::from_bytes(prefixed).ok()
}

/// The header's value in the request; `None` where it has no single one or is no legal text.
fn header_value(values: &mut Values, field: Field<'_>) -> Option<HeaderValue> {
    match field {
        Field::Text(text) => values.text(text),
        Field::Integer(integer) => values.number(integer),
        Field::Timestamp(seconds) => values.number(seconds),
        Field::Float(float) if float.is_finite() => values.number(float),
        Field::Boolean(value) => Some(boolean(value)),
        Field::Float(_) | Field::Compound => None,
    }
}

/// A property's value; an empty one says as much as none.
fn property(values: &mut Values, text: &str) -> Option<HeaderValue> {
    values.text(text.as_bytes()).filter(|value| !value.is_empty())
}

fn boolean(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "true" } else { "false" })
}

/// A header's share of [`HEADER_BYTES_MAX`]: name, colon, blank, value, line end.
fn line_bytes(name: &HeaderName, value_bytes: usize) -> usize {
    name.as_str().len() + value_bytes + 4
}

fn starts_with_ignoring_case(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
