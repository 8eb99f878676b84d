//! One life per agent: started, replaced, stopped, and begun again after a panic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::agent::{Finish, Order, Said, State};
use crate::backoff::{self, Strategy};
use crate::config::definition::AgentDefinition;
use crate::config::diff::Diff;
use crate::desk::AgentView;
use crate::meters::{Meters, Recent};
use crate::threads::{Ending, LifeId, Start, Threads};

/// Keeps every agent alive that is to be, and no other.
pub struct Supervisor {
    threads: Threads,
    endings: mpsc::UnboundedReceiver<Ending>,
    agents: BTreeMap<Arc<str>, Supervised>,
    next_life: u64,
    drain_timeout: Duration,
}

struct Supervised {
    /// What it runs on, or will once the life before has ended.
    definition: Arc<AgentDefinition>,
    /// `false` once it is to go.
    wanted: bool,
    panics: u32,
    phase: Phase,
    /// Since when, where that is no life, which says it itself.
    phase_since: SystemTime,
    /// Somebody asked for a pause; every life is told.
    paused: bool,
    meters: Arc<Meters>,
    recent: Recent,
}

impl Supervised {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_since = SystemTime::now();
    }

    /// What it does, and since when.
    fn said(&self) -> Said {
        let since = self.phase_since;
        match &self.phase {
            Phase::Living { state, .. } => state.borrow().clone(),
            Phase::Resting(_) => Said { state: State::Connecting, since },
            Phase::GaveUp(reason) => Said { state: State::GaveUp(reason.clone()), since },
        }
    }

    /// A life, where one is to begin.
    fn start(
        &self,
        id: LifeId,
        orders: watch::Receiver<Order>,
        state: watch::Sender<Said>,
    ) -> Start {
        let (definition, meters) = (Arc::clone(&self.definition), Arc::clone(&self.meters));
        Start { id, definition, orders, state, meters }
    }
}

enum Phase {
    /// A life is lived.
    Living {
        id: LifeId,
        began: Instant,
        orders: watch::Sender<Order>,
        state: watch::Receiver<Said>,
    },
    /// It panicked, and begins again then.
    Resting(Instant),
    /// It ended for good, for this reason.
    GaveUp(String),
}

impl Phase {
    fn is_ordered_to_end(&self) -> bool {
        matches!(self, Self::Living { orders, .. } if orders.borrow().ends())
    }

    /// Whether a life was long enough for its end to be no part of a row.
    fn has_lasted(&self) -> bool {
        matches!(self, Self::Living { began, .. } if began.elapsed() >= Duration::from_mins(10))
    }
}

impl Supervisor {
    /// Supervises agents on `threads`; a stop or a replacement waits `drain_timeout` for what is in flight.
    #[must_use]
    pub fn new(
        threads: Threads,
        endings: mpsc::UnboundedReceiver<Ending>,
        drain_timeout: Duration,
    ) -> Self {
        Self { threads, endings, agents: BTreeMap::new(), next_life: 0, drain_timeout }
    }

    /// The definitions that the agents run on, or are about to.
    #[must_use]
    pub fn definitions(&self) -> Vec<Arc<AgentDefinition>> {
        let wanted = self.agents.values().filter(|agent| agent.wanted);
        wanted.map(|agent| Arc::clone(&agent.definition)).collect()
    }

    /// Starts, stops and replaces agents; those that are unchanged are not touched.
    ///
    /// Returns once every order is given, not once it is carried out.
    pub async fn apply(&mut self, difference: Diff) {
        for name in difference.stopped {
            info!(agent = %name, "stopping, its file is gone or says enabled = false");
            self.dismiss(&name);
        }
        for definition in difference.changed {
            info!(agent = %definition.name, "replacing, its definition changed");
            self.replace(definition).await;
        }
        for definition in difference.started {
            self.engage(definition).await;
        }
        self.revive(&difference.unchanged).await;
    }

    /// Begins agents again that gave up: a reload is somebody's word that it is worth it.
    async fn revive(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(agent) = self.agents.get(name) else { continue };
            if agent.wanted && matches!(agent.phase, Phase::GaveUp(_)) {
                self.begin(name).await;
            }
        }
    }

    /// Lets an agent finish what is in flight and hand out nothing more, or go on; `false` where
    /// there is none of this name. Lasts over reloads, and ends with the daemon.
    pub fn pause(&mut self, name: &str, pause: bool) -> bool {
        let Some(agent) = self.agents.get_mut(name).filter(|agent| agent.wanted) else {
            return false;
        };
        if agent.paused != pause {
            agent.paused = pause;
            info!(agent = %name, "{}", if pause { "to be paused, as asked" } else { "to be resumed, as asked" });
            if let Phase::Living { orders, .. } = &agent.phase {
                let order = if pause { Order::Pause } else { Order::Run };
                // One that is ordered to end ends.
                orders
                    .send_if_modified(|now| !now.ends() && std::mem::replace(now, order) != order);
            }
        }
        true
    }

    /// Looks at what every agent counts, where it is time to: for the figures of the last minute.
    pub fn look(&mut self, now: Instant) {
        for agent in self.agents.values_mut() {
            agent.recent.look(&agent.meters, now);
        }
    }

    /// Every agent at this moment, by name.
    #[must_use]
    pub fn view(&self, now: Instant) -> Vec<AgentView> {
        let agents = self.agents.values().map(|agent| {
            let Said { state, since } = agent.said();
            AgentView {
                definition: Arc::clone(&agent.definition),
                state,
                since,
                paused: agent.paused,
                meters: Arc::clone(&agent.meters),
                figures: agent.recent.figures(&agent.meters, now),
            }
        });
        agents.collect()
    }

    /// Does what is next: hears of an ending, or begins an agent again. Cancel-safe.
    pub async fn next(&mut self) {
        let rest_over = self.agents.values().filter_map(|agent| match agent.phase {
            Phase::Resting(until) => Some(until),
            Phase::Living { .. } | Phase::GaveUp(_) => None,
        });
        let rest_over = rest_over.min();
        let ending = async {
            match self.endings.recv().await {
                Some(ending) => ending,
                // The threads outlive the supervisor.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ending = ending => self.ended(ending).await,
            () = tokio::time::sleep_until(rest_over.unwrap_or_else(Instant::now)), if rest_over.is_some() => {
                self.rests_over(Instant::now()).await;
            }
        }
    }

    /// Lets every agent drain. [`next`](Self::next) has to be called on until [`is_empty`](Self::is_empty).
    pub fn drain(&mut self) {
        let names: Vec<_> = self.agents.keys().cloned().collect();
        for name in names {
            self.dismiss(&name);
        }
    }

    /// Ends every agent at once, giving back what it holds.
    pub fn abort(&mut self) {
        for agent in self.agents.values() {
            if let Phase::Living { orders, .. } = &agent.phase {
                orders.send_replace(Order::Abort);
            }
        }
    }

    /// Whether no agent is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Returns once every thread has given a sign of life. Cancel-safe.
    pub async fn signs_of_life(&self) {
        self.threads.signs_of_life().await;
    }

    /// Ends the threads; agents that still live are dropped.
    pub fn end(self) {
        self.threads.end();
    }

    /// What the agents are doing, in one line for `systemctl status`.
    #[must_use]
    pub fn status(&self) -> String {
        let mut counts = [
            ("consuming", 0),
            ("holding", 0),
            ("paused", 0),
            ("connecting", 0),
            ("draining", 0),
            ("stopped", 0),
        ];
        for agent in self.agents.values() {
            let place = match agent.said().state {
                State::Consuming => 0,
                State::Holding(_) => 1,
                State::Paused => 2,
                State::Connecting => 3,
                State::Draining => 4,
                State::GaveUp(_) => 5,
            };
            counts[place].1 += 1;
        }
        let states: Vec<_> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        match states.as_slice() {
            [] => "no agents".to_owned(),
            [_] if self.agents.len() == 1 => format!("1 agent: {}", states.join(", ")),
            _ => format!("{} agents: {}", self.agents.len(), states.join(", ")),
        }
    }

    /// Makes an agent wanted, on `definition`; a life that still drains is waited for.
    async fn engage(&mut self, definition: Arc<AgentDefinition>) {
        let name = Arc::clone(&definition.name);
        if let Some(agent) = self.agents.get_mut(&name) {
            agent.definition = definition;
            agent.wanted = true;
            return;
        }
        let agent = Supervised {
            definition,
            wanted: true,
            panics: 0,
            phase: Phase::Resting(Instant::now()),
            phase_since: SystemTime::now(),
            paused: false,
            meters: Arc::default(),
            recent: Recent::default(),
        };
        self.agents.insert(Arc::clone(&name), agent);
        self.begin(&name).await;
    }

    /// Lets an agent go on by another definition. What was counted and a pause are the agent's, not
    /// its life's.
    async fn replace(&mut self, definition: Arc<AgentDefinition>) {
        let name = Arc::clone(&definition.name);
        let Some(agent) = self.agents.get_mut(&name) else { return self.engage(definition).await };
        agent.definition = definition;
        agent.wanted = true;
        match &agent.phase {
            Phase::Living { orders, .. } => {
                orders.send_replace(Order::Drain(self.drain_timeout));
            }
            Phase::Resting(_) | Phase::GaveUp(_) => {
                agent.panics = 0;
                self.begin(&name).await;
            }
        }
    }

    /// Makes an agent unwanted: drains the life, or forgets it where there is none.
    fn dismiss(&mut self, name: &Arc<str>) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        agent.wanted = false;
        match &agent.phase {
            Phase::Living { orders, .. } => {
                orders.send_replace(Order::Drain(self.drain_timeout));
            }
            Phase::Resting(_) | Phase::GaveUp(_) => {
                self.agents.remove(name);
            }
        }
    }

    /// Begins a life of this agent.
    async fn begin(&mut self, name: &Arc<str>) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let id = LifeId(self.next_life);
        self.next_life += 1;
        let (orders, ordered) =
            watch::channel(if agent.paused { Order::Pause } else { Order::Run });
        let (said, state) = watch::channel(Said::now(State::Connecting));
        self.threads.live(agent.start(id, ordered, said)).await;
        agent.enter(Phase::Living { id, began: Instant::now(), orders, state });
    }

    async fn ended(&mut self, ending: Ending) {
        let mut agents = self.agents.iter_mut();
        let found = agents.find(
            |(_, agent)| matches!(&agent.phase, Phase::Living { id, .. } if *id == ending.id),
        );
        let Some((name, agent)) = found else { return };
        let name = Arc::clone(name);
        let phase = match ending.how {
            // To begin again at once is to be replaced by a changed definition. One that gave up
            // at just that moment speaks of the old one.
            Ok(_) if agent.phase.is_ordered_to_end() => Phase::Resting(Instant::now()),
            Ok(Finish::Ordered) => Phase::Resting(Instant::now()),
            Ok(Finish::GaveUp(reason)) => Phase::GaveUp(reason),
            Err(panic) => {
                agent.panics =
                    if agent.phase.has_lasted() { 1 } else { agent.panics.saturating_add(1) };
                agent.meters.panics.add(1);
                agent.meters.failed(format!("panicked: {panic}"));
                let wait =
                    backoff::reconnect(Strategy::ExponentialJitter, agent.panics, fastrand::f64());
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                error!(agent = %name, wait_ms, "panicked, starting it again: {panic}; this is a bug of ours, please report it");
                Phase::Resting(Instant::now() + wait)
            }
        };
        agent.enter(phase);
        if !agent.wanted {
            info!(agent = %name, "stopped");
            self.agents.remove(&name);
        } else if let Phase::GaveUp(reason) = &agent.phase {
            warn!(agent = %name, "out of service until a reload or a restart: {reason}");
        } else {
            self.rests_over(Instant::now()).await;
        }
    }

    async fn rests_over(&mut self, now: Instant) {
        let over = self
            .agents
            .iter()
            .filter(|(_, agent)| matches!(agent.phase, Phase::Resting(until) if until <= now));
        let over: Vec<_> = over.map(|(name, _)| Arc::clone(name)).collect();
        for name in over {
            self.begin(&name).await;
        }
    }
}

#[cfg(test)]
mod tests;
