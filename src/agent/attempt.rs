//! One try of one message at the backends that do not have it yet.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, join_all};
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use super::line::About;
use super::window::{Done, Held, Key};
use crate::backend::{Answer, Backend, BackendError, Clients};
use crate::broker::NotSafe;
use crate::config::definition::{AgentDefinition, Dispatch};
use crate::copies::History;
use crate::outcome::{Outcome, Reply, judge};
use crate::request::HttpRequest;
use crate::spans::RequestSpan;

/// What one backend said.
pub(super) struct Report {
    /// By its place in the agent file.
    pub(super) target: usize,
    pub(super) reply: Reply,
    pub(super) outcome: Outcome,
    /// The start of the body of a failing reply.
    pub(super) excerpt: Bytes,
    /// When the request began.
    pub(super) started: Instant,
    /// From request to reply.
    pub(super) took: Duration,
}

/// What the backends of one try said; most agents have one.
pub(super) type Reports = SmallVec<[Report; 1]>;

/// What came of something that was in flight.
pub(super) enum Finished {
    /// A try at the backends that decide.
    Attempt(Key, Reports),
    /// A request to a backend that does not decide, of this message.
    Aside(About, Report),
    /// A probe without a message.
    Probe(Report),
    /// The copy that is to take a message's place, and where it went.
    Copied(Key, Arc<str>, Result<(), NotSafe>),
}

/// The future of something in flight.
pub(super) type Job = LocalBoxFuture<'static, Finished>;

/// One request of a try.
struct Step {
    target: usize,
    request: Result<HttpRequest, Reply>,
    /// While somebody collects spans.
    span: Option<Box<RequestSpan>>,
}

/// All backends of an agent.
#[derive(Clone)]
pub(super) struct Targets {
    all: Rc<[Backend]>,
    dispatch: Dispatch,
}

impl Targets {
    pub(super) fn new(
        definition: &AgentDefinition,
        clients: &mut Clients,
    ) -> Result<Self, BackendError> {
        let targets: Result<Vec<_>, _> =
            definition.backends.iter().map(|backend| Backend::new(backend, clients)).collect();
        Ok(Self { all: targets?.into(), dispatch: definition.dispatch })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The backends that have a message already, as its copy tells.
    pub(super) fn done(&self, history: &History) -> Done {
        self.all.iter().map(|backend| history.has(backend.name())).collect()
    }

    pub(super) fn get(&self, target: usize) -> &Backend {
        &self.all[target]
    }

    /// A try of `held`, which is at `key`, at the backends that decide and that do not have it.
    pub(super) fn attempt(&self, key: Key, held: &Held) -> Job {
        let done = &held.done;
        let attempt = held.attempts.tries().saturating_add(1);
        let in_order = matches!(self.dispatch, Dispatch::Sequential);
        let open = (0..self.len())
            .filter(|&target| !done[target] && (in_order || self.get(target).required()));
        let targets = self.clone();
        // Most agents have one backend, and need nothing that joins several.
        if let (Some(target), None) = (open.clone().next(), open.clone().nth(1)) {
            let step = self.step(target, held, attempt);
            return Box::pin(
                async move { Finished::Attempt(key, smallvec![targets.send(step).await]) },
            );
        }
        let steps: Vec<_> = open.map(|target| self.step(target, held, attempt)).collect();
        if in_order {
            Box::pin(async move { Finished::Attempt(key, targets.one_by_one(steps).await) })
        } else {
            let all = steps.into_iter().map(move |step| {
                let targets = targets.clone();
                async move { targets.send(step).await }
            });
            Box::pin(async move { Finished::Attempt(key, join_all(all).await.into()) })
        }
    }

    /// The backends that do not decide and are not `done`: they are told beside the others.
    /// In sequence there are none, since each has its turn.
    pub(super) fn beside<'a>(&'a self, done: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
        let is_parallel = matches!(self.dispatch, Dispatch::Parallel);
        let all = (0..self.len()).filter(move |_| is_parallel);
        all.filter(|&target| !done[target] && !self.get(target).required())
    }

    /// Tells one backend that does not decide.
    pub(super) fn aside(&self, target: usize, held: &Held) -> Job {
        let step = self.step(target, held, 1);
        let about = About::new(held);
        let targets = self.clone();
        Box::pin(async move { Finished::Aside(about, targets.send(step).await) })
    }

    /// Asks a backend whether it is well, without a message.
    pub(super) fn probe(&self, target: usize) -> Job {
        let targets = self.clone();
        Box::pin(async move {
            let started = Instant::now();
            let answer = targets.get(target).probe().await;
            Finished::Probe(targets.report(target, answer, started))
        })
    }

    fn step(&self, target: usize, held: &Held, attempt: u32) -> Step {
        let mut request = self
            .get(target)
            .request(held.delivery.message(), attempt)
            .map_err(|error| Reply::Impossible(error.to_string()));
        let mut span = None;
        // What cannot be made is not sent either.
        if let (Some(delivery), Ok(request)) = (&held.span, &mut request) {
            let own = delivery.request(target, attempt);
            own.put_into(&mut request.headers);
            span = Some(own);
        }
        Step { target, request, span }
    }

    async fn one_by_one(&self, steps: Vec<Step>) -> Reports {
        let mut reports = Reports::with_capacity(steps.len());
        for step in steps {
            let target = step.target;
            let report = self.send(step).await;
            let stop = self.get(target).required() && report.outcome != Outcome::Delivered;
            reports.push(report);
            if stop {
                break;
            }
        }
        reports
    }

    async fn send(&self, Step { target, request, mut span }: Step) -> Report {
        let started = Instant::now();
        if let Some(span) = &mut span {
            span.begin();
        }
        let answer = match request {
            Ok(request) => self.get(target).send(request).await,
            Err(impossible) => Answer::from(impossible),
        };
        let host = answer.host;
        let report = self.report(target, answer, started);
        if let Some(span) = span {
            span.end(&report.reply, report.outcome, host, report.took);
        }
        report
    }

    fn report(&self, target: usize, answer: Answer, started: Instant) -> Report {
        let Answer { reply, excerpt, host: _ } = answer;
        let outcome = judge(&reply, self.get(target).policy());
        Report { target, reply, outcome, excerpt, started, took: started.elapsed() }
    }
}
