//! One try of a rehearsal: what the backends say, and what follows from it, as
//! [`judge`](super::super::judge) and [`heed`](super::super::heed) have it.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::play::{CHANCE, Play};
use super::queue::come_back;
use super::{Ending, Endless, Event, Said, Wait};
use crate::agent::attempt::{Report, Reports};
use crate::agent::breaker::Sign;
use crate::agent::heed::{excused, sign, wish};
use crate::agent::hold::{Change, Seen};
use crate::agent::window::{Due, Key};
use crate::backend::News;
use crate::config::definition::{BackendDefinition, Dispatch};
use crate::copies::{self, Failure};
use crate::delivery::Message;
use crate::outcome::{Outcome, Reply, join, judge};
use crate::settlement::{CopyTo, Decision, Reason, Settlement, decide, in_doubt, requeue_later};

impl Play<'_> {
    /// Tries the message at all backends that are due, and does what follows.
    pub(super) fn attempt(
        &mut self,
        key: Key,
        message: &Message,
        attempt: u32,
        done: &[bool],
        as_probe: bool,
    ) {
        self.replies.next_try();
        self.wish = Wait::default();
        let backends = &self.definition.backends;
        let is_sequential = matches!(self.definition.dispatch, Dispatch::Sequential);
        let (mut reports, mut said) = (Reports::new(), Vec::new());
        let started = self.now;
        for target in (0..backends.len()).filter(|&target| !done[target]) {
            if is_sequential || backends[target].required {
                let report = self.report(target, message, attempt);
                let is_over = is_sequential
                    && backends[target].required
                    && report.outcome != Outcome::Delivered;
                self.now = if is_sequential { self.now + report.took } else { self.now };
                reports.push(report);
                if is_over {
                    break;
                }
            } else {
                let aside = self.report(target, message, 1);
                said.push((target, self.said(&aside)));
                if let Some(held) = self.window.get(key) {
                    held.done[target] = true;
                }
            }
        }
        if !is_sequential {
            let longest = reports.iter().map(|report| report.took).max();
            self.now = started + longest.unwrap_or_default();
        }
        let was_on = self.hold.is_on();
        let mut began = Vec::new();
        for report in &mut reports {
            report.outcome = self.observe(Some(key), report, &mut began);
            said.push((report.target, self.said(report)));
        }
        self.hold.probe_over(Some(key));
        self.shared.probe_over(Some(key));
        said.sort_by_key(|(target, _)| *target);
        let said = said.into_iter().map(|(_, said)| said).collect();
        self.say(Event::Tried { attempt, as_probe, said });
        for event in began {
            self.say(event);
        }
        if was_on && !self.hold.is_on() {
            self.say(Event::HoldEnded);
        }
        self.judge(key, &reports);
    }

    /// Asks a backend that is unwell with `HEAD`; `false` where it is not this agent's turn.
    pub(super) fn ask(&mut self, target: usize) -> bool {
        let Some(turns) = self.shared.take_turn_at(target, self.now) else { return false };
        self.hold.probe_sent(None);
        self.shared.probe_sent(None, turns);
        self.replies.next_try();
        let backend = &self.definition.backends[target];
        let (reply, took) = self.replies.of(backend);
        let report = report(target, backend, reply, self.now, took);
        self.now += took;
        let mut began = Vec::new();
        self.observe(None, &report, &mut began);
        self.hold.probe_over(None);
        self.shared.probe_over(None);
        let said = self.said(&report);
        self.say(Event::Asked(said));
        let is_unwell = self.hold.is_open(target) || self.shared.is_down(target, self.now);
        if is_unwell && self.replies.repeat() {
            self.end(Ending::Never(Endless::Held));
        }
        true
    }

    fn report(&self, target: usize, message: &Message, attempt: u32) -> Report {
        let backend = &self.definition.backends[target];
        let (reply, took) = match self.templates[target].build(message, attempt) {
            Ok(_) => self.replies.of(backend),
            Err(error) => (Reply::Impossible(error.to_string()), Duration::ZERO),
        };
        report(target, backend, reply, self.now, took)
    }

    fn said(&self, report: &Report) -> Said {
        let backend = &self.definition.backends[report.target];
        Said {
            backend: Arc::clone(&backend.name),
            required: backend.required,
            reply: report.reply.to_string(),
            outcome: report.outcome,
        }
    }

    fn observe(&mut self, key: Option<Key>, report: &Report, began: &mut Vec<Event>) -> Outcome {
        let (target, now) = (report.target, self.now);
        let backend = &self.definition.backends[target];
        if !backend.required {
            return report.outcome;
        }
        let held = key.and_then(|key| self.window.get(key));
        let sign = sign(report, key.is_none(), held.map(|held| held.delivery.message()));
        if let (false, Some(sign)) = (self.policy.auto_ack, sign) {
            let news = self.shared.observe(report, now, CHANCE);
            let seen = Seen { key, target, sign, started: report.started };
            if sign == Sign::Well {
                self.heed_others();
            }
            let change = self.hold.observe(seen, now, CHANCE);
            let (is_down, is_open) =
                (matches!(news, Some(News::Down { .. })), matches!(change, Change::Opened));
            if is_down || is_open {
                let backend = Arc::clone(&backend.name);
                began.push(Event::HoldBegan { backend, unreachable: is_down });
            }
            self.heed_others();
        }
        if let Outcome::TryAgain { whole_backend: true, not_before, .. } = report.outcome {
            let faults = self.hold.faults(target);
            let wish =
                ranged(|chance| Some(wish(not_before, faults, self.policy.retry.jitter, chance)));
            self.wish = self.wish.max(wish);
            self.shared.quiet(target, now + wish.middle, now);
        }
        excused(report.outcome, self.hold.excuses(key, target))
    }

    pub(super) fn heed_others(&mut self) {
        let down = self.shared.down(self.now).map(|(target, _)| target);
        self.hold.share(down, self.now);
    }

    fn judge(&mut self, key: Key, reports: &Reports) {
        let (now, today) = (self.now, self.seconds_since_1970());
        let backends = &self.definition.backends;
        let Some(held) = self.window.get(key) else { return };
        for report in reports {
            if report.outcome == Outcome::Delivered || !backends[report.target].required {
                held.done[report.target] = true;
            }
        }
        let decisive = || reports.iter().filter(|report| backends[report.target].required);
        let outcome = join(decisive().map(|report| report.outcome));
        if matches!(outcome, Outcome::Unwell { .. }) {
            held.unwell = held.unwell.saturating_add(1);
        } else {
            held.unwell = 0;
            held.attempts.here = held.attempts.here.saturating_add(1);
        }
        held.attempts.held = now.duration_since(held.received);
        if let Outcome::Refused | Outcome::TryAgain { .. } = outcome {
            let first = *held.first_failure.get_or_insert(today);
            held.attempts.age = Duration::from_secs(today.saturating_sub(first));
        }
        let attempts = held.attempts;
        let decision = decide(outcome, attempts, &self.policy, CHANCE);
        let wait = ranged(|chance| wait_of(decide(outcome, attempts, &self.policy, chance)));
        let decides = |report: &&Report| discriminant(&report.outcome) == discriminant(&outcome);
        let worst = decisive().filter(decides).find(|report| report.outcome != Outcome::Delivered);
        match (decision, worst) {
            (Decision::Settle(Settlement::Ack), Some(_)) => {
                self.end(Ending::Acked);
            }
            (Decision::Settle(settlement), _) => {
                let Some(held) = self.window.remove(key) else { return };
                if let Settlement::Requeue { counted } = settlement {
                    let in_queue = self.queue.next_wait(held.delivery.message());
                    self.say(Event::Requeue { wait: Wait::default(), counted, in_queue });
                }
                self.settle(held, settlement);
            }
            (Decision::Copy(to), Some(report)) => self.copy(key, to, report),
            (decision, _) => self.keep(key, decision, wait),
        }
    }

    /// Keeps the message for `wait`, as `decision` says.
    fn keep(&mut self, key: Key, decision: Decision, mut wait: Wait) {
        let Some(held) = self.window.get(key) else { return };
        let (mut decision, mut is_in_doubt) = (decision, false);
        if decision == Decision::Hold {
            if self.hold.is_on() {
                return self.window.put_back(key);
            }
            let (attempts, unwell, policy) = (held.attempts, held.unwell, &self.policy);
            decision = in_doubt(attempts, unwell, policy, CHANCE);
            wait = ranged(|chance| wait_of(in_doubt(attempts, unwell, policy, chance)));
            is_in_doubt = true;
        }
        let until = self.now + wait.middle;
        let (due, event) = match decision {
            // Settled or copied by the caller; held, or in doubt, above.
            Decision::Settle(_) | Decision::Copy(_) | Decision::Hold => return,
            Decision::TryInPlace(_) => {
                let is_left_alone = self.shared.quiet_until(self.now).is_some_and(|at| at > until);
                let wait = if is_left_alone { wait.max(self.wish) } else { wait };
                (Due::Try, Event::TryInPlace { wait, is_left_alone, in_doubt: is_in_doubt })
            }
            Decision::TryOn(_) => {
                held.attempts.next();
                (Due::Try, Event::TryOn(wait))
            }
            Decision::Stuck(_) => {
                held.attempts.next();
                (Due::Try, Event::Stuck(wait))
            }
            Decision::SettleAfter(_, settlement) => {
                let counted = settlement == Settlement::Requeue { counted: true };
                let message = held.delivery.message();
                let in_queue = if counted { self.queue.next_wait(message) } else { Duration::ZERO };
                (Due::Settle(settlement), Event::Requeue { wait, counted, in_queue })
            }
        };
        if matches!(event, Event::Stuck(_)) && self.replies.repeat() {
            self.end(Ending::Never(Endless::Stuck));
        }
        self.say(event);
        self.window.wait(key, until, due);
    }

    /// The copy that takes the message's place.
    fn copy(&mut self, key: Key, to: CopyTo, report: &Report) {
        let (today, source) = (self.seconds_since_1970(), &self.definition.source);
        let Some(held) = self.window.get(key) else { return };
        let backends = &self.definition.backends;
        let done = backends.iter().zip(&held.done).filter(|(_, done)| **done);
        let failure = Failure {
            agent: &self.definition.name,
            backend: &backends[report.target].name,
            error: report.reply.to_string(),
            status: match report.reply {
                Reply::Answered { status, .. } => Some(status),
                Reply::NotSent(..) | Reply::Unanswered(..) | Reply::Impossible(_) => None,
            },
            excerpt: &[],
            attempts: held.attempts.before.saturating_add(1),
            tries: held.attempts.tries(),
            first: held.first_failure.unwrap_or(today),
            last: today,
            done: done.map(|(backend, _)| &*backend.name).collect(),
            traceparent: None,
        };
        let (message, attempts) = (held.delivery.message(), held.attempts);
        let kind = source.copy_kind();
        match to {
            CopyTo::Retry(delay) => {
                let copy = copies::retry(message, &failure, &source.queue.name, kind, delay);
                if let Some(copy) = copy {
                    self.say(Event::CopyTo { queue: copy.routing_key.clone(), delay });
                    self.take(key);
                    return self.come_after(delay, come_back(copy, &source.queue.name));
                }
            }
            CopyTo::DeadLetter(reason) => {
                let reason = match report.reply {
                    Reply::Impossible(_) => Reason::Impossible,
                    Reply::Answered { .. } | Reply::NotSent(..) | Reply::Unanswered(..) => reason,
                };
                if let Some(target) = &self.definition.dead_letter {
                    let copy = copies::dead_letter(message, &failure, reason, target, kind);
                    let (exchange, routing_key) = (copy.exchange, copy.routing_key);
                    return self.end(Ending::DeadLettered { exchange, routing_key, reason });
                }
            }
        }
        let later = |chance| requeue_later(None, attempts, &self.policy, chance);
        let (decision, wait) = (later(CHANCE), ranged(|chance| wait_of(later(chance))));
        self.keep(key, decision, wait);
    }

    fn take(&mut self, key: Key) {
        if let Some(held) = self.window.remove(key) {
            held.delivery.abandon();
        }
    }
}

/// A wait by chance: in the middle, at the least and at the most.
fn ranged(wait: impl Fn(f64) -> Option<Duration>) -> Wait {
    let middle = wait(CHANCE).unwrap_or_default();
    let (least, most) = (wait(0.0).unwrap_or(middle), wait(1.0).unwrap_or(middle));
    Wait { middle, least, most }
}

fn wait_of(decision: Decision) -> Option<Duration> {
    match decision {
        Decision::TryInPlace(wait)
        | Decision::TryOn(wait)
        | Decision::Stuck(wait)
        | Decision::SettleAfter(wait, _) => Some(wait),
        Decision::Settle(_) | Decision::Copy(_) | Decision::Hold => None,
    }
}

fn report(
    target: usize,
    backend: &BackendDefinition,
    reply: Reply,
    started: Instant,
    took: Duration,
) -> Report {
    let outcome = judge(&reply, &backend.status);
    Report { target, reply, outcome, excerpt: Bytes::new(), started, took }
}
