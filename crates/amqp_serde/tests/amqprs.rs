//! amqprs itself, on this codec: messages that used to end the connection.

use amqp_serde::types::{FieldName, FieldValue, ShortStr};
use amqp_serde::{from_bytes, to_bytes};
use amqprs::{BasicProperties, Deliver};
use serde::Deserialize;

/// Content-type, headers and message-id (AMQP 0-9-1 §4.2.6.1), with octets that
/// are not text in each.
const PROPERTIES: &[u8] = b"\xa0\x80\
    \x04a/\xff\xfe\
    \0\0\0\x18\
    \x02\xc3\x28S\0\0\0\x01\xff\
    \x01LL\x80\0\0\0\0\0\0\0\
    \x01bt\x02\
    \x03id\xff";

#[test]
fn properties_that_are_not_text_are_read_and_written_octet_for_octet() {
    let properties: BasicProperties = from_bytes(PROPERTIES).unwrap();
    assert_eq!(properties.content_type().unwrap(), "a/\u{fffd}\u{fffd}");
    assert_eq!(properties.message_id().unwrap(), "id\u{fffd}");
    let headers = properties.headers().unwrap();
    let name: FieldName = "L".try_into().unwrap();
    assert_eq!(headers.get(&name), Some(&FieldValue::L(i64::MIN)));
    assert_eq!(to_bytes(&properties).unwrap(), PROPERTIES);
    assert!(!format!("{properties} {properties:?}").is_empty());
}

#[test]
fn a_copy_with_one_more_header_keeps_the_octets_of_the_rest() {
    let properties: BasicProperties = from_bytes(PROPERTIES).unwrap();
    let mut headers = properties.headers().unwrap().clone();
    headers.insert("why".try_into().unwrap(), "refused".into());
    let copy = properties.clone().with_headers(headers).finish();

    let wire = to_bytes(&copy).unwrap();
    let (start, end) = (11, PROPERTIES.len() - 4);
    assert_eq!(wire[start..end], PROPERTIES[start..end]);
    assert_eq!(wire[end..], *b"\x03whyS\0\0\0\x07refused\x03id\xff");
}

/// The fields of `basic.deliver`, which amqprs gives only as text.
#[derive(Debug, Deserialize)]
struct Octets {
    _consumer_tag: ShortStr,
    _delivery_tag: u64,
    _redelivered: bool,
    exchange: ShortStr,
    routing_key: ShortStr,
}

#[test]
fn what_amqprs_gives_only_as_text_can_be_had_as_octets() {
    let wire = b"\x01c\0\0\0\0\0\0\0\x05\x01\x02e\xff\x02r\xfe";
    let deliver: Deliver = from_bytes(wire).unwrap();
    assert_eq!(deliver.delivery_tag(), 5);
    assert_eq!(deliver.routing_key(), "r\u{fffd}");

    let octets: Octets = from_bytes(&to_bytes(&deliver).unwrap()).unwrap();
    assert_eq!(octets.exchange.as_bytes(), b"e\xff");
    assert_eq!(octets.routing_key.as_bytes(), b"r\xfe");
}

#[test]
fn the_text_of_a_property_can_always_be_set_again() {
    let wire = [&b"\x80\0\xff"[..], &[0xff; 255]].concat();
    let properties: BasicProperties = from_bytes(&wire).unwrap();
    let text = properties.content_type().unwrap();
    let again = BasicProperties::default().with_content_type(text).finish();
    assert_eq!(again.content_type(), Some(text));
}
