//! What follows from a reply: the pure decisions, asked and carried out.

use std::mem::discriminant;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::attempt::{Finished, Report, Reports};
use super::line::{About, Action};
use super::window::{Due, Held, Key};
use super::{Agent, line};
use crate::broker::{Ended, Session};
use crate::outcome::{Outcome, join};
use crate::settlement::{Decision, Settlement, decide, in_doubt};

impl Agent {
    /// Takes in something that was in flight.
    pub(super) async fn finish(
        &mut self,
        session: &mut Session,
        finished: Finished,
        now: Instant,
    ) -> Result<(), Ended> {
        match finished {
            Finished::Attempt(key, reports) => self.judge(session, key, reports, now).await,
            Finished::Aside(about, report) => {
                self.aside_finished(&about, &report);
                Ok(())
            }
            Finished::Probe(report) => {
                self.observe(None, &report, now);
                self.probe_over(None);
                Ok(())
            }
            Finished::Copied(key, to, told) => self.copied(session, key, &to, told, now).await,
        }
    }

    /// Judges a try and does what follows from it.
    async fn judge(
        &mut self,
        session: &mut Session,
        key: Key,
        mut reports: Reports,
        now: Instant,
    ) -> Result<(), Ended> {
        self.in_flight -= 1;
        for report in &mut reports {
            report.outcome = self.observe(Some(key), report, now);
            self.tally.replied(report);
        }
        self.probe_over(Some(key));
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
                line::aside(&self.definition.name, backend.name(), &About::new(held), report);
            }
        }
        let outcome = join(decisive().map(|report| report.outcome));
        if matches!(outcome, Outcome::Unwell { .. }) {
            held.unwell = held.unwell.saturating_add(1);
        } else {
            held.unwell = 0;
            held.attempts.here = held.attempts.here.saturating_add(1);
        }
        held.attempts.held = now.duration_since(held.received);
        if let Outcome::Refused | Outcome::TryAgain { .. } = outcome {
            let today = seconds_since_1970();
            let first = *held.first_failure.get_or_insert(today);
            held.attempts.age = Duration::from_secs(today.saturating_sub(first));
        }
        let chance = fastrand::f64();
        let decision = decide(outcome, held.attempts, &self.policy, chance);
        // What is told is what decided: one that refuses, and not one beside it that is slow.
        let decides = |report: &&Report| discriminant(&report.outcome) == discriminant(&outcome);
        let worst = decisive().filter(decides).find(|report| report.outcome != Outcome::Delivered);
        if let Some(span) = &mut held.span {
            span.tried(outcome, worst.map(|report| &report.reply));
        }
        match (decision, worst) {
            (Decision::Settle(settlement), None) => {
                self.settle_judged(session, key, settlement, now).await
            }
            (Decision::Settle(settlement), Some(report)) => {
                let name = self.targets.get(report.target).name();
                let failed = line::Failed::new(held, name, report);
                self.tally.failed(&failed);
                line::failed(&self.definition.name, held, &failed, Action::of(settlement), None);
                self.settle_judged(session, key, settlement, now).await
            }
            (Decision::Copy(to), Some(report)) => {
                self.copy(key, to, report, chance);
                Ok(())
            }
            (decision, report) => {
                self.keep(key, decision, report, chance, now);
                Ok(())
            }
        }
    }

    /// Keeps a message for later, as `decision` says.
    pub(super) fn keep(
        &mut self,
        key: Key,
        decision: Decision,
        report: Option<&Report>,
        chance: f64,
        now: Instant,
    ) {
        let Some(held) = self.window.get(key) else { return };
        let agent = &self.definition.name;
        let name = report.map(|report| self.targets.get(report.target).name());
        let decision = if decision != Decision::Hold {
            decision
        } else if self.hold.is_on() {
            return self.window.put_back(key);
        } else {
            in_doubt(held.attempts, held.unwell, &self.policy, chance)
        };
        let tally = &self.tally;
        let closing = |held: &Held, action, wait| {
            if let (Some(report), Some(name)) = (report, name) {
                let failed = line::Failed::new(held, name, report);
                tally.failed(&failed);
                line::failed(agent, held, &failed, action, Some(wait));
            }
        };
        let (due, wait) = match decision {
            // Settled or copied by the caller; held, or in doubt, above.
            Decision::Settle(_) | Decision::Copy(_) | Decision::Hold => return,
            Decision::TryInPlace(wait) => {
                tally.tried_in_place();
                if let (Some(report), Some(name)) = (report, name) {
                    line::try_again(agent, held, name, report, wait);
                }
                (Due::Try, wait)
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
    }

    pub(super) async fn settle_judged(
        &mut self,
        session: &mut Session,
        key: Key,
        settlement: Settlement,
        now: Instant,
    ) -> Result<(), Ended> {
        let Some(held) = self.window.remove(key) else { return Ok(()) };
        if settlement == Settlement::Ack && line::attempt_number(&held) > 1 {
            line::delivered_late(&self.definition.name, &held, line::attempt_number(&held));
        }
        self.settle(session, held, settlement, now).await
    }
}

pub(super) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
