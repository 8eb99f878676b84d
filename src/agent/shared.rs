//! What an agent shares with others: the health of the hosts that its backends live on.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::attempt::Report;
use super::window::Key;
use crate::backend::{Groups, Member, News, Turn};
use crate::config::definition::AgentDefinition;
use crate::outcome::Reply;

/// An agent's place in the groups of hosts of the backends that decide.
pub(super) struct Shared {
    /// One for each group, however many backends live there.
    members: Vec<Member>,
    /// Each backend's place in `members`; `None` for one that does not decide.
    of: Vec<Option<usize>>,
    bell: Arc<Notify>,
    /// Whether an outage is a reason to hold.
    holds: bool,
    /// The turns that the probe under way was given, and its message.
    turns: Option<(Option<Key>, Vec<Turn>)>,
}

impl Shared {
    /// Joins the groups of `definition`'s backends.
    pub(super) fn join(definition: &AgentDefinition, groups: &Groups) -> Self {
        let bell = Arc::new(Notify::new());
        let mut members: Vec<Member> = Vec::new();
        let mut of = Vec::new();
        for backend in &definition.backends {
            of.push(backend.required.then(|| {
                let member = groups.join(backend, &bell);
                let known = members.iter().position(|known| known.is_beside(&member));
                known.unwrap_or_else(|| {
                    members.push(member);
                    members.len() - 1
                })
            }));
        }
        Self { members, of, bell, holds: !definition.source.auto_ack, turns: None }
    }

    /// Rings when another agent has changed something here.
    pub(super) fn bell(&self) -> &Arc<Notify> {
        &self.bell
    }

    /// Until when nothing is to be sent, where that is after `now`.
    pub(super) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.quiet_until(now)).max()
    }

    /// The first backend whose hosts cannot be reached, and why.
    pub(super) fn down(&self, now: Instant) -> Option<(usize, Arc<str>)> {
        if !self.holds {
            return None;
        }
        let mut targets = self.of.iter().enumerate();
        targets.find_map(|(target, place)| Some((target, self.members[(*place)?].down(now)?)))
    }

    /// Whether this backend's hosts cannot be reached.
    pub(super) fn is_down(&self, target: usize, now: Instant) -> bool {
        self.holds && self.member(target).is_some_and(|member| member.down(now).is_some())
    }

    /// When to look again, where that is known.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let quiet = self.members.iter().filter_map(|member| member.quiet_until(now));
        let turns = self.members.iter().filter_map(|member| member.turn_at(now));
        quiet.chain(turns).filter(|at| *at > now).min()
    }

    /// So many messages are held while hosts cannot be reached.
    pub(super) fn waits(&self, messages: usize, now: Instant) {
        for member in self.members.iter().filter(|member| member.down(now).is_some()) {
            member.waits(messages);
        }
    }

    /// Takes the turns that a message needs to be sent as a probe: all of them or none.
    pub(super) fn take_turns(&self, now: Instant) -> Option<Vec<Turn>> {
        let down = self.members.iter().filter(|member| member.down(now).is_some());
        down.map(|member| member.take_turn(now)).collect()
    }

    /// Takes the turn that a probe of this backend without a message needs.
    pub(super) fn take_turn_at(&self, target: usize, now: Instant) -> Option<Vec<Turn>> {
        match self.member(target) {
            Some(member) if member.down(now).is_some() => Some(vec![member.take_turn(now)?]),
            Some(_) | None => Some(Vec::new()),
        }
    }

    /// A probe is under way, with this message or without one.
    pub(super) fn probe_sent(&mut self, key: Option<Key>, turns: Vec<Turn>) {
        self.turns = Some((key, turns));
    }

    /// A probe is over, whatever came of it: turns that brought nothing go to others.
    pub(super) fn probe_over(&mut self, key: Option<Key>) {
        self.turns.take_if(|(probe, _)| *probe == key);
    }

    /// The backend asked for quiet until `until`.
    pub(super) fn quiet(&self, target: usize, until: Instant, now: Instant) {
        if let Some(member) = self.member(target) {
            member.quiet(until, now);
        }
    }

    /// Takes in a reply; `Some` is news for the log.
    pub(super) fn observe(&self, report: &Report, now: Instant, chance: f64) -> Option<News> {
        let member = self.member(report.target)?;
        match &report.reply {
            Reply::Answered { .. } => member.answered(now),
            Reply::Unanswered(..) => {
                member.silent(now, chance);
                None
            }
            Reply::NotSent(..) => {
                member.unreachable(report.started, now, &report.reply.to_string(), chance)
            }
            Reply::Impossible(_) => None,
        }
    }

    fn member(&self, target: usize) -> Option<&Member> {
        self.of[target].map(|place| &self.members[place])
    }
}
