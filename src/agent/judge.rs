//! What follows from a reply: the pure decisions, asked and carried out.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{error, info};

use super::attempt::{Finished, Report};
use super::hold::Change;
use super::line::Action;
use super::window::{Due, Held, Key};
use super::{Agent, line};
use crate::backoff;
use crate::broker::{Ended, Session};
use crate::outcome::{Outcome, Reply, join};
use crate::settlement::{Decision, Settlement, decide, in_doubt};

impl Agent {
    /// Takes in something that was in flight.
    pub(super) async fn finish(
        &mut self,
        session: &mut Session,
        finished: Finished,
    ) -> Result<(), Ended> {
        match finished {
            Finished::Attempt(key, reports) => self.judge(session, key, reports).await,
            Finished::Aside(id, report) => {
                self.aside_finished(id.as_deref(), &report);
                Ok(())
            }
            Finished::Probe(report) => {
                self.observe(None, &report);
                Ok(())
            }
            Finished::Copied(key, told) => self.copied(session, key, told).await,
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
        if matches!(outcome, Outcome::Unwell { .. }) {
            held.unwell = held.unwell.saturating_add(1);
        } else {
            held.unwell = 0;
            held.attempts.here = held.attempts.here.saturating_add(1);
        }
        held.attempts.held = held.received.elapsed();
        if let Outcome::Refused | Outcome::TryAgain { .. } = outcome {
            let now = seconds_since_1970();
            let first = *held.first_failure.get_or_insert(now);
            held.attempts.age = Duration::from_secs(now.saturating_sub(first));
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
                let failed = line::Failed::new(held, name, report);
                line::failed(&self.definition.name, held, &failed, Action::of(settlement), None);
                self.gate(outcome, Instant::now(), backoff::IN_PLACE_MAX);
                self.settle_judged(session, key, settlement).await
            }
            (Decision::Copy(to), Some(report)) => {
                self.gate(outcome, Instant::now(), backoff::IN_PLACE_MAX);
                self.copy(key, to, report, chance);
                Ok(())
            }
            (decision, report) => {
                self.keep(key, decision, outcome, report, chance);
                Ok(())
            }
        }
    }

    /// Keeps a message for later, as `decision` says.
    pub(super) fn keep(
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
        let decision = if decision != Decision::Hold {
            decision
        } else if self.hold.current().is_some() {
            return self.window.put_back(key);
        } else {
            in_doubt(held.attempts, held.unwell, &self.policy, chance)
        };
        let closing = |held: &Held, action, wait| {
            if let (Some(report), Some(name)) = (report, name) {
                let failed = line::Failed::new(held, name, report);
                line::failed(agent, held, &failed, action, Some(wait));
            }
        };
        let (due, wait) = match decision {
            // Settled or copied by the caller; held, or in doubt, above.
            Decision::Settle(_) | Decision::Copy(_) | Decision::Hold => return,
            Decision::TryInPlace(wait) => {
                if let (Some(report), Some(name)) = (report, name) {
                    line::try_again(agent, held, name, report, wait);
                }
                self.window.wait(key, now + wait, Due::Try);
                return self.gate(outcome, now, wait);
            }
            Decision::TryOn(wait) => {
                closing(held, Action::TriedOn, wait);
                held.attempts.next();
                (Due::Try, wait)
            }
            Decision::Stuck(wait) => {
                closing(held, Action::Stuck, wait);
                held.attempts.next();
                (Due::Try, wait)
            }
            Decision::SettleAfter(wait, settlement) => {
                closing(held, Action::of(settlement), wait);
                (Due::Settle(settlement), wait)
            }
        };
        self.window.wait(key, now + wait, due);
        self.gate(outcome, now, backoff::IN_PLACE_MAX);
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
        // What the message makes of silence is its own affair; a hold lasts until an answer.
        let silent = matches!(report.reply, Reply::Unanswered(..));
        let outcome = if silent && self.hold.current().is_some() {
            Outcome::Unwell { certain: true }
        } else {
            report.outcome
        };
        let change = self.hold.observe(key, report.target, outcome, now, fastrand::f64());
        let (agent, name) = (&self.definition.name, self.targets.get(report.target).name());
        match change {
            Change::None => return,
            Change::Began => error!(
                agent = %agent,
                backend = %name,
                held = self.window.len(),
                "backend unwell, holding: {}; no message is lost and no attempt counted, probing until it answers",
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
        let began = matches!(change, Change::Began);
        self.unwell = began.then(|| format!("{name}: {}", report.reply));
        self.say_state();
    }

    pub(super) async fn settle_judged(
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
}

pub(super) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
