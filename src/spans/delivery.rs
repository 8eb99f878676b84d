//! The span of one delivery: from the moment that a message is first handed out to its settlement.
//!
//! By OpenTelemetry's semantic conventions for messaging it is a "process" span. What only waits in
//! the window has none.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status};
use tokio::time::Instant;

use super::Tracer;
use super::attributes::{self as names, Say, count};
use super::context::{Context, TraceId};
use super::request::{RequestSpan, error_type};
use super::target::Target;
use crate::config::definition::AgentDefinition;
use crate::delivery::Delivery;
use crate::outcome::{Outcome, Reply};
use crate::settlement::{CopyTo, Settlement};

/// What `error.type` says where nobody waited for the end.
pub(super) const ABANDONED: &str = "abandoned";

/// What all spans of one agent have in common.
pub struct AgentSpans {
    tracer: Tracer,
    agent: Arc<str>,
    queue: String,
    broker: Option<(String, u16)>,
    targets: Rc<[Target]>,
}

impl AgentSpans {
    /// For the agent of `definition`.
    #[must_use]
    pub fn new(tracer: Tracer, definition: &AgentDefinition) -> Self {
        Self {
            tracer,
            agent: Arc::clone(&definition.name),
            queue: definition.source.queue.name.clone(),
            broker: None,
            targets: definition.backends.iter().map(Target::new).collect(),
        }
    }

    /// From now on its messages come from this broker.
    pub fn connected(&mut self, host: &str, port: u16) {
        self.broker = Some((host.to_owned(), port));
    }

    /// The span of `delivery`, which is handed out now and came `received`.
    #[must_use]
    pub fn delivery(&self, delivery: &Delivery, received: Instant) -> Box<DeliverySpan> {
        let message = delivery.message();
        let parent = Context::of(message);
        let context = self.tracer.context(parent.as_ref());
        let record = context.is_sampled().then(|| {
            let mut span = blank(&context, parent.as_ref(), SpanKind::Consumer);
            // Routing keys may be many: they are no part of a name.
            span.name = format!("process {}", self.queue);
            self.describe(&mut span, delivery);
            span.links.extend(parent.as_ref().map(link));
            Record { span, began: (SystemTime::now(), Instant::now()) }
        });
        Box::new(DeliverySpan {
            is_new_trace: parent.is_none(),
            context,
            tracer: self.tracer.clone(),
            targets: Rc::clone(&self.targets),
            received,
            record,
            last: None,
            settlement: None,
            tries: 0,
        })
    }

    fn describe(&self, span: &mut Span, delivery: &Delivery) {
        let message = delivery.message();
        let properties = &message.properties;
        span.attributes.reserve_exact(names::DELIVERY.len());
        let said = &mut span.attributes;
        said.text(names::SYSTEM, "rabbitmq");
        said.text(names::OPERATION_NAME, "process");
        said.text(names::OPERATION_TYPE, "process");
        let destination = destination(&message.exchange, &message.routing_key, &self.queue);
        said.text(names::DESTINATION, destination);
        said.text(names::DESTINATION_TEMPLATE, self.queue.as_str());
        if !message.routing_key.is_empty() {
            said.text(names::ROUTING_KEY, message.routing_key.as_str());
        }
        said.number(names::DELIVERY_TAG, count(delivery.tag));
        if let Some(id) = properties.message_id() {
            said.text(names::MESSAGE_ID, id);
        }
        if let Some(id) = properties.correlation_id() {
            said.text(names::CONVERSATION_ID, id);
        }
        said.number(names::BODY_SIZE, count(message.body.len()));
        if let Some((host, port)) = &self.broker {
            said.text(names::SERVER_ADDRESS, host.as_str());
            said.number(names::SERVER_PORT, (*port).into());
        }
        said.text(names::AGENT, &*self.agent);
        said.truth(names::REDELIVERED, message.redelivered);
    }
}

/// `exchange:routing key:queue`, without what is empty or said already (semantic conventions for
/// RabbitMQ).
fn destination(exchange: &str, routing_key: &str, queue: &str) -> String {
    let queue = if routing_key == queue { "" } else { queue };
    let parts = [exchange, routing_key, queue].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(":")
}

/// The span of one delivery. Told when it is dropped, with what is known by then.
pub struct DeliverySpan {
    context: Context,
    /// Its message brought no trace.
    is_new_trace: bool,
    tracer: Tracer,
    targets: Rc<[Target]>,
    received: Instant,
    /// `None` where the trace is not recorded.
    record: Option<Record>,
    /// What the last try brought: its outcome, and the reply that decided, where it was no success.
    last: Option<(Outcome, Option<Reply>)>,
    settlement: Option<Settlement>,
    tries: u32,
}

struct Record {
    span: Span,
    began: (SystemTime, Instant),
}

impl DeliverySpan {
    /// The trace that it belongs to.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        self.context.trace
    }

    /// What a copy of the message has to carry, so that its next delivery goes on in the same trace:
    /// nothing where the message says it itself.
    #[must_use]
    pub fn traceparent_for_copy(&self) -> Option<String> {
        self.is_new_trace.then(|| self.context.traceparent())
    }

    /// The span of a request to the backend at this place of the agent file, the `attempt`-th of
    /// the message.
    #[must_use]
    pub fn request(&self, target: usize, attempt: u32) -> Box<RequestSpan> {
        let (tracer, targets) = (&self.tracer, &self.targets);
        Box::new(RequestSpan::new(&self.context, tracer, targets, target, attempt))
    }

    /// A try ended; `reply` is the one that decided, where it was no success.
    pub fn tried(&mut self, outcome: Outcome, reply: Option<&Reply>) {
        if self.record.is_some() {
            self.last = Some((outcome, reply.cloned()));
        }
    }

    /// The broker is told so, after so many tries in all.
    pub fn settled(&mut self, settlement: Settlement, tries: u32) {
        self.settlement = Some(settlement);
        self.tries = tries;
    }
}

impl Drop for DeliverySpan {
    fn drop(&mut self) {
        let Some(Record { mut span, began }) = self.record.take() else { return };
        let (began, instant) = began;
        span.start_time_unix_nano = nanoseconds(began);
        span.end_time_unix_nano = nanoseconds(began + instant.elapsed());
        let said = &mut span.attributes;
        said.text(names::SETTLEMENT, self.settlement.map_or(ABANDONED, settlement_name));
        if let Some(Settlement::Replaced(CopyTo::DeadLetter(reason))) = self.settlement {
            said.text(names::REASON, reason.to_string());
        }
        said.number(names::ATTEMPT, self.tries.into());
        said.number(names::HELD, count(self.received.elapsed().as_millis()));
        if let Some((outcome, reply)) = &self.last {
            said.text(names::OUTCOME, outcome_name(*outcome));
            if let Some(Reply::Answered { status, .. }) = reply {
                said.number(names::STATUS_CODE, (*status).into());
            }
        }
        if let Some((kind, text)) = self.failure() {
            error(&mut span, kind, text);
        }
        self.tracer.outlet.put(span);
    }
}

impl DeliverySpan {
    /// Why the delivery is none: what the backend said, or that we gave the message back.
    fn failure(&self) -> Option<(String, String)> {
        match (self.settlement, &self.last) {
            (_, Some((outcome, Some(reply)))) if *outcome != Outcome::Delivered => {
                Some((error_type(reply), reply.to_string()))
            }
            (None, _) => Some((ABANDONED.into(), "the session ended before".into())),
            (Some(Settlement::Ack), _) => None,
            (Some(settlement), _) => {
                Some(("given_back".into(), format!("settled by {}", settlement_name(settlement))))
            }
        }
    }
}

/// What the log's summary counts it as, but for an ack.
fn settlement_name(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Ack => "ack",
        Settlement::Replaced(CopyTo::Retry(_)) => "retry",
        Settlement::Replaced(CopyTo::DeadLetter(_)) => "dead_letter",
        Settlement::Requeue { .. } => "requeue",
        Settlement::Discard => "discard",
    }
}

pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused => "refused",
        Outcome::TryAgain { .. } => "try_again",
        Outcome::Unwell { .. } => "unwell",
    }
}

/// A span that says no more than where it belongs.
pub(super) fn blank(context: &Context, parent: Option<&Context>, kind: SpanKind) -> Span {
    Span {
        trace_id: context.trace.0.get().to_be_bytes().to_vec(),
        span_id: context.span.0.get().to_be_bytes().to_vec(),
        trace_state: context.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent
            .map(|parent| parent.span.0.get().to_be_bytes().to_vec())
            .unwrap_or_default(),
        flags: u32::from(context.flags) | parent.map_or(0, |_| remote(kind)),
        kind: kind.into(),
        ..Span::default()
    }
}

/// Whether the parent is another program's: known, and whether (OTLP, `SpanFlags`).
fn remote(kind: SpanKind) -> u32 {
    const IS_KNOWN: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    if kind == SpanKind::Consumer { IS_KNOWN | IS_REMOTE } else { IS_KNOWN }
}

/// To what made the message, as the conventions want it beside the parent.
fn link(context: &Context) -> Link {
    Link {
        trace_id: context.trace.0.get().to_be_bytes().to_vec(),
        span_id: context.span.0.get().to_be_bytes().to_vec(),
        trace_state: context.state.as_deref().unwrap_or_default().to_owned(),
        flags: u32::from(context.flags) | remote(SpanKind::Consumer),
        ..Link::default()
    }
}

pub(super) fn error(span: &mut Span, kind: String, text: String) {
    span.attributes.text(names::ERROR_TYPE, kind);
    span.status = Some(Status { code: status::StatusCode::Error.into(), message: text });
}

/// Since 1970.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
