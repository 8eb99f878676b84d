//! What a message's properties and headers become in a request.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::{APPLICATION_HEADERS_MAX, HEADER_BYTES_MAX};
use crate::copies::headers as notes;
use crate::delivery::{Field, Message};

/// Before the name of an application header.
const PREFIX: &str = "x-amqp-header-";

/// Headers that this daemon puts on the copies it publishes: its own notes, not the application's.
const NOTES_PREFIX: &[u8] = notes::PREFIX.as_bytes();

/// Trace context goes under its own names (W3C Trace Context, W3C Baggage).
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Fills `headers` from the message. Absent, empty and illegal values are left out alike.
pub(super) fn insert(headers: &mut HeaderMap, message: &Message, attempt: u32) {
    let properties = &message.properties;
    let content_type = properties.content_type().and_then(text);
    headers.insert(
        header::CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    let key = HeaderName::from_static("idempotency-key");
    let texts = [
        (header::CONTENT_ENCODING, properties.content_encoding()),
        (key, properties.message_id()),
        (HeaderName::from_static("x-amqp-message-id"), properties.message_id()),
        (HeaderName::from_static("x-amqp-correlation-id"), properties.correlation_id()),
        (HeaderName::from_static("x-amqp-type"), properties.message_type()),
        (HeaderName::from_static("x-amqp-app-id"), properties.app_id()),
        (HeaderName::from_static("x-amqp-reply-to"), properties.reply_to()),
        (HeaderName::from_static("x-amqp-exchange"), Some(message.exchange.as_str())),
        (HeaderName::from_static("x-amqp-routing-key"), Some(message.routing_key.as_str())),
    ];
    for (name, value) in texts {
        if let Some(value) = value.and_then(text) {
            headers.insert(name, value);
        }
    }
    if let Some(seconds) = properties.timestamp() {
        headers.insert("x-amqp-timestamp", HeaderValue::from(seconds));
    }
    if let Some(priority) = properties.priority() {
        headers.insert("x-amqp-priority", HeaderValue::from(u16::from(priority)));
    }
    headers.insert("x-amqp-redelivered", boolean(message.redelivered));
    headers.insert("x-amqp-attempt", HeaderValue::from(attempt));
    let mut table: Vec<_> = properties.headers().collect();
    // What a delay queue has left there: a retry is to look like the first try.
    if table.iter().any(|(name, _)| *name == notes::ATTEMPTS.as_bytes()) {
        table.retain(|(name, _)| !notes::DEATHS.iter().any(|(death, _)| death.as_bytes() == *name));
    }
    insert_application(headers, table);
}

/// Adds the application's headers within the limits, in the order of their names: a table has
/// no order of its own, and the same message is to make the same request.
///
/// Names that differ only in case are one name in HTTP: the last in byte order is sent, so that
/// the name in small letters wins.
pub(super) fn insert_application(headers: &mut HeaderMap, mut table: Vec<(&[u8], Field<'_>)>) {
    table.sort_unstable_by_key(|(name, _)| *name);
    let used: usize = headers.iter().map(|(name, value)| line_bytes(name, value)).sum();
    let mut bytes_left = HEADER_BYTES_MAX.saturating_sub(used);
    let mut lines_left = APPLICATION_HEADERS_MAX;
    for (name, field) in table {
        let Some((name, value)) = header_name(name).zip(header_value(field)) else { continue };
        let bytes = line_bytes(&name, &value);
        if bytes <= bytes_left && lines_left > 0 {
            bytes_left -= bytes;
            lines_left -= 1;
            headers.insert(name, value);
        }
    }
}

/// The header's name in the request; `None` where it is not to be sent or is no token.
fn header_name(name: &[u8]) -> Option<HeaderName> {
    if name.is_empty() || starts_with_ignoring_case(name, NOTES_PREFIX) {
        return None;
    }
    if let Some(own) = TRACE.iter().find(|own| name.eq_ignore_ascii_case(own.as_bytes())) {
        return Some(HeaderName::from_static(own));
    }
    HeaderName::from_bytes(&[PREFIX.as_bytes(), name].concat()).ok()
}

/// The header's value in the request; `None` where it has no single one or is no legal text.
fn header_value(field: Field<'_>) -> Option<HeaderValue> {
    match field {
        Field::Text(bytes) => legal(bytes),
        Field::Integer(integer) => Some(HeaderValue::from(integer)),
        Field::Timestamp(seconds) => Some(HeaderValue::from(seconds)),
        Field::Float(float) if float.is_finite() => legal(float.to_string().as_bytes()),
        Field::Boolean(value) => Some(boolean(value)),
        Field::Float(_) | Field::Compound => None,
    }
}

/// A property's value; an empty one says as much as none.
fn text(value: &str) -> Option<HeaderValue> {
    legal(value.as_bytes()).filter(|value| !value.is_empty())
}

/// Legal header text without the blanks around it, which HTTP/1 drops and HTTP/2 forbids
/// (RFC 9113, section 8.2.1): no control characters, UTF-8 and other high bytes as they are.
fn legal(value: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value).ok()?;
    HeaderValue::from_bytes(value.trim_ascii()).ok()
}

fn boolean(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "true" } else { "false" })
}

/// A header's share of [`HEADER_BYTES_MAX`]: name, colon, blank, value, line end.
fn line_bytes(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

fn starts_with_ignoring_case(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
