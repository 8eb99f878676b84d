//! An agent's work while it has a session: receive within the window, hand out, judge, settle.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::attempt::{Finished, Report};
use super::hold::{Change, Permit};
use super::window::{Due, Held, Key};
use super::{Agent, Order, State, Stop, line, ordered_to_abort, ordered_to_end};
use crate::backoff;
use crate::broker::{Ended, Event, Session};
use crate::outcome::{Outcome, join};
use crate::settlement::{Decision, Settlement, decide};

/// The longest sleep when nothing is due.
const IDLE: Duration = Duration::from_mins(1);

impl Agent {
    /// Works with `session` until it ends or an order does.
    pub(super) async fn work(&mut self, mut session: Session) -> Stop {
        self.hold.kept(Instant::now());
        self.say_state();
        let reason = loop {
            if let Err(reason) = self.turn(&mut session).await {
                break reason;
            }
            let order = *self.orders.borrow_and_update();
            if order != Order::Run {
                self.state.send_replace(State::Draining);
                match self.drain(&mut session).await {
                    Ok(()) => session.close().await,
                    Err(reason) => {
                        warn!(agent = %self.definition.name, "session ended while draining: {reason}");
                        self.abandon();
                    }
                }
                return Stop::Ordered;
            }
        };
        self.abandon();
        session.close().await;
        Stop::Ended(reason)
    }

    /// One turn: what is due, what can be handed out, then whatever happens next.
    async fn turn(&mut self, session: &mut Session) -> Result<(), Ended> {
        let now = Instant::now();
        while let Some((held, settlement)) = self.window.end_waits(now) {
            self.settle(session, held, settlement).await?;
        }
        if self.hold.is_kept_too_long(self.definition.hold_max, now) {
            self.release(session).await?;
        }
        self.hand_out(now);
        self.tally.sum_up(now, self.window.len(), self.in_flight);
        let wake = self.next_wake(now);
        tokio::select! {
            biased;
            () = ordered_to_end(&mut self.orders) => {}
            Some(finished) = self.jobs.next() => self.finish(session, finished).await?,
            event = session.next() => match event? {
                Event::Delivery(delivery) => {
                    self.tally.received();
                    self.window.receive(delivery, self.targets.len());
                }
                // Asked for by `release`; it is over before the next turn.
                Event::Drained => {}
            },
            () = tokio::time::sleep_until(wake) => {}
        }
        self.tally.check(self.window.len());
        Ok(())
    }

    /// When the next turn is due even if nothing happens.
    fn next_wake(&self, now: Instant) -> Instant {
        let has_ready = self.window.ready() > 0;
        [
            Some(now + IDLE),
            Some(self.tally.next_summary()),
            self.window.next_due(),
            self.pace.wait(now).filter(|_| has_ready),
            self.hold.next_change(self.definition.hold_max, now),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + IDLE)
    }

    /// Hands out what is ready, as far as workers, rate and the backends' health allow.
    fn hand_out(&mut self, now: Instant) {
        let workers = usize::from(self.definition.workers);
        loop {
            match self.hold.permit(now) {
                Permit::Nothing => return,
                Permit::BareProbe { target } => {
                    self.hold.probe_sent(None);
                    self.jobs.push(self.targets.probe(target));
                    return;
                }
                Permit::Any | Permit::Probe => {}
            }
            if self.in_flight >= workers || self.pace.wait(now).is_some() {
                return;
            }
            let Some((key, held)) = self.window.take_ready() else { return };
            let message = held.delivery.message();
            let attempt = held.attempts.before.saturating_add(held.attempts.here).saturating_add(1);
            let job = self.targets.attempt(key, message, attempt, &held.done);
            // Told once, whatever comes of it; one that hangs costs the others nothing but this limit.
            let beside: Vec<_> = self.targets.beside(&held.done).collect();
            for target in beside {
                held.done[target] = true;
                if self.asides < workers {
                    self.asides += 1;
                    self.jobs.push(self.targets.aside(target, held.delivery.message()));
                } else {
                    let name = self.targets.get(target).name();
                    line::aside_skipped(&self.definition.name, name, held);
                }
            }
            self.jobs.push(job);
            self.in_flight += 1;
            self.pace.pass(now);
            if self.hold.current().is_some() {
                self.hold.probe_sent(Some(key));
            }
        }
    }

    async fn finish(&mut self, session: &mut Session, finished: Finished) -> Result<(), Ended> {
        match finished {
            Finished::Attempt(key, reports) => self.judge(session, key, reports).await,
            Finished::Aside(id, report) => {
                self.aside_finished(id.as_deref(), &report);
                Ok(())
            }
            Finished::Probe(report) => {
                self.observe(None, &report);
                let is_wanted = *self.orders.borrow() == Order::Run;
                if is_wanted && self.hold.current().is_none() {
                    session.resume(&self.definition.source).await?;
                    info!(agent = %self.definition.name, "consuming again");
                }
                Ok(())
            }
        }
    }

    /// Judges a try and does what follows from it.
    async fn judge(
        &mut self,
        session: &mut Session,
        key: Key,
        reports: Vec<Report>,
    ) -> Result<(), Ended> {
        self.in_flight -= 1;
        for report in &reports {
            self.tally.replied(report.took);
            self.observe(Some(key), report);
        }
        self.hold.probe_lost(Some(key));
        let Some(held) = self.window.get(key) else {
            // Its session is gone: the broker has handed it out again, or will.
            return Ok(());
        };
        let decisive =
            || reports.iter().filter(|report| self.targets.get(report.target).required());
        for report in &reports {
            let backend = self.targets.get(report.target);
            if report.outcome == Outcome::Delivered {
                held.done[report.target] = true;
            } else if !backend.required() {
                held.done[report.target] = true;
                let id = held.delivery.message().properties.message_id();
                line::aside(&self.definition.name, backend.name(), id, report);
            }
        }
        let outcome = join(decisive().map(|report| report.outcome));
        if !matches!(outcome, Outcome::Unwell { .. }) {
            held.attempts.here = held.attempts.here.saturating_add(1);
        }
        let chance = fastrand::f64();
        let decision = decide(outcome, held.attempts, &self.policy, chance);
        let worst = decisive().find(|report| report.outcome != Outcome::Delivered);
        match (decision, worst) {
            (Decision::Settle(settlement), None) => {
                self.settle_judged(session, key, settlement).await
            }
            (Decision::Settle(settlement), Some(report)) => {
                let name = self.targets.get(report.target).name();
                line::failed(&self.definition.name, held, name, report, settlement, None);
                self.settle_judged(session, key, settlement).await
            }
            (decision, report) => {
                self.keep(key, decision, outcome, report, chance);
                Ok(())
            }
        }
    }

    /// Keeps a message for later, as `decision` says.
    fn keep(
        &mut self,
        key: Key,
        decision: Decision,
        outcome: Outcome,
        report: Option<&Report>,
        chance: f64,
    ) {
        let now = Instant::now();
        let Some(held) = self.window.get(key) else { return };
        let agent = &self.definition.name;
        let name = report.map(|report| self.targets.get(report.target).name());
        match decision {
            Decision::Settle(_) => {}
            Decision::TryInPlace(wait) => {
                if let (Some(report), Some(name)) = (report, name) {
                    line::try_again(agent, held, name, report, wait);
                }
                self.window.wait(key, now + wait, Due::Try);
                self.gate(outcome, now, wait);
            }
            Decision::SettleAfter(wait, settlement) => {
                if let (Some(report), Some(name)) = (report, name) {
                    line::failed(agent, held, name, report, settlement, Some(wait));
                }
                self.window.wait(key, now + wait, Due::Settle(settlement));
                self.gate(outcome, now, backoff::IN_PLACE_MAX);
            }
            Decision::Hold if self.hold.current().is_some() => self.window.put_back(key),
            // Not certain yet that it is the backend: soon again, and not counted.
            Decision::Hold => {
                self.window.wait(key, now + backoff::in_place(1, 0.2, chance), Due::Try);
            }
        }
    }

    /// The whole backend asked for quiet: the other messages wait too.
    fn gate(&mut self, outcome: Outcome, now: Instant, wait: Duration) {
        if let Outcome::TryAgain { whole_backend: true, not_before, .. } = outcome {
            self.hold.gate(now + not_before.unwrap_or(wait));
        }
    }

    /// Lets the hold take in a reply, and says what that changed.
    fn observe(&mut self, key: Option<Key>, report: &Report) {
        if self.policy.auto_ack || !self.targets.get(report.target).required() {
            return;
        }
        let now = Instant::now();
        let change = self.hold.observe(key, report.target, report.outcome, now, fastrand::f64());
        let (agent, name) = (&self.definition.name, self.targets.get(report.target).name());
        match change {
            Change::None => return,
            Change::Began => error!(
                agent = %agent,
                backend = %name,
                held = self.window.len(),
                "backend unwell, holding: {}; nothing is lost or counted, probing until it answers",
                report.reply
            ),
            Change::Ended(lasted) => info!(
                agent = %agent,
                backend = %name,
                waited = self.window.len(),
                after_s = lasted.as_secs(),
                "backend well again: {}",
                report.reply
            ),
        }
        let holding = matches!(change, Change::Began);
        self.state.send_replace(if holding {
            State::Holding(format!("{name}: {}", report.reply))
        } else {
            State::Consuming
        });
    }

    fn say_state(&self) {
        self.state.send_if_modified(|state| {
            let consuming = self.hold.current().is_none();
            let changed = consuming && *state != State::Consuming;
            if changed {
                *state = State::Consuming;
            }
            changed
        });
    }

    async fn settle_judged(
        &mut self,
        session: &mut Session,
        key: Key,
        settlement: Settlement,
    ) -> Result<(), Ended> {
        let Some(held) = self.window.remove(key) else { return Ok(()) };
        if settlement == Settlement::Ack && line::attempt_number(&held) > 1 {
            line::delivered_late(&self.definition.name, &held, line::attempt_number(&held));
        }
        self.settle(session, held, settlement).await
    }

    /// Tells the broker, and counts it: once told, it is no longer ours whatever comes.
    async fn settle(
        &mut self,
        session: &mut Session,
        held: Held,
        settlement: Settlement,
    ) -> Result<(), Ended> {
        let told = session.settle(held.delivery, settlement).await;
        match told {
            Ok(()) => self.tally.settled(settlement),
            Err(_) => self.tally.abandoned(1),
        }
        told
    }

    /// The hold lasts too long to keep the window: gives it back, uncounted, and takes no more.
    async fn release(&mut self, session: &mut Session) -> Result<(), Ended> {
        self.stop_consuming(session).await?;
        let idle = self.window.take_idle();
        warn!(
            agent = %self.definition.name,
            messages = idle.len(),
            "the hold lasts: gave the window back to the broker, consuming again when the backend answers"
        );
        for held in idle {
            self.settle(session, held, Settlement::Requeue { counted: false }).await?;
        }
        self.hold.released();
        Ok(())
    }

    /// Cancels the consumer and takes in what the broker had sent before.
    async fn stop_consuming(&mut self, session: &mut Session) -> Result<(), Ended> {
        session.cancel().await?;
        loop {
            match session.next().await? {
                Event::Delivery(delivery) => {
                    self.tally.received();
                    self.window.receive(delivery, self.targets.len());
                }
                Event::Drained => return Ok(()),
            }
        }
    }

    /// Stops as ordered: takes no more, gives back what was never started, and finishes what is
    /// in flight up to the deadline. What then still is in flight goes back too.
    async fn drain(&mut self, session: &mut Session) -> Result<(), Ended> {
        let deadline = match *self.orders.borrow() {
            Order::Drain(limit) => Instant::now() + limit,
            Order::Run | Order::Abort => Instant::now(),
        };
        if !self.hold.is_released() {
            self.stop_consuming(session).await?;
        }
        self.give_back_idle(session).await?;
        while self.in_flight + self.asides > 0 {
            tokio::select! {
                biased;
                () = ordered_to_abort(&mut self.orders) => break,
                Some(finished) = self.jobs.next() => self.finish(session, finished).await?,
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
                "stopped waiting for replies; gave the messages back, they may arrive twice"
            );
        }
        for held in unfinished {
            self.settle(session, held, Settlement::Requeue { counted: false }).await?;
        }
        Ok(())
    }

    async fn give_back_idle(&mut self, session: &mut Session) -> Result<(), Ended> {
        for held in self.window.take_idle() {
            self.settle(session, held, Settlement::Requeue { counted: false }).await?;
        }
        Ok(())
    }
}
