//! Which traces are recorded: pure.

use super::context::{Context, TraceId};

/// Of 2^63, as OpenTelemetry's `TraceIdRatioBased` counts: all that sample the same share choose the
/// same traces.
const WHOLE: u64 = 1 << 63;

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Out of [`WHOLE`].
    share: u64,
    /// Whoever began the trace has decided.
    heeds_parent: bool,
}

impl Sampling {
    /// A trace that a message brings is recorded if its `traceparent` says so; of those that begin
    /// here, this share, 0 to 1.
    #[must_use]
    pub fn parent_based(share: f64) -> Self {
        Self { heeds_parent: true, ..Self::by_id(share) }
    }

    /// This share of all traces, 0 to 1, whatever a `traceparent` says.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the product is within 0 and 2^63, and need not be exact"
    )]
    pub fn by_id(share: f64) -> Self {
        let share = (share.clamp(0.0, 1.0) * WHOLE as f64) as u64;
        Self { share, heeds_parent: false }
    }

    /// Whether a span of `trace` is recorded, whose parent is `parent`.
    #[must_use]
    pub fn samples(self, trace: TraceId, parent: Option<&Context>) -> bool {
        if let Some(parent) = parent.filter(|_| self.heeds_parent) {
            return parent.is_sampled();
        }
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what counts")]
        let low = trace.0.get() as u64;
        low >> 1 < self.share
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU64, NonZeroU128};

    use super::*;
    use crate::spans::context::SpanId;

    fn trace(low: u64) -> TraceId {
        TraceId(NonZeroU128::new(u128::from(low) | 1 << 100).unwrap())
    }

    fn parent(is_sampled: bool) -> Context {
        Context::root(trace(0), SpanId(NonZeroU64::MIN), is_sampled)
    }

    #[test]
    fn whoever_began_a_trace_has_decided() {
        for share in [0.0, 0.5, 1.0] {
            let sampling = Sampling::parent_based(share);
            assert!(sampling.samples(trace(u64::MAX), Some(&parent(true))));
            assert!(!sampling.samples(trace(0), Some(&parent(false))));
        }
        assert!(Sampling::by_id(1.0).samples(trace(u64::MAX), Some(&parent(false))));
        assert!(!Sampling::by_id(0.0).samples(trace(0), Some(&parent(true))));
    }

    #[test]
    fn of_new_traces_the_share_is_recorded_whose_ids_are_low() {
        let of = |share: f64, low| Sampling::parent_based(share).samples(trace(low), None);
        assert!(!of(0.0, 0) && of(1.0, u64::MAX));
        assert!(of(0.5, u64::MAX / 2) && !of(0.5, u64::MAX / 2 + 2));
        assert!(of(0.25, u64::MAX / 4) && !of(0.25, u64::MAX / 4 + 2));
    }
}
