//! What the admin interface shows, as JSON: stable names, no secrets. `status` reads it again.
//!
//! Of brokers and backends only scheme, host, port and virtual host are shown: user, password, path
//! and query may be secrets that a file took from elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use url::Position;

use super::moment::Moment;
use crate::agent::State;
use crate::broker::Ended;
use crate::config::definition::{BackendDefinition, BrokerAddress};
use crate::desk::{AgentView, Reloaded, View};
use crate::meters::{self, Class, Judged, Meters, Number};
use crate::settlement::Reason;

/// `GET /agents`: the daemon and every agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Daemon {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) now: Moment,
    pub(crate) started: Moment,
    pub(crate) stopping: bool,
    /// How the files were read last.
    pub(crate) loaded: Reload,
    pub(crate) reloads: Reloads,
    pub(crate) agents: Vec<Agent>,
}

/// How the files were read: at the start or at a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reload {
    pub(crate) at: Moment,
    /// Whether everything is as the files say.
    pub(crate) ok: bool,
    /// Why nothing was changed.
    pub(crate) refused: Option<String>,
    pub(crate) started: usize,
    pub(crate) changed: usize,
    pub(crate) stopped: usize,
    pub(crate) unchanged: usize,
    pub(crate) broken_files: usize,
    /// As `check` prints them.
    pub(crate) problems: Vec<String>,
}

/// Reloads since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reloads {
    pub(crate) total: u64,
    pub(crate) failed: u64,
}

/// `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    pub(crate) stopping: bool,
    pub(crate) agents: Vec<Condition>,
}

/// What an agent does, why, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) state: String,
    /// It consumes, or was paused by a person.
    pub(crate) ready: bool,
    pub(crate) reason: Option<String>,
    pub(crate) since: Moment,
    /// A person asked for a pause, whether the agent has come to it or not.
    pub(crate) paused: bool,
}

/// An agent of `GET /agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agent {
    #[serde(flatten)]
    pub(crate) condition: Condition,
    pub(crate) file: String,
    pub(crate) queue: String,
    pub(crate) vhost: String,
    pub(crate) brokers: Vec<String>,
    pub(crate) window: u16,
    pub(crate) held: u64,
    pub(crate) workers: u16,
    pub(crate) in_flight: u64,
    pub(crate) counts: Counts,
    /// Messages a second, over the last minute.
    pub(crate) rate: Rate,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) last_received: Option<Moment>,
    pub(crate) last_alive: Option<Moment>,
    /// Causes that have occurred.
    pub(crate) sessions_ended: BTreeMap<String, u64>,
    pub(crate) panics: u64,
}

/// Messages, since the daemon started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) dead_lettered: BTreeMap<String, u64>,
    pub(crate) requeued: u64,
    pub(crate) discarded: u64,
    pub(crate) abandoned: u64,
    pub(crate) tried_in_place: u64,
}

/// Messages a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) received: f64,
    pub(crate) delivered: f64,
}

/// A backend of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backend {
    pub(crate) name: String,
    /// Scheme, host and port of each host.
    pub(crate) hosts: Vec<String>,
    pub(crate) required: bool,
    /// Requests that ended, by class of status and then by what that means; only what has occurred.
    pub(crate) requests: BTreeMap<String, BTreeMap<String, u64>>,
    pub(crate) breaker_open: bool,
    pub(crate) unreachable: bool,
}

/// What failed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastError {
    pub(crate) at: Moment,
    pub(crate) text: String,
}

/// `GET /__health`, in KrakenD's form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// `ok` where every agent consumes, else `degraded`, or `stopping`.
    pub(crate) status: String,
    /// When each agent was seen alive last; never is null.
    pub(crate) agents: BTreeMap<String, Option<Moment>>,
    pub(crate) now: Moment,
}

/// The word for a state, and why it is so where there is a reason.
pub(super) fn state(state: &State) -> (&'static str, Option<&str>) {
    match state {
        State::Connecting => ("connecting", None),
        State::Consuming => ("consuming", None),
        State::Holding(reason) => ("holding", Some(reason)),
        State::Paused => ("paused", None),
        State::Draining => ("draining", None),
        State::GaveUp(reason) => ("stopped", Some(reason)),
    }
}

/// An agent that a person paused does what it is told: who acts on readiness, such as an
/// orchestrator, is not to work against that person.
fn is_ready(state: &State) -> bool {
    match state {
        State::Consuming | State::Paused => true,
        State::Connecting | State::Holding(_) | State::Draining | State::GaveUp(_) => false,
    }
}

impl Daemon {
    pub(super) fn new(view: &View) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            now: Moment(view.now),
            started: Moment(view.started),
            stopping: view.stopping,
            loaded: Reload::new(&view.loaded),
            reloads: Reloads { total: view.reloads.0, failed: view.reloads.1 },
            agents: view.agents.iter().map(Agent::new).collect(),
        }
    }
}

impl Reload {
    pub(super) fn new(reloaded: &Reloaded) -> Self {
        let changes = reloaded.result.as_ref().copied().unwrap_or_default();
        Self {
            at: Moment(reloaded.at),
            ok: reloaded.is_well(),
            refused: reloaded.result.as_ref().err().cloned(),
            started: changes.started,
            changed: changes.changed,
            stopped: changes.stopped,
            unchanged: changes.unchanged,
            broken_files: changes.broken_files,
            problems: reloaded.problems.clone(),
        }
    }
}

impl Readiness {
    pub(super) fn new(view: &View) -> Self {
        let agents: Vec<_> = view.agents.iter().map(Condition::new).collect();
        let ready = !view.stopping && agents.iter().all(|agent| agent.ready);
        Self { ready, stopping: view.stopping, agents }
    }
}

impl Condition {
    pub(super) fn new(agent: &AgentView) -> Self {
        let (word, reason) = state(&agent.state);
        Self {
            name: agent.definition.name.to_string(),
            state: word.to_owned(),
            ready: is_ready(&agent.state),
            reason: reason.map(str::to_owned),
            since: Moment(agent.since),
            paused: agent.paused,
        }
    }
}

impl Agent {
    pub(super) fn new(agent: &AgentView) -> Self {
        let (definition, meters) = (&agent.definition, &agent.meters);
        let source = &definition.source;
        let ended = Ended::CAUSES.iter().zip(&meters.sessions_ended);
        Self {
            condition: Condition::new(agent),
            file: definition.file.display().to_string(),
            queue: source.queue.name.clone(),
            vhost: source.brokers.first().map(|broker| broker.vhost.clone()).unwrap_or_default(),
            brokers: source.brokers.iter().map(broker).collect(),
            window: source.prefetch_count,
            held: meters.held.get(),
            workers: definition.workers,
            in_flight: meters.in_flight.get(),
            counts: Counts::new(meters),
            rate: Rate {
                received: rounded(agent.figures.received_per_second),
                delivered: rounded(agent.figures.delivered_per_second),
            },
            p50_ms: agent.figures.p50.map(millis),
            p99_ms: agent.figures.p99.map(millis),
            backends: definition.backends.iter().map(|of| Backend::new(of, meters)).collect(),
            last_error: meters
                .last_error()
                .map(|error| LastError { at: Moment(error.at), text: error.text }),
            last_received: meters::time(&meters.last_received).map(Moment),
            last_alive: agent.last_alive().map(Moment),
            sessions_ended: occurred(ended.map(|(cause, count)| (*cause, count))),
            panics: meters.panics.get(),
        }
    }
}

impl Counts {
    fn new(meters: &Meters) -> Self {
        let dead = Reason::ALL.iter().zip(&meters.dead_lettered);
        Self {
            received: meters.received.get(),
            delivered: meters.delivered.get(),
            retried: meters.retried.get(),
            dead_lettered: dead.map(|(reason, count)| (reason.to_string(), count.get())).collect(),
            requeued: meters.requeued.get(),
            discarded: meters.discarded.get(),
            abandoned: meters.abandoned.get(),
            tried_in_place: meters.tried_in_place.get(),
        }
    }
}

impl Backend {
    fn new(backend: &BackendDefinition, meters: &Meters) -> Self {
        let meters = meters.backend(&backend.name);
        let mut requests = BTreeMap::new();
        for class in Class::ALL {
            let judged = Judged::ALL.iter().zip(&meters.requests[class as usize]);
            let judged = occurred(judged.map(|(judged, count)| (judged.text(), count)));
            if !judged.is_empty() {
                requests.insert(class.text().to_owned(), judged);
            }
        }
        let origin = |url: &url::Url| url[..Position::AfterPort].to_owned();
        Self {
            name: backend.name.to_string(),
            hosts: backend.urls.iter().map(origin).collect(),
            required: backend.required,
            requests,
            breaker_open: meters.breaker_open.get() > 0,
            unreachable: meters.unreachable.get() > 0,
        }
    }
}

impl Health {
    pub(super) fn new(view: &View) -> Self {
        let all_consume = view.agents.iter().all(|agent| agent.state == State::Consuming);
        let status = match (view.stopping, all_consume) {
            (true, _) => "stopping",
            (false, true) => "ok",
            (false, false) => "degraded",
        };
        let agents = view.agents.iter();
        let agents = agents.map(|agent| (agent.definition.name.to_string(), alive(agent)));
        Self { status: status.to_owned(), agents: agents.collect(), now: Moment(view.now) }
    }
}

/// When an agent was last seen consuming: it may have had turns since, but was not alive in them.
fn alive(agent: &AgentView) -> Option<Moment> {
    let last: Option<SystemTime> = agent.last_alive();
    let last =
        if agent.state == State::Consuming { last } else { last.map(|at| at.min(agent.since)) };
    last.map(Moment)
}

/// A broker without its credentials.
fn broker(address: &BrokerAddress) -> String {
    let scheme = if address.tls.is_some() { "amqps" } else { "amqp" };
    let is_v6 = address.host.contains(':');
    let (open, close) = if is_v6 { ("[", "]") } else { ("", "") };
    format!("{scheme}://{open}{}{close}:{}", address.host, address.port)
}

fn occurred<'n>(counts: impl Iterator<Item = (&'n str, &'n Number)>) -> BTreeMap<String, u64> {
    let counts = counts.map(|(name, count)| (name.to_owned(), count.get()));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3)
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
