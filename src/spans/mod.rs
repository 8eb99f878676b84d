//! What is told of each message's way to whoever collects spans (OpenTelemetry), while somebody does.
//!
//! ```text
//! traceparent of the message ─▶ delivery span ─▶ request span ─▶ traceparent of the request
//!        context                   delivery         request              │
//!                                     └───── outlet ──┴─▶ exporter ─▶ collector
//! ```
//!
//! A [`Tracer`] is what agents make spans with. Where there is none, a message costs one look at
//! that. What is finished waits in the outlet, which has a limit: a collector that is away or slow
//! costs spans, never messages.

mod attributes;
pub mod context;
mod delivery;
mod exporter;
mod outlet;
mod request;
mod sampling;
mod target;
mod trouble;

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;

pub use self::attributes::{Attribute, DELIVERY, REQUEST, RESOURCE};
pub use self::context::{Context, TraceId};
pub use self::delivery::{AgentSpans, DeliverySpan};
pub use self::exporter::Exporter;
pub use self::request::RequestSpan;
pub use self::sampling::Sampling;

use self::context::SpanId;
use self::outlet::Outlet;

/// What spans are made with, by all agents. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    sampling: Sampling,
    outlet: Arc<Outlet>,
}

impl Tracer {
    /// The context of a new span: in the trace of `parent`, or the first of a new trace.
    fn context(&self, parent: Option<&Context>) -> Context {
        if let Some(parent) = parent {
            return parent.child(new_id(), self.sampling.samples(parent.trace, Some(parent)));
        }
        let trace = new_trace_id();
        Context::root(trace, new_id(), self.sampling.samples(trace, None))
    }
}

fn new_id() -> SpanId {
    SpanId(NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN))
}

fn new_trace_id() -> TraceId {
    TraceId(NonZeroU128::new(fastrand::u128(1..)).unwrap_or(NonZeroU128::MIN))
}

#[cfg(test)]
mod tests;
