//! How an agent lets go of messages: all of them when it stops, the idle ones when a hold lasts.

use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{info, warn};

use super::window::Held;
use super::{Agent, Order, ordered_to_abort};
use crate::broker::{Ended, Event, Session};
use crate::settlement::Settlement;

impl Agent {
    /// The hold lasts too long to keep the window: gives it back, uncounted, and takes no more.
    pub(super) async fn release(&mut self, session: &mut Session) -> Result<(), Ended> {
        // One of a pause and a hold may have given it back before the other is to.
        if session.is_consuming() {
            self.stop_consuming(session).await?;
        }
        let idle = self.window.take_idle();
        let messages = idle.len();
        self.give_back(session, idle).await?;
        self.hold.released(Instant::now());
        self.pause.released();
        let agent = &self.definition.name;
        if self.pause.is_on() {
            info!(agent = %agent, messages, "the pause lasts: gave the window back to the broker, consuming again when resumed");
        } else {
            warn!(agent = %agent, messages, "the hold lasts: gave the window back to the broker, consuming again when the backend answers");
        }
        Ok(())
    }

    /// Cancels the consumer and takes in what the broker had sent before.
    async fn stop_consuming(&mut self, session: &mut Session) -> Result<(), Ended> {
        session.flush(Instant::now()).await?;
        session.cancel().await?;
        loop {
            match session.next().await? {
                Event::Delivery(delivery) => self.receive(delivery, Instant::now()),
                Event::Drained => return Ok(()),
            }
        }
    }

    /// Stops as ordered: takes no more, gives back what was never started, and finishes what is
    /// in flight up to the deadline. What then still is in flight goes back too.
    pub(super) async fn drain(&mut self, session: &mut Session) -> Result<(), Ended> {
        let deadline = match *self.orders.borrow() {
            Order::Drain(limit) => Instant::now() + limit,
            Order::Run | Order::Pause | Order::Abort => Instant::now(),
        };
        if session.is_consuming() {
            self.stop_consuming(session).await?;
        }
        self.give_back_idle(session).await?;
        while self.in_flight + self.asides + self.copying.under_way() > 0 {
            tokio::select! {
                biased;
                () = ordered_to_abort(&mut self.orders) => break,
                Some(finished) = self.jobs.next() => {
                    self.finish(session, finished, Instant::now()).await?;
                }
                () = std::future::ready(()), if session.has_news() => {
                    session.flush(Instant::now()).await?;
                }
                () = tokio::time::sleep_until(deadline) => break,
            }
            // A message that failed waits for nothing now: it is we who are in the way.
            self.give_back_idle(session).await?;
        }
        let unfinished = self.window.take_all();
        if !unfinished.is_empty() {
            warn!(
                agent = %self.definition.name,
                messages = unfinished.len(),
                "stopped waiting for replies and confirms; gave the messages back, they may arrive twice"
            );
        }
        self.give_back(session, unfinished).await
    }

    /// Gives back what was held for too long without being tried: it comes again, and the broker
    /// does not end the session over it.
    pub(super) async fn give_back_overdue(
        &mut self,
        session: &mut Session,
        now: Instant,
    ) -> Result<(), Ended> {
        let overdue = self.window.take_overdue(now);
        if !overdue.is_empty() {
            warn!(
                agent = %self.definition.name,
                messages = overdue.len(),
                "held for long and not tried: gave messages back, they come again; the window is too large for the rate, a backend unwell or asking for quiet, or the broker takes no copies"
            );
        }
        self.give_back(session, overdue).await
    }

    /// Gives back what is not in flight, uncounted.
    pub(super) async fn give_back_idle(&mut self, session: &mut Session) -> Result<(), Ended> {
        let idle = self.window.take_idle();
        self.give_back(session, idle).await
    }

    /// Gives messages back, uncounted. Where the session ends meanwhile the rest is given up.
    async fn give_back(&mut self, session: &mut Session, all: Vec<Held>) -> Result<(), Ended> {
        let mut all = all.into_iter();
        while let Some(held) = all.next() {
            let settlement = Settlement::Requeue { counted: false };
            let told = self.settle(session, held, settlement, Instant::now()).await;
            if told.is_err() {
                self.tally.abandoned(all.len());
                all.for_each(|held| held.delivery.abandon());
                return told;
            }
        }
        Ok(())
    }
}
