//! What spans tell of deliveries and requests.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::time::Instant;

use super::*;
use crate::broker::properties::PropertiesBuilder;
use crate::config::definition::tests::definition;
use crate::delivery::{Delivery, Message};
use crate::outcome::{NotSent, Outcome, Reply};
use crate::settlement::{CopyTo, Reason, Settlement};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn agent(sampling: Sampling) -> (AgentSpans, Arc<Outlet>) {
    let outlet = Arc::new(Outlet::default());
    let tracer = Tracer { sampling, outlet: Arc::clone(&outlet) };
    let mut agent = AgentSpans::new(tracer, &definition("orders"));
    agent.connected("rabbit", 5672);
    (agent, outlet)
}

fn delivery(properties: PropertiesBuilder) -> Delivery {
    let message = Message {
        exchange: "shop".to_owned(),
        routing_key: "order.created".to_owned(),
        redelivered: false,
        properties: properties.build(),
        body: Bytes::from_static(b"hunter2"),
    };
    Delivery::new(7, message)
}

/// What comes of a delivery of this message, by `way`.
fn spans(
    sampling: Sampling,
    properties: PropertiesBuilder,
    way: impl FnOnce(&mut DeliverySpan),
) -> Vec<Span> {
    let (agent, outlet) = agent(sampling);
    let delivery = delivery(properties);
    let mut span = agent.delivery(&delivery, Instant::now());
    way(&mut span);
    drop(span);
    delivery.abandon();
    outlet.take().unwrap_or_default()
}

fn all() -> Sampling {
    Sampling::parent_based(1.0)
}

fn said(span: &Span) -> BTreeMap<&str, String> {
    let attributes = span.attributes.iter();
    attributes
        .map(|attribute| {
            let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
            let text = match value {
                Value::StringValue(text) => Some(text.clone()),
                Value::IntValue(number) => Some(number.to_string()),
                Value::BoolValue(truth) => Some(truth.to_string()),
                Value::DoubleValue(_)
                | Value::ArrayValue(_)
                | Value::KvlistValue(_)
                | Value::BytesValue(_)
                | Value::StringValueStrindex(_) => None,
            };
            let text = text.unwrap_or_else(|| panic!("{value:?}"));
            (attribute.key.as_str(), text)
        })
        .collect()
}

fn answered(status: u16) -> Reply {
    Reply::Answered { status, retry_after: None }
}

#[test]
fn a_delivery_and_its_request_tell_who_and_where_and_how_it_ended() {
    let properties = PropertiesBuilder::default()
        .header("traceparent", PARENT)
        .header("tracestate", "a=1")
        .header("x-private", "hunter2")
        .message_id("id-1")
        .correlation_id("talk-1");
    let spans = spans(all(), properties, |span| {
        let mut request = span.request(0, 2);
        request.begin();
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "00-stale".parse().unwrap());
        request.put_into(&mut headers);
        assert_eq!(headers["tracestate"], "a=1");
        assert!(
            headers["traceparent"]
                .to_str()
                .unwrap()
                .starts_with("00-0af7651916cd43dd8448eb211c80319c-")
        );
        request.end(&answered(204), Outcome::Delivered, 0, Duration::from_millis(5));
        span.tried(Outcome::Delivered, None);
        span.settled(Settlement::Ack, 2);
    });
    let [request, delivery] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(delivery.name, "process orders");
    assert_eq!((delivery.kind(), request.kind()), (SpanKind::Consumer, SpanKind::Client));
    assert_eq!(delivery.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(delivery.links[0].span_id, delivery.parent_span_id);
    assert_eq!(request.parent_span_id, delivery.span_id);
    assert_eq!(request.trace_id, delivery.trace_id);
    assert_eq!(request.end_time_unix_nano - request.start_time_unix_nano, 5_000_000);
    assert!(delivery.status.is_none() && request.status.is_none());
    assert_eq!((delivery.flags, request.flags), (0x301, 0x101));
    let told = said(delivery);
    for (name, value) in [
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "shop:order.created:orders"),
        ("messaging.destination.template", "orders"),
        ("messaging.rabbitmq.destination.routing_key", "order.created"),
        ("messaging.rabbitmq.message.delivery_tag", "7"),
        ("messaging.message.id", "id-1"),
        ("messaging.message.conversation_id", "talk-1"),
        ("messaging.message.body.size", "7"),
        ("server.address", "rabbit"),
        ("server.port", "5672"),
        ("amqp_agentd.outcome", "delivered"),
        ("amqp_agentd.settlement", "ack"),
        ("amqp_agentd.attempt", "2"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    let told = said(request);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("url.full", "http://127.0.0.1:8080/"),
        ("server.address", "127.0.0.1"),
        ("server.port", "8080"),
        ("http.response.status_code", "204"),
        ("http.request.resend_count", "1"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!format!("{spans:?}").contains("hunter2"));
}

#[test]
fn spans_say_nothing_that_the_documents_do_not_tell_of() {
    let mut seen = std::collections::BTreeSet::new();
    for (reply, outcome, settlement) in [
        (
            answered(422),
            Outcome::Refused,
            Settlement::Replaced(CopyTo::DeadLetter(Reason::Refused)),
        ),
        (answered(204), Outcome::Delivered, Settlement::Ack),
    ] {
        let properties = PropertiesBuilder::default().message_id("1").correlation_id("2");
        let spans = spans(all(), properties, |span| {
            let mut request = span.request(0, 2);
            request.begin();
            request.end(&reply, outcome, 0, Duration::ZERO);
            span.tried(outcome, Some(&reply));
            span.settled(settlement, 2);
        });
        for (span, known) in spans.iter().zip([&REQUEST[..], &DELIVERY[..]]) {
            for name in said(span).keys() {
                assert!(known.contains(name), "{name}");
                seen.insert((known.len(), (*name).to_owned()));
            }
        }
    }
    assert_eq!(seen.len(), REQUEST.len() + DELIVERY.len(), "{seen:?}");
}

#[test]
fn what_was_not_delivered_is_an_error_of_a_few_kinds() {
    let refused = Reply::NotSent(NotSent::Connect, "h:1: refused".to_owned());
    let unwell = Outcome::Unwell { certain: true };
    let given_back = Settlement::Requeue { counted: false };
    let dead = Settlement::Replaced(CopyTo::DeadLetter(Reason::Refused));
    for (tried, settlement, kind) in [
        (Some((Outcome::Refused, Some(&answered(422)))), Some(dead), Some("422")),
        (Some((unwell, Some(&refused))), Some(given_back), Some("no_connection")),
        // By `auto_ack`.
        (Some((Outcome::Refused, Some(&answered(400)))), Some(Settlement::Ack), Some("400")),
        (Some((Outcome::Delivered, None)), Some(Settlement::Ack), None),
        (None, Some(given_back), Some("given_back")),
        (None, None, Some("abandoned")),
        (Some((Outcome::Delivered, None)), None, Some("abandoned")),
    ] {
        let spans = spans(all(), PropertiesBuilder::default(), |span| {
            if let Some((outcome, reply)) = tried {
                span.tried(outcome, reply);
            }
            if let Some(settlement) = settlement {
                span.settled(settlement, 1);
            }
        });
        assert_eq!(said(&spans[0]).get("error.type").map(String::as_str), kind);
        assert_eq!(spans[0].status.is_some(), kind.is_some());
    }
}

#[test]
fn a_request_that_nobody_waited_for_says_so_and_one_that_never_began_says_nothing() {
    let spans = spans(all(), PropertiesBuilder::default(), |span| {
        drop(span.request(0, 1));
        let mut begun = span.request(0, 1);
        begun.begin();
        drop(begun);
    });
    assert_eq!(spans.len(), 2, "one request and the delivery");
    assert_eq!(said(&spans[0])["error.type"], "abandoned");
}

#[test]
fn what_is_not_sampled_is_not_told_and_passed_on_all_the_same() {
    let unsampled = PARENT.replace("-01", "-00");
    let properties = || PropertiesBuilder::default().header("traceparent", &unsampled);
    let spans = spans(all(), properties(), |span| {
        let mut request = span.request(0, 1);
        request.begin();
        let mut headers = HeaderMap::new();
        request.put_into(&mut headers);
        let told = headers["traceparent"].to_str().unwrap().to_owned();
        assert!(told.starts_with(&unsampled[..36]) && told.ends_with("-00"), "{told}");
        assert!(!headers.contains_key("tracestate"));
        request.end(&answered(500), Outcome::Refused, 0, Duration::ZERO);
        span.settled(Settlement::Ack, 1);
        assert_eq!(span.traceparent_for_copy(), None);
    });
    assert_eq!(spans.len(), 0);
}

#[test]
fn a_message_without_a_trace_begins_one_that_its_copy_goes_on_with() {
    let invalid = PropertiesBuilder::default().header("traceparent", "00-0-0-01");
    for properties in [PropertiesBuilder::default(), invalid] {
        let mut copied = None;
        let first = spans(all(), properties, |span| copied = span.traceparent_for_copy());
        assert!(first[0].parent_span_id.is_empty() && first[0].links.is_empty());
        let copy = PropertiesBuilder::default().header("traceparent", &copied.unwrap());
        let second = spans(all(), copy, |span| assert_eq!(span.traceparent_for_copy(), None));
        assert_eq!(second[0].trace_id, first[0].trace_id);
        assert_eq!(second[0].parent_span_id, first[0].span_id);
    }
}
