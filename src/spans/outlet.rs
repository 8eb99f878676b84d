//! Where finished spans wait for the exporter: so many and no more.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;

/// The most spans that wait; those that come beyond are lost, and counted.
const WAITING_MAX: usize = 8192;

/// The most spans of one batch.
pub(super) const BATCH_MAX: usize = 512;

/// What is finished and not yet under way.
///
/// The exporter is woken by the first span and when there are enough for a batch, not by each: to
/// put one there costs a message a lock that next to nobody else wants.
#[derive(Default)]
pub(super) struct Outlet {
    waiting: Mutex<Vec<Span>>,
    news: Notify,
    enough: Notify,
    lost: AtomicU64,
}

impl Outlet {
    /// Takes a finished span in, unless too many wait.
    pub(super) fn put(&self, span: Span) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            drop(waiting);
            return self.lose(1);
        }
        waiting.push(span);
        let count = waiting.len();
        drop(waiting);
        match count {
            1 => self.news.notify_one(),
            BATCH_MAX => self.enough.notify_one(),
            _ => {}
        }
    }

    /// The next batch, if any span waits: the oldest.
    pub(super) fn take(&self) -> Option<Vec<Span>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() <= BATCH_MAX {
            let all = mem::take(&mut *waiting);
            return (!all.is_empty()).then_some(all);
        }
        Some(waiting.drain(..BATCH_MAX).collect())
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns once a span waits. Cancel-safe.
    pub(super) async fn news(&self) {
        while self.waiting() == 0 {
            self.news.notified().await;
        }
    }

    /// Returns once there are enough for a batch, or for no reason. Cancel-safe.
    pub(super) async fn enough(&self) {
        if self.waiting() < BATCH_MAX {
            self.enough.notified().await;
        }
    }

    /// Counts spans that nobody will see.
    pub(super) fn lose(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many nobody will see.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn put(outlet: &Outlet, count: usize) {
        for _ in 0..count {
            outlet.put(Span::default());
        }
    }

    #[test]
    fn what_is_too_much_is_counted_and_nothing_else_is_lost() {
        let outlet = Outlet::default();
        put(&outlet, WAITING_MAX + 3);
        assert_eq!((outlet.waiting(), outlet.lost()), (WAITING_MAX, 3));
        let batches: Vec<_> = std::iter::from_fn(|| outlet.take()).map(|all| all.len()).collect();
        assert_eq!(batches.iter().sum::<usize>(), WAITING_MAX);
        assert!(batches.iter().all(|length| *length <= BATCH_MAX));
    }

    #[test]
    fn the_exporter_is_woken_by_the_first_and_by_a_whole_batch() {
        let outlet = Outlet::default();
        assert_eq!(outlet.news().now_or_never(), None);
        put(&outlet, 1);
        assert_eq!(outlet.news().now_or_never(), Some(()));
        assert_eq!(outlet.enough().now_or_never(), None);
        put(&outlet, BATCH_MAX - 1);
        assert_eq!(outlet.enough().now_or_never(), Some(()));
        outlet.take().unwrap();
        assert_eq!(outlet.news().now_or_never(), None);
    }
}
