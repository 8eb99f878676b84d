//! An agent's work while it has a session, turn by turn: receive within the window, hand out, settle.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use tracing::{info, warn};

use super::bells::Bells;
use super::hold::Permit;
use super::tally::published;
use super::window::{Held, Over};
use super::{Agent, Order, State, Stop, line};
use crate::broker::{Ended, Event, Session};
use crate::config::definition::BrokerAddress;
use crate::copies::History;
use crate::delivery::Delivery;
use crate::settlement::{Attempts, Settlement};

/// The longest sleep when nothing is due.
const IDLE: Duration = Duration::from_mins(1);

/// So much that has happened already is taken in by one turn.
const AT_ONCE_MAX: usize = 64;

impl Agent {
    /// Works with `session`, which `address` gave, until it ends or an order does.
    pub(super) async fn work(&mut self, mut session: Session, address: &BrokerAddress) -> Stop {
        let mut goes_on = self.begin(&session, address, Instant::now());
        let mut bells = Bells::new(&self.orders, &self.copying.blocked, self.shared.bell());
        let reason = loop {
            // Also before the first turn: an order may have come while the session began.
            if !goes_on {
                self.say(State::Draining);
                match Box::pin(self.drain(&mut session)).await {
                    Ok(()) => session.close().await,
                    Err(reason) => {
                        warn!(agent = %self.definition.name, "session ended while draining: {reason}");
                        self.abandon(session.unsaid());
                    }
                }
                return Stop::Ordered;
            }
            if let Err(reason) = self.turn(&mut session, &mut bells).await {
                break reason;
            }
            // Looked at rather than waited for: where much happens no bell is heard.
            if self.orders.has_changed().unwrap_or(true) {
                goes_on = self.heed_order(Instant::now());
            }
        };
        self.abandon(session.unsaid());
        session.close().await;
        Stop::Ended(reason)
    }

    /// A session stands: what was held or paused without one goes on in it. `false` where an order
    /// is to end.
    fn begin(&mut self, session: &Session, address: &BrokerAddress, now: Instant) -> bool {
        self.hold.kept(now);
        self.pause.kept(now);
        let order = *self.orders.borrow_and_update();
        let is_news = !order.ends() && self.pause.order(order == Order::Pause, now);
        self.say_state();
        line::connected(&self.definition, address, session, self.reconnect.failures());
        if is_news {
            self.tell_pause();
        }
        !order.ends()
    }

    /// Runs or pauses as ordered; `false` where the order is to end.
    fn heed_order(&mut self, now: Instant) -> bool {
        let order = *self.orders.borrow_and_update();
        if !order.ends() && self.pause.order(order == Order::Pause, now) {
            self.say_state();
            self.tell_pause();
        }
        !order.ends()
    }

    fn tell_pause(&self) {
        let (held, in_flight) = (self.window.len(), self.in_flight);
        let is_on = self.pause.is_on();
        let what = if is_on { "paused, finishing what is in flight" } else { "resumed" };
        info!(agent = %self.definition.name, held, in_flight, "{what}");
    }

    /// One turn: what is due, what can be handed out, then whatever happens next.
    async fn turn(&mut self, session: &mut Session, bells: &mut Bells) -> Result<(), Ended> {
        let now = Instant::now();
        self.do_what_is_due(session, now).await?;
        self.hand_out(now);
        let wake = self.next_wake(session, now);
        // Before it sleeps: who reads meanwhile is to see what was handed out.
        self.tally.turned(self.window.len(), self.in_flight);
        tokio::select! {
            biased;
            Some(finished) = self.jobs.next() => {
                self.finish(session, finished, Instant::now()).await?;
                self.catch_up(session).await?;
            }
            event = session.next() => {
                if let Event::Delivery(delivery) = event? {
                    self.receive(delivery, Instant::now());
                    self.catch_up(session).await?;
                }
                // `Drained` was asked for by `release`; it is over before the next turn.
            }
            // Nothing else is there to be done now: the broker is told what was.
            () = std::future::ready(()), if session.has_news() => session.flush(now).await?,
            () = bells.ring(wake) => {
                if self.copying.blocked.has_changed().unwrap_or(false) {
                    self.copying.blocked.mark_unchanged();
                    self.say_state();
                }
            }
        }
        Ok(())
    }

    /// Takes in what else has happened already, so that many messages share one turn.
    async fn catch_up(&mut self, session: &mut Session) -> Result<(), Ended> {
        let now = Instant::now();
        for _ in 0..AT_ONCE_MAX {
            // Whatever wakes these wakes the next turn, which asks them again before it sleeps.
            if let Some(Some(finished)) = self.jobs.next().now_or_never() {
                self.finish(session, finished, now).await?;
            } else if let Some(delivery) = session.take() {
                self.receive(delivery, now);
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Ends the waits that are over, gives back what is to be given back, says what is to be said.
    async fn do_what_is_due(&mut self, session: &mut Session, now: Instant) -> Result<(), Ended> {
        while let Some(over) = self.window.end_waits(now) {
            match over {
                Over::Settle(held, settlement) => {
                    self.settle(session, *held, settlement, now).await?;
                }
                Over::Copy(key) => self.publish(key),
            }
        }
        self.heed_others(now);
        let pause_is_long = self.pause.release_at(self.keep_max).is_some_and(|at| at <= now);
        if pause_is_long || self.hold.is_kept_too_long(self.keep_max, now) {
            self.release(session).await?;
        }
        if self.hold.is_released() || self.pause.is_released() {
            // What was in flight at the release, and came back since.
            self.give_back_idle(session).await?;
        } else if !session.is_consuming() {
            session.resume(&self.definition.source).await?;
            info!(agent = %self.definition.name, "consuming again");
        }
        if self.policy.can_requeue {
            self.give_back_overdue(session, now).await?;
        }
        if session.flush_due().is_some_and(|due| due <= now) {
            session.flush(now).await?;
        }
        self.tally.sum_up(now, self.window.len(), self.in_flight);
        Ok(())
    }

    /// Takes in a message that has just come, with what it brings along of earlier deliveries.
    pub(super) fn receive(&mut self, mut delivery: Delivery, now: Instant) {
        self.tally.received();
        let history = History::take_up(&mut delivery.message);
        let attempts = Attempts::after(&history, self.policy.retry.strategy);
        let done = self.targets.done(&history);
        self.window.receive(delivery, attempts, history.first_failure, done, now);
    }

    /// When the next turn is due even if nothing happens.
    fn next_wake(&self, session: &Session, now: Instant) -> Instant {
        let has_ready = self.window.ready() > 0;
        [
            Some(now + IDLE),
            Some(self.tally.next_summary()),
            self.window.next_due(),
            session.flush_due(),
            self.pace.wait(now).filter(|_| has_ready),
            self.hold.next_change(self.keep_max, now),
            self.pause.release_at(self.keep_max),
            self.shared.next_change(now),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + IDLE)
    }

    /// Hands out what is ready, as far as workers, rate and the backends' health allow.
    fn hand_out(&mut self, now: Instant) {
        let workers = usize::from(self.definition.workers);
        if self.pause.is_on() || self.shared.quiet_until(now).is_some() {
            return;
        }
        loop {
            let permit = self.hold.permit(now);
            match permit {
                Permit::Nothing => return,
                Permit::BareProbe { target } => return self.probe_without_message(target, now),
                Permit::Any | Permit::Probe => {}
            }
            if self.in_flight >= workers || self.pace.wait(now).is_some() {
                return;
            }
            let is_probe = permit == Permit::Probe;
            if self.window.ready() == 0 {
                return;
            }
            let turns = if is_probe { self.shared.take_turns(now) } else { Some(Vec::new()) };
            // Another agent probes these hosts for all, or it is not time yet.
            let Some(turns) = turns else { return };
            let taken = if is_probe { self.window.take_probe() } else { self.window.take_ready() };
            let Some((key, held)) = taken else { return };
            if let Some(spans) = &self.spans {
                held.span.get_or_insert_with(|| spans.delivery(&held.delivery, held.received));
            }
            let job = self.targets.attempt(key, held);
            // Told once, whatever comes of it; one that hangs costs the others nothing but this limit.
            let beside: Vec<_> = self.targets.beside(&held.done).collect();
            for target in beside {
                held.done[target] = true;
                if self.asides < workers {
                    self.asides += 1;
                    self.jobs.push(self.targets.aside(target, held));
                } else {
                    let name = self.targets.get(target).name();
                    line::aside_skipped(&self.definition.name, name, held);
                }
            }
            self.jobs.push(job);
            self.in_flight += 1;
            self.pace.pass(now);
            if is_probe {
                self.hold.probe_sent(Some(key));
                self.shared.probe_sent(Some(key), turns);
            }
        }
    }

    /// Asks a backend that is unwell whether it is there; at most one such request is under way.
    fn probe_without_message(&mut self, target: usize, now: Instant) {
        if let Some(turns) = self.shared.take_turn_at(target, now) {
            self.hold.probe_sent(None);
            self.shared.probe_sent(None, turns);
            self.jobs.push(self.targets.probe(target));
        }
    }

    /// Says what it does while it has a session; once it drains it does nothing else.
    pub(super) fn say_state(&self) {
        if self.state.borrow().state != State::Draining {
            let now = Instant::now();
            let is_blocked = *self.copying.blocked.borrow();
            self.tally.unwell(&self.hold, &self.shared, now);
            let down = self.shared.down(now);
            let down = down.map(|(target, why)| line::said(self.targets.get(target).name(), &why));
            self.say(match down.or_else(|| self.unwell.clone()) {
                _ if self.pause.is_on() => State::Paused,
                Some(reason) => State::Holding(reason),
                None if is_blocked => State::Holding("the broker confirms no copies".to_owned()),
                None => State::Consuming,
            });
        }
    }

    /// Settles a message, and counts it: once settled, it is no longer ours whatever comes.
    pub(super) async fn settle(
        &mut self,
        session: &mut Session,
        mut held: Held,
        settlement: Settlement,
        now: Instant,
    ) -> Result<(), Ended> {
        if let Some(span) = &mut held.span {
            span.settled(settlement, held.attempts.tries());
        }
        // Only of what arrived is it told how long that took.
        let properties = &held.delivery.message().properties;
        let published = (settlement == Settlement::Ack).then(|| published(properties)).flatten();
        let told = session.settle(held.delivery, settlement, now).await;
        match told {
            Ok(()) => self.tally.settled(settlement, published),
            Err(_) => self.tally.abandoned(1),
        }
        told
    }
}
