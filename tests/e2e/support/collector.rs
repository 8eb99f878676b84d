//! An OpenTelemetry collector: a scripted backend whose requests are batches of spans.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use toml::Table;

use super::backend::{Backend, Request};
use super::daemon::Daemon;
use super::reply::Reply;

/// A collector that takes everything, until told otherwise.
pub struct Collector {
    /// Where the batches come.
    pub backend: Backend,
}

/// A span as it came, ids in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub state: String,
    pub name: String,
    pub is_consumer: bool,
    pub is_error: bool,
    pub said: BTreeMap<String, String>,
    pub links: Vec<String>,
}

impl Span {
    /// What it says under this name; empty where it says nothing.
    pub fn says(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// As a `traceparent` has it, sampled.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

impl Collector {
    pub fn start() -> Collector {
        Collector { backend: Backend::replying(|_| Reply::status(200)) }
    }

    /// Lets `daemon` send its spans here, with further keys of `[tracing]`.
    pub fn listen_to(&self, daemon: &mut Daemon, keys: &[(&str, toml::Value)]) {
        let mut tracing = Table::new();
        tracing.insert("endpoint".to_owned(), self.backend.url().into());
        tracing.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        daemon.set_main("tracing", tracing);
    }

    /// All spans that came so far, in order of arrival; a batch that came twice is there twice.
    pub fn spans(&self) -> Vec<Span> {
        spans(&self.backend.requests())
    }

    /// Waits until the spans that have come are as `are` wants them.
    pub async fn wait_until(&self, what: &str, are: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        spans(&self.backend.wait_until(what, |requests| are(&spans(requests))).await)
    }

    /// Waits until so many deliveries have been told of, and gives all spans.
    pub async fn wait_for_deliveries(&self, count: usize) -> Vec<Span> {
        let deliveries = |spans: &[Span]| spans.iter().filter(|span| span.is_consumer).count();
        self.wait_until(&format!("{count} deliveries"), |spans| deliveries(spans) >= count).await
    }

    /// What the batches say of the daemon.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let requests = self.backend.requests();
        let batch = requests.first().map(batch).expect("a batch has come");
        said(&batch.resource_spans[0].resource.as_ref().expect("it says who it is").attributes)
    }
}

fn batch(request: &Request) -> ExportTraceServiceRequest {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    ExportTraceServiceRequest::decode(&request.body[..]).expect("it is OTLP")
}

fn spans(requests: &[Request]) -> Vec<Span> {
    let batches = requests.iter().map(batch);
    let scopes = batches.flat_map(|batch| batch.resource_spans).flat_map(|all| all.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(span).collect()
}

fn span(span: otlp::Span) -> Span {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let is_error = span
        .status
        .as_ref()
        .is_some_and(|status| status.code == otlp::status::StatusCode::Error as i32);
    Span {
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        state: span.trace_state,
        name: span.name,
        is_consumer: span.kind == otlp::span::SpanKind::Consumer as i32,
        is_error,
        said: said(&span.attributes),
        links: span.links.iter().map(|link| hexadecimal(&link.span_id)).collect(),
    }
}

fn said(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("no value of ours: {other:?}"),
    };
    attributes.iter().map(|one| (one.key.clone(), text(&one.value))).collect()
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |digits, octet| format!("{digits}{octet:02x}"))
}
