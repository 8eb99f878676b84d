//! What an agent makes of its backends' health: it hears a reply, tells others, and says so once.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use super::attempt::Report;
use super::breaker::{Sign, identity};
use super::hold::{Change, Seen};
use super::window::Key;
use super::{Agent, line};
use crate::backend::News;
use crate::backoff;
use crate::delivery::Message;
use crate::outcome::{Outcome, Reply};

impl Agent {
    /// Takes in a reply, to a message or to a probe without one, and gives what it means for the
    /// message: while a breaker is open, what fails there is the backend's fault.
    pub(super) fn observe(&mut self, key: Option<Key>, report: &Report, now: Instant) -> Outcome {
        let target = report.target;
        if !self.targets.get(target).required() {
            return report.outcome;
        }
        let held = key.and_then(|key| self.window.get(key));
        let sign = sign(report, key.is_none(), held.map(|held| held.delivery.message()));
        // Whoever acks all messages anyway has nothing to hold.
        if let (false, Some(sign)) = (self.policy.auto_ack, sign) {
            let news = self.shared.observe(report, now, fastrand::f64());
            let seen = Seen { key, target, sign, started: report.started };
            // Hosts that answer well end both reasons to hold at once; those that answer otherwise
            // must not end one before the other begins.
            if sign == Sign::Well {
                self.heed_others(now);
            }
            let is_told = self.hold.is_open_by_faults(target);
            let change = self.hold.observe(seen, now, fastrand::f64());
            let news = news.filter(|news| !(is_told && matches!(news, News::Down { .. })));
            // All that can be seen comes before the lines that tell of it.
            if matches!(change, Change::Opened) || matches!(news, Some(News::Down { .. })) {
                self.tally.failed_with(report);
            }
            self.take_in(report, &change);
            self.heed_others(now);
            if let Some(news) = news {
                self.tell_all(report, sign, &news);
            }
            self.tell_own(report, &change);
        }
        self.hear_wish(report, now);
        excused(report.outcome, self.hold.excuses(key, target))
    }

    /// A probe is over, whatever came of it: the turn goes on.
    pub(super) fn probe_over(&mut self, key: Option<Key>) {
        self.hold.probe_over(key);
        self.shared.probe_over(key);
    }

    /// Holds while hosts cannot be reached, whoever found that out, and no longer.
    pub(super) fn heed_others(&mut self, now: Instant) {
        let down = self.shared.down(now).map(|(target, _)| target);
        if down.is_some() {
            self.shared.waits(self.window.len(), now);
        }
        if self.hold.share(down, now) {
            if !self.hold.has_open() {
                self.unwell = None;
            }
            self.say_state();
        }
    }

    /// The backend asked for quiet: all messages wait, of all agents that share its hosts.
    fn hear_wish(&self, report: &Report, now: Instant) {
        if let Outcome::TryAgain { whole_backend: true, not_before, .. } = report.outcome {
            let faults = self.hold.faults(report.target);
            let wait = wish(not_before, faults, self.policy.retry.jitter, fastrand::f64());
            self.shared.quiet(report.target, now + wait, now);
        }
    }

    /// One line at each end of an outage of hosts, for all agents that share them.
    fn tell_all(&self, report: &Report, sign: Sign, news: &News) {
        let what = if sign == Sign::Well { "well" } else { "reachable" };
        match *news {
            News::Down { agents } => self.say_unwell(report, agents),
            News::Up { after, waited, agents } => {
                self.say_recovered(report, what, after, waited, agents);
            }
        }
    }

    /// Remembers what a breaker's change means for the state, and says it.
    fn take_in(&mut self, report: &Report, change: &Change) {
        match change {
            Change::None => return,
            Change::Opened => {
                let name = self.targets.get(report.target).name();
                self.unwell = Some(line::said(name, &report.reply.to_string()));
            }
            Change::Closed(_) => self.unwell = None,
        }
        self.say_state();
    }

    /// One line when a breaker opens, and one when it closes.
    fn tell_own(&self, report: &Report, change: &Change) {
        match *change {
            Change::None => {}
            Change::Opened => self.say_unwell(report, 1),
            Change::Closed(after) => {
                self.say_recovered(report, "well", after, self.window.len(), 1);
            }
        }
    }

    fn say_unwell(&self, report: &Report, agents: usize) {
        error!(
            agent = %self.definition.name,
            backend = %self.targets.get(report.target).name(),
            held = self.window.len(),
            agents = (agents > 1).then_some(agents),
            "backend unwell, holding: {}; no message is lost and no attempt counted, probing until it answers",
            report.reply
        );
    }

    fn say_recovered(
        &self,
        report: &Report,
        what: &str,
        after: Duration,
        waited: usize,
        agents: usize,
    ) {
        info!(
            agent = %self.definition.name,
            backend = %self.targets.get(report.target).name(),
            waited,
            after_s = after.as_secs(),
            agents = (agents > 1).then_some(agents),
            "backend {what} again: {}",
            report.reply
        );
    }
}

/// What a reply says of the backend, to a message or to a probe without one; nothing where it was
/// not asked.
pub(super) fn sign(report: &Report, is_bare: bool, message: Option<&Message>) -> Option<Sign> {
    Some(match (report.outcome, &report.reply) {
        (_, Reply::Impossible(_)) => return None,
        // 404 and 409 speak of the message: a window full of such must not stop all others.
        (Outcome::Delivered | Outcome::Refused | Outcome::TryAgain { few: true, .. }, _) => {
            Sign::Well
        }
        (Outcome::Unwell { certain: true }, _) => Sign::Unreachable,
        (Outcome::Unwell { certain: false }, _) => Sign::Credential,
        (_, Reply::Unanswered(..)) if is_bare => Sign::Unreachable,
        (Outcome::TryAgain { not_before, .. }, _) => {
            Sign::Fault { message: message.map(identity), asked: not_before.is_some() }
        }
    })
}

/// How long a backend that asked for quiet is left alone, with so many faults of its in a row.
pub(super) fn wish(
    not_before: Option<Duration>,
    faults: u32,
    jitter: f64,
    chance: f64,
) -> Duration {
    not_before.unwrap_or_else(|| backoff::in_place(faults.max(1), jitter, chance))
}

/// What a reply means where what fails there may say nothing of the message.
pub(super) fn excused(outcome: Outcome, is_excused: bool) -> Outcome {
    match outcome {
        Outcome::TryAgain { few: false, .. } if is_excused => Outcome::Unwell { certain: true },
        outcome @ (Outcome::Delivered
        | Outcome::Refused
        | Outcome::TryAgain { .. }
        | Outcome::Unwell { .. }) => outcome,
    }
}
