//! What wakes an agent seldom: an order, news of the others, a time.
//!
//! Kept over all turns of a session, so that a message registers with none of them.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep};

use super::Order;

/// The bells of one agent, while it has a session.
pub(super) struct Bells {
    orders: watch::Receiver<Order>,
    blocked: watch::Receiver<bool>,
    news: Arc<Notify>,
    any: LocalBoxFuture<'static, ()>,
    timer: Pin<Box<Sleep>>,
}

impl Bells {
    /// They ring for what `orders` and `blocked` have not seen yet, and for `news`.
    pub(super) fn new(
        orders: &watch::Receiver<Order>,
        blocked: &watch::Receiver<bool>,
        news: &Arc<Notify>,
    ) -> Self {
        let (orders, blocked, news) = (orders.clone(), blocked.clone(), Arc::clone(news));
        let any = any(orders.clone(), blocked.clone(), Arc::clone(&news));
        let timer = Box::pin(tokio::time::sleep_until(Instant::now()));
        Self { orders, blocked, news, any: Box::pin(any), timer }
    }

    /// Returns when one rings, at `until`, or earlier for no reason: a time that is put off moves
    /// no timer. To move it for each message would cost more than one turn for nothing now and then.
    ///
    /// Cancel-safe: one that rang is heard by the next call.
    pub(super) async fn ring(&mut self, until: Instant) {
        if self.timer.is_elapsed() || until < self.timer.deadline() {
            self.timer.as_mut().reset(until);
        }
        tokio::select! {
            biased;
            () = &mut self.any => {
                // What changes from here on rings again.
                self.orders.mark_unchanged();
                self.blocked.mark_unchanged();
                let any = any(self.orders.clone(), self.blocked.clone(), Arc::clone(&self.news));
                self.any = Box::pin(any);
            }
            () = &mut self.timer => {}
        }
    }
}

/// Returns once any of them rings.
async fn any(
    mut orders: watch::Receiver<Order>,
    mut blocked: watch::Receiver<bool>,
    news: Arc<Notify>,
) {
    // What nobody changes any more does not ring.
    let ordered = async {
        if orders.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let blocked = async {
        if blocked.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = ordered => {}
        () = blocked => {}
        () = news.notified() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_rings_once_and_rings_again_for_the_next_change() {
        let (order, orders) = watch::channel(Order::Run);
        let (block, blocked) = watch::channel(false);
        let news = Arc::new(Notify::new());
        let mut bells = Bells::new(&orders, &blocked, &news);
        let later = Instant::now() + Duration::from_hours(1);
        // The timer of a new one is one turn for nothing.
        bells.ring(later).await;
        assert_eq!(bells.ring(later).now_or_never(), None);
        for _ in 0..2 {
            order.send_replace(Order::Abort);
            assert_eq!(bells.ring(later).now_or_never(), Some(()));
            block.send_replace(true);
            assert_eq!(bells.ring(later).now_or_never(), Some(()));
            news.notify_one();
            assert_eq!(bells.ring(later).now_or_never(), Some(()));
            assert_eq!(bells.ring(later).now_or_never(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_comes_nearer_is_kept_and_one_put_off_costs_a_turn() {
        let (_order, orders) = watch::channel(Order::Run);
        let (_block, blocked) = watch::channel(false);
        let mut bells = Bells::new(&orders, &blocked, &Arc::default());
        let start = Instant::now();
        let second = Duration::from_secs(1);
        bells.ring(start).await;
        assert_eq!(bells.ring(start + 10 * second).now_or_never(), None);
        bells.ring(start + second).await;
        assert_eq!(start.elapsed().as_secs(), 1);
        assert_eq!(bells.ring(start + 2 * second).now_or_never(), None);
        bells.ring(start + 5 * second).await;
        assert_eq!(start.elapsed().as_secs(), 2, "for nothing");
        bells.ring(start + 5 * second).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn a_sender_that_is_gone_does_not_ring() {
        let (order, orders) = watch::channel(Order::Run);
        let (block, blocked) = watch::channel(false);
        let mut bells = Bells::new(&orders, &blocked, &Arc::default());
        bells.ring(Instant::now()).await;
        drop((order, block));
        let later = Instant::now() + Duration::from_hours(1);
        assert_eq!(bells.ring(later).now_or_never(), None);
    }
}
