//! The span of one request to a backend, and the headers by which the backend goes on with it.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::attributes::{self as names, Say, count};
use super::context::{Context, TRACEPARENT, TRACESTATE};
use super::delivery::{blank, error, nanoseconds, outcome_name};
use super::target::Target;
use super::{Tracer, delivery};
use crate::outcome::{NotSent, Outcome, Reply, Unanswered};

/// One request, from here to its reply. Dropped before, it says that nobody waited any longer.
pub struct RequestSpan {
    context: Context,
    tracer: Tracer,
    /// `None` where the trace is not recorded.
    record: Option<Box<Record>>,
}

struct Record {
    span: Span,
    targets: Rc<[Target]>,
    target: usize,
    attempt: u32,
    /// When it began; `None` before.
    began: Option<SystemTime>,
}

impl RequestSpan {
    /// A request to the backend `target` of `targets`, which is the `attempt`-th of its message.
    pub(super) fn new(
        parent: &Context,
        tracer: &Tracer,
        targets: &Rc<[Target]>,
        target: usize,
        attempt: u32,
    ) -> Self {
        let context = parent.child(super::new_id(), parent.is_sampled());
        let record = context.is_sampled().then(|| {
            let span = blank(&context, Some(parent), SpanKind::Client);
            Box::new(Record { span, targets: Rc::clone(targets), target, attempt, began: None })
        });
        Self { context, tracer: tracer.clone(), record }
    }

    /// Tells the backend what its own spans belong to, in the place of what the message said.
    pub fn put_into(&self, headers: &mut HeaderMap) {
        const PARENT: HeaderName = HeaderName::from_static(TRACEPARENT);
        const STATE: HeaderName = HeaderName::from_static(TRACESTATE);
        if let Ok(parent) = HeaderValue::from_maybe_shared(Bytes::from(self.context.traceparent()))
        {
            headers.insert(PARENT, parent);
        }
        let state = self.context.state.as_deref();
        match state.and_then(|state| HeaderValue::from_str(state).ok()) {
            Some(state) => headers.insert(STATE, state),
            None => headers.remove(STATE),
        };
    }

    /// It begins now.
    pub fn begin(&mut self) {
        if let Some(record) = &mut self.record {
            record.began = Some(SystemTime::now());
        }
    }

    /// It took so long, and this came of it, from the `host`-th host of its backend.
    pub fn end(mut self, reply: &Reply, outcome: Outcome, host: usize, took: Duration) {
        let Some(record) = self.record.take() else { return };
        let error_type = (outcome != Outcome::Delivered).then(|| error_type(reply));
        let status = match reply {
            Reply::Answered { status, .. } => Some(*status),
            Reply::NotSent(..) | Reply::Unanswered(..) | Reply::Impossible(_) => None,
        };
        // Where a status came it says it all (semantic conventions for HTTP, "Status").
        let text = if status.is_some() { String::new() } else { reply.to_string() };
        let Some(mut span) = record.finish(host, took, error_type.map(|kind| (kind, text))) else {
            return;
        };
        span.attributes.text(names::OUTCOME, outcome_name(outcome));
        if let Some(status) = status {
            span.attributes.number(names::STATUS_CODE, status.into());
        }
        self.tracer.outlet.put(span);
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else { return };
        let took = record.began.and_then(|began| began.elapsed().ok()).unwrap_or_default();
        let text = "the daemon waited no longer".to_owned();
        if let Some(span) = record.finish(0, took, Some((delivery::ABANDONED.to_owned(), text))) {
            self.tracer.outlet.put(span);
        }
    }
}

impl Record {
    /// `None` where it never began.
    fn finish(
        self,
        host: usize,
        took: Duration,
        failure: Option<(String, String)>,
    ) -> Option<Span> {
        let Self { mut span, targets, target, attempt, began } = self;
        let (began, target) = (began?, targets.get(target)?);
        span.name = target.name();
        span.start_time_unix_nano = nanoseconds(began);
        span.end_time_unix_nano = nanoseconds(began + took);
        let said = &mut span.attributes;
        said.text(names::METHOD, target.method.as_str());
        said.text(names::BACKEND, target.backend.as_str());
        if let Some(template) = &target.template {
            said.text(names::URL_TEMPLATE, template.as_str());
        }
        if let Some(host) = target.hosts.get(host) {
            said.text(names::URL, host.url.as_str());
            said.text(names::SERVER_ADDRESS, host.address.as_str());
            if let Some(port) = host.port {
                said.number(names::SERVER_PORT, port.into());
            }
        }
        if attempt > 1 {
            said.number(names::RESEND_COUNT, count(attempt - 1));
        }
        if let Some((kind, text)) = failure {
            error(&mut span, kind, text);
        }
        Some(span)
    }
}

/// What `error.type` says of a reply that is no success: the status, or one word of a few.
pub(super) fn error_type(reply: &Reply) -> String {
    let word = match reply {
        Reply::Answered { status, .. } => return status.to_string(),
        Reply::NotSent(NotSent::Dns, _) => "name_not_resolved",
        Reply::NotSent(NotSent::Connect, _) => "no_connection",
        Reply::NotSent(NotSent::ConnectTimeout, _) => "connect_timeout",
        Reply::NotSent(NotSent::Tls, _) => "tls",
        Reply::Unanswered(Unanswered::Timeout, _) => "timeout",
        Reply::Unanswered(Unanswered::Reset, _) => "connection_lost",
        Reply::Unanswered(Unanswered::Garbage, _) => "not_http",
        Reply::Impossible(_) => "impossible_request",
    };
    word.to_owned()
}
