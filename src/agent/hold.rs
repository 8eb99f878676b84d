//! Whether messages may be handed out: the agent's answer to a backend that is unwell.
//!
//! A state and its transitions; time and chance come in as arguments. While a hold lasts the
//! window is kept unsettled, so that the broker sends no more and counts nothing, and one
//! message at a time is tried as a probe. A long hold gives the window back and probes without
//! a message.
//!
//! A hold has two reasons, and may have both: hosts that cannot be reached, which every agent
//! that shares them knows of, and what a backend answers to this agent, a *breaker* each. When
//! the first is over the hold goes on until one message was answered, but nobody is told.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Sign};
use super::window::Key;
use crate::backoff;

/// The longest that a hold keeps the window once it was given back before; where it is to be
/// kept longer to begin with, that. Well below RabbitMQ's `consumer_timeout` of 30 minutes.
const KEPT_MAX: Duration = Duration::from_mins(15);

/// The state of one agent's backends.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// By the backend's place in the agent file.
    breakers: Vec<Breaker>,
    current: Option<Current>,
}

/// A hold that lasts.
#[derive(Debug)]
struct Current {
    /// What this agent was answered.
    own: Option<Own>,
    /// The backend whose hosts cannot be reached, by its place in the agent file. The turn to
    /// probe then comes from those who share them.
    unreachable: Option<usize>,
    /// The backend that was unwell last.
    target: usize,
    /// When the window was kept from.
    kept_since: Instant,
    probes: u32,
    probe_at: Instant,
    probing: Probing,
    /// When the window was given back, until messages come again.
    released_at: Option<Instant>,
    /// How often the window was given back.
    releases: u32,
}

/// A breaker that is open.
#[derive(Debug, Clone, Copy)]
struct Own {
    /// The backend, by its place in the agent file.
    target: usize,
    since: Instant,
    /// By credential faults, which outlast hosts that cannot be reached.
    credential: bool,
}

/// The probe that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probing {
    No,
    /// With this message, or without one.
    With(Option<Key>),
}

/// What may be handed out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// As many as there are workers.
    Any,
    /// One message, to see whether the backend is well.
    Probe,
    /// A probe without a message, since none is held.
    BareProbe {
        /// The backend, by its place in the agent file.
        target: usize,
    },
    /// Nothing.
    Nothing,
}

/// What a reply changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// A breaker opened.
    Opened,
    /// The breaker that was open closes, after so long.
    Closed(Duration),
}

/// A reply, as a hold sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The message; `None` is a probe without one.
    pub(super) key: Option<Key>,
    /// The backend, by its place in the agent file.
    pub(super) target: usize,
    /// What the reply says of it.
    pub(super) sign: Sign,
    /// When the request began.
    pub(super) started: Instant,
}

impl Hold {
    /// What may be handed out at `now`; where hosts cannot be reached, given the turn.
    pub(super) fn permit(&self, now: Instant) -> Permit {
        match &self.current {
            None => Permit::Any,
            Some(current) if !current.may_probe(now) => Permit::Nothing,
            Some(current) if current.is_released() => Permit::BareProbe { target: current.target },
            Some(_) => Permit::Probe,
        }
    }

    /// When to ask again, if an answer changes by itself.
    pub(super) fn next_change(&self, keep_max: Duration, now: Instant) -> Option<Instant> {
        let current = self.current.as_ref()?;
        let waits_for_probe = current.probing == Probing::No && current.unreachable.is_none();
        let probe = waits_for_probe.then_some(current.probe_at).filter(|at| *at > now);
        let keeps = !current.is_released() && current.is_unwell();
        let release = keeps.then(|| current.kept_since + current.keep_for(keep_max));
        probe.into_iter().chain(release).min()
    }

    /// Whether anything holds messages back, be it only until the first was answered.
    pub(super) fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Whether a breaker is open, of whichever backend.
    pub(super) fn has_open(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.own.is_some())
    }

    /// Whether this backend's breaker is open, by faults of answers or of a credential.
    pub(super) fn is_open(&self, target: usize) -> bool {
        let own = self.current.as_ref().and_then(|current| current.own);
        own.is_some_and(|own| own.target == target)
    }

    /// Whether this backend's breaker is open by faults that hosts which cannot be reached explain.
    pub(super) fn is_open_by_faults(&self, target: usize) -> bool {
        let own = self.current.as_ref().and_then(|current| current.own);
        own.is_some_and(|own| own.target == target && !own.credential)
    }

    /// Whether what fails there says nothing of the message: the breaker is open, or the hosts went
    /// away while the request was under way.
    pub(super) fn excuses(&self, key: Option<Key>, target: usize) -> bool {
        let went_away = self.current.as_ref().is_some_and(|current| {
            current.unreachable == Some(target) && current.probing != Probing::With(key)
        });
        went_away || self.is_open(target)
    }

    /// How many faults of this backend came in a row.
    pub(super) fn faults(&self, target: usize) -> u32 {
        self.breakers.get(target).map_or(0, Breaker::faults)
    }

    /// A probe was sent, with this message or without one.
    pub(super) fn probe_sent(&mut self, key: Option<Key>) {
        if let Some(current) = &mut self.current {
            current.probing = Probing::With(key);
        }
    }

    /// A probe is over, whatever came of it.
    pub(super) fn probe_over(&mut self, key: Option<Key>) {
        if let Some(current) = &mut self.current
            && current.probing == Probing::With(key)
        {
            current.probing = Probing::No;
        }
    }

    /// Whether the window was kept for its time and is to be given back. Each time that one hold
    /// gives it back it is kept for twice as long: on releases before 4.3 that costs a count.
    pub(super) fn is_kept_too_long(&self, keep_max: Duration, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|current| {
            let until = current.kept_since + current.keep_for(keep_max);
            !current.is_released() && current.is_unwell() && now >= until
        })
    }

    /// The window was given back, for this reason or another; while a backend is unwell, probes carry
    /// no message from here on.
    pub(super) fn released(&mut self, now: Instant) {
        if let Some(current) = self.current.as_mut().filter(|current| current.is_unwell()) {
            current.released_at = Some(now);
            current.releases = current.releases.saturating_add(1);
        }
    }

    /// Messages come again, on a new session.
    pub(super) fn kept(&mut self, now: Instant) {
        if let Some(current) = &mut self.current {
            current.keep(now);
        }
    }

    /// Whether messages are not asked for, because the window was given back.
    pub(super) fn is_released(&self) -> bool {
        self.current.as_ref().is_some_and(Current::is_released)
    }

    /// Takes in what is known of all agents' hosts: the first backend of ours, if any, whose hosts
    /// cannot be reached. `true` where that is news.
    pub(super) fn share(&mut self, unreachable: Option<usize>, now: Instant) -> bool {
        let Some(current) = &mut self.current else {
            if let Some(target) = unreachable {
                let current = Current::new(target, now);
                self.current = Some(Current { unreachable, ..current });
            }
            return unreachable.is_some();
        };
        let before = std::mem::replace(&mut current.unreachable, unreachable);
        if let Some(target) = unreachable {
            current.target = target;
            if before.is_none() && current.own.is_none() {
                current.kept_since = now;
            }
            // The same outage, seen twice: its end is told once.
            let same = |own: &mut Own| own.target == target && !own.credential;
            if current.own.take_if(same).is_some()
                && let Some(breaker) = self.breakers.get_mut(target)
            {
                breaker.close(now);
            }
        } else if before.is_some() {
            if let Some(own) = current.own {
                current.target = own.target;
            } else {
                // Nothing speaks against messages any more: the first one decides, at once unless
                // it was this agent's own that just failed.
                let probe_at = if current.probing == Probing::No { now } else { current.probe_at };
                current.ask_anew(now);
                current.probe_at = probe_at;
            }
        }
        before.is_some() != unreachable.is_some()
    }

    /// Takes in a reply. Only one to a probe ends a hold: one to a request from before was
    /// accepted before, and the first probe follows in a second. Were it heeded, each slow
    /// success would cost the messages behind it their attempts, and two lines in the log.
    pub(super) fn observe(&mut self, seen: Seen, now: Instant, chance: f64) -> Change {
        let Seen { key, target, sign, started } = seen;
        if self.breakers.len() <= target {
            self.breakers.resize_with(target + 1, Breaker::default);
        }
        let is_well = sign == Sign::Well;
        // What a service says to HEAD is no part of what it says to messages.
        let opens = key.is_some() && self.breakers[target].observe(sign, started, now);
        let Some(current) = &mut self.current else {
            if opens {
                let current = Current::new(target, now);
                let probe_at = now + backoff::probe(1, chance);
                let credential = sign == Sign::Credential;
                let own = Some(Own { target, since: now, credential });
                self.current = Some(Current { own, probe_at, ..current });
                return Change::Opened;
            }
            return Change::None;
        };
        let is_probe = current.probing == Probing::With(key);
        match (is_well, is_probe) {
            (true, true) if key.is_none() => {
                if current.unreachable.is_none() {
                    current.ask_anew(now);
                }
                Change::None
            }
            (true, true) => self.answered(target, now),
            (false, true) => {
                current.probe_failed(now, chance);
                let is_turned_away = match sign {
                    Sign::Credential => true,
                    // One message may fail by itself, even now.
                    Sign::Fault { .. } => key.is_none(),
                    Sign::Well | Sign::Unreachable => false,
                };
                if is_turned_away && current.has_asked_for_long(now) {
                    current.ask_anew(now);
                }
                let opens = opens || is_turned_away;
                if opens { current.open(target, sign, now) } else { Change::None }
            }
            (false, false) if opens => current.open(target, sign, now),
            (true | false, false) => Change::None,
        }
    }

    /// A message that was sent as a probe was answered.
    fn answered(&mut self, target: usize, now: Instant) -> Change {
        let Some(current) = &mut self.current else { return Change::None };
        let own = current.own.take_if(|own| own.target == target);
        if let Some(breaker) = self.breakers.get_mut(target)
            && own.is_some()
        {
            breaker.close(now);
        }
        if !current.is_unwell() && (own.is_some() || target == current.target) {
            self.current = None;
        }
        own.map_or(Change::None, |own| Change::Closed(now.saturating_duration_since(own.since)))
    }
}

impl Current {
    fn new(target: usize, now: Instant) -> Self {
        Self {
            own: None,
            unreachable: None,
            target,
            kept_since: now,
            probes: 0,
            probe_at: now,
            probing: Probing::No,
            released_at: None,
            releases: 0,
        }
    }

    fn is_released(&self) -> bool {
        self.released_at.is_some()
    }

    /// Whether there is a reason to hold; else one message has yet to show that there is none.
    fn is_unwell(&self) -> bool {
        self.own.is_some() || self.unreachable.is_some()
    }

    fn may_probe(&self, now: Instant) -> bool {
        self.probing == Probing::No && (self.unreachable.is_some() || self.probe_at <= now)
    }

    fn keep_for(&self, keep_max: Duration) -> Duration {
        let doubled = keep_max.saturating_mul(1 << self.releases.min(16));
        doubled.min(keep_max.max(KEPT_MAX))
    }

    /// Whether the window was given back so long ago that a message is to decide, whatever the
    /// service says to a probe without one: not every service that takes messages likes HEAD.
    fn has_asked_for_long(&self, now: Instant) -> bool {
        self.released_at.is_some_and(|at| now.saturating_duration_since(at) >= KEPT_MAX)
    }

    fn probe_failed(&mut self, now: Instant, chance: f64) {
        self.probes = self.probes.saturating_add(1);
        self.probe_at = now + backoff::probe(self.probes.saturating_add(1), chance);
    }

    /// Something may have changed: messages come again, and are tried as soon as at first.
    fn ask_anew(&mut self, now: Instant) {
        self.probes = 0;
        self.keep(now);
    }

    /// Messages come again.
    fn keep(&mut self, now: Instant) {
        self.released_at = None;
        self.kept_since = now;
        self.probe_at = now;
    }

    fn open(&mut self, target: usize, sign: Sign, now: Instant) -> Change {
        let credential = sign == Sign::Credential;
        if self.unreachable == Some(target) && !credential && self.released_at.is_none() {
            // Requests that were under way when the hosts went away: that is told already.
            return Change::None;
        }
        let was_unwell = self.is_unwell();
        if self.unreachable.is_none() {
            self.target = target;
        }
        if let Some(own) = &mut self.own {
            own.target = target;
            own.credential |= credential;
            return Change::None;
        }
        self.own = Some(Own { target, since: now, credential });
        if !was_unwell {
            self.kept_since = now;
        }
        Change::Opened
    }
}

#[cfg(test)]
mod tests;
