//! One agent's life: a session, the messages that it brings, the backends, and the end.
//!
//! An agent is one task that lives wholly on one thread. It owns its session, its deliveries
//! and its requests in flight, so that nothing on a message's way takes a lock, and whatever
//! happens to it happens to it alone.

mod attempt;
mod audit;
mod bells;
mod breaker;
mod copying;
mod heed;
mod hold;
mod judge;
mod let_go;
mod line;
mod pause;
mod reconnect;
pub mod rehearsal;
mod shared;
mod shelf;
mod spoken;
mod tally;
mod window;
mod work;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info};

use crate::backend::{Clients, Groups};
use crate::broker::{Ended, Publishers, Session};
use crate::config::definition::{AgentDefinition, BrokerAddress};
use crate::meters::Meters;
use crate::settlement::Policy;
use crate::spans::{AgentSpans, Tracer};

pub use spoken::{Finish, Order, Said, State};

use crate::pace::Pace;
use attempt::{Finished, Job, Targets};
use audit::Audit;
use copying::Copying;
use hold::Hold;
use pause::Pause;
use reconnect::{Next, Reconnect};
use shared::Shared;
use tally::Tally;
use window::Window;

/// What an agent gets from its thread and its supervisor.
pub struct Context {
    /// The HTTP clients of the thread.
    pub clients: Rc<RefCell<Clients>>,
    /// What all agents know of the hosts that backends live on.
    pub groups: Arc<Groups>,
    /// The publishing connections of the thread.
    pub publishers: Rc<RefCell<Publishers>>,
    /// What spans are made with, while somebody collects them.
    pub tracer: Option<Tracer>,
    /// What the supervisor wants.
    pub orders: watch::Receiver<Order>,
    /// Where the agent says what it is doing.
    pub state: watch::Sender<Said>,
    /// What the agent counts.
    pub meters: Arc<Meters>,
}

/// Lives one agent's life, until it is ordered to end or gives up.
///
/// Not cancel-safe: order it to end instead, so that what it holds goes back to the broker.
pub async fn run(definition: Arc<AgentDefinition>, context: Context) -> Finish {
    let targets = Targets::new(&definition, &mut context.clients.borrow_mut());
    let targets = match targets {
        Ok(targets) => targets,
        Err(error) => {
            error!(agent = %definition.name, "stopped: {error}; mend the file and reload");
            return Finish::GaveUp(error.to_string());
        }
    };
    Agent::new(definition, context, targets).live().await
}

struct Agent {
    definition: Arc<AgentDefinition>,
    orders: watch::Receiver<Order>,
    state: watch::Sender<Said>,
    targets: Targets,
    policy: Policy,
    window: Window,
    jobs: FuturesUnordered<Job>,
    /// Tries at the backends that decide, also those whose session is gone.
    in_flight: usize,
    /// Requests to backends that do not decide.
    asides: usize,
    copying: Copying,
    hold: Hold,
    pause: Pause,
    /// What this agent shares with others of its backends' health.
    shared: Shared,
    /// While a breaker is open: whose, and what was said.
    unwell: Option<String>,
    /// How long a hold keeps the window.
    keep_max: Duration,
    pace: Pace,
    tally: Tally,
    /// While somebody collects spans.
    spans: Option<AgentSpans>,
    reconnect: Reconnect,
    audit: Audit,
}

/// How a session that began came to its end.
enum Stop {
    Ordered,
    Ended(Ended),
}

impl Agent {
    fn new(definition: Arc<AgentDefinition>, context: Context, targets: Targets) -> Self {
        let publisher =
            context.publishers.borrow_mut().get(&definition.source.brokers, &definition.name);
        let policy = Policy::of(&definition);
        Self {
            orders: context.orders,
            state: context.state,
            targets,
            policy,
            window: Window::default(),
            jobs: FuturesUnordered::new(),
            in_flight: 0,
            asides: 0,
            copying: Copying::new(publisher),
            hold: Hold::default(),
            pause: Pause::default(),
            shared: Shared::join(&definition, &context.groups),
            unwell: None,
            keep_max: keep_max(&definition),
            pace: Pace::new(definition.max_rate),
            tally: Tally::new(&definition, context.meters, Instant::now()),
            spans: context.tracer.map(|tracer| AgentSpans::new(tracer, &definition)),
            reconnect: Reconnect::new(definition.reconnect.clone()),
            audit: Audit::default(),
            definition,
        }
    }

    async fn live(mut self) -> Finish {
        let definition = Arc::clone(&self.definition);
        let finish = loop {
            self.say(State::Connecting);
            let (session, address) = match self.connect(&definition).await {
                Ok(found) => found,
                Err(finish) => break finish,
            };
            let began = Instant::now();
            let reason = match self.work(session, address).await {
                Stop::Ordered => break Finish::Ordered,
                Stop::Ended(reason) => reason,
            };
            self.say(State::Connecting);
            let now = Instant::now();
            let next = self.reconnect.ended(reason.clone(), now - began, now, fastrand::f64());
            if let Err(finish) = self.wait(&[(None, reason)], next).await {
                break finish;
            }
        };
        self.tally.close(self.window.len());
        finish
    }

    /// Says what it does, to those who ask. Before the line of the log that tells the same: whoever
    /// has read of a change can see it.
    fn say(&self, state: State) {
        self.state.send_if_modified(|said| said.change(state));
    }

    /// Tries each address in order, and again after a wait, until a session stands.
    async fn connect<'a>(
        &mut self,
        definition: &'a Arc<AgentDefinition>,
    ) -> Result<(Session, &'a BrokerAddress), Finish> {
        loop {
            let mut refusals = Vec::new();
            for address in &definition.source.brokers {
                // What is needed only until the session stands is not to be held for its life.
                let opening = Box::pin(Session::open(address, definition));
                match self.meanwhile(opening).await {
                    None => return Err(Finish::Ordered),
                    Some(Ok(session)) => {
                        if let Some(spans) = &mut self.spans {
                            spans.connected(&address.host, address.port);
                        }
                        self.audit.begin(definition, address, session.server());
                        return Ok((session, address));
                    }
                    Some(Err(refused)) => refusals.push((Some(address), refused)),
                }
            }
            let reasons = refusals.iter().map(|(_, reason)| reason.clone()).collect();
            let next = self.reconnect.refused(reasons, Instant::now(), fastrand::f64());
            self.wait(&refusals, next).await?;
        }
    }

    /// Says why there is no session, each broker's reason for itself, and waits for the next try.
    async fn wait(
        &mut self,
        reasons: &[(Option<&BrokerAddress>, Ended)],
        next: Next,
    ) -> Result<(), Finish> {
        let agent = Arc::clone(&self.definition.name);
        let (wait, say) = match next {
            Next::Retry { wait, say } => (wait, say),
            Next::GiveUp => {
                let reasons: Vec<_> =
                    reasons.iter().map(|(_, reason)| reason.to_string()).collect();
                let reason = reasons.join("; then ");
                error!(
                    agent = %agent,
                    tries = self.reconnect.failures(),
                    "stopped, connection.max_retries is used up: {reason}; reload or restart to begin again"
                );
                return Err(Finish::GaveUp(reason));
            }
        };
        for (broker, reason) in reasons {
            self.tally.without_session(reason);
            line::no_session(&agent, *broker, reason, say, self.reconnect.failures(), wait);
        }
        match self.meanwhile(tokio::time::sleep(wait)).await {
            Some(()) => Ok(()),
            None => Err(Finish::Ordered),
        }
    }

    /// Waits for `future` without a session: what is in flight goes on, and an order ends the
    /// wait (`None`).
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                () = ordered_to_end(&mut self.orders) => return None,
                Some(finished) = self.jobs.next() => self.finish_without_session(finished),
                value = &mut future => return Some(value),
            }
        }
    }

    /// What was in flight when its session ended: the broker hands the message out again.
    fn finish_without_session(&mut self, finished: Finished) {
        match finished {
            Finished::Attempt(key, reports) => {
                self.in_flight -= 1;
                for report in &reports {
                    self.tally.replied(report);
                }
                self.probe_over(Some(key));
            }
            Finished::Aside(about, report) => self.aside_finished(&about, &report),
            Finished::Probe(_) => self.probe_over(None),
            Finished::Copied(_, to, told) => self.copy_finished(&to, &told),
        }
        self.tally.holds(self.window.len(), self.in_flight);
    }

    fn aside_finished(&mut self, about: &line::About, report: &attempt::Report) {
        self.asides -= 1;
        self.tally.replied(report);
        let name = self.targets.get(report.target).name();
        line::aside(&self.definition.name, name, about, report);
    }

    /// Gives up everything held, since the session that brought it is gone; of `unsaid` more the
    /// broker was not told that they are done.
    fn abandon(&mut self, unsaid: usize) {
        let held = self.window.take_all();
        self.tally.abandoned(held.len());
        self.tally.holds(self.window.len(), self.in_flight);
        if !held.is_empty() || unsaid > 0 {
            info!(
                agent = %self.definition.name,
                messages = held.len(),
                in_flight = self.in_flight,
                done = (unsaid > 0).then_some(unsaid),
                "gave up what was held, the broker hands it out again; what was in flight or done may arrive twice"
            );
        }
        for held in held {
            held.delivery.abandon();
        }
    }
}

impl Drop for Agent {
    /// An agent that is dropped, because it panicked or outstayed its stop, took its session
    /// along: the broker hands out again what was held.
    fn drop(&mut self) {
        let held = self.window.take_all();
        self.tally.abandoned(held.len());
        for held in held {
            held.delivery.abandon();
        }
        self.tally.left();
    }
}

/// How long a hold keeps the window. To give it back the consumer is cancelled, and a queue
/// that is deleted when its last consumer leaves, at once or after a while, would take its messages
/// along.
fn keep_max(definition: &AgentDefinition) -> Duration {
    const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 10);
    let queue = &definition.source.queue;
    let needs_consumer = queue.auto_delete || queue.arguments.contains_key("x-expires");
    if needs_consumer { FOR_EVER } else { definition.hold_max }
}

/// Returns once the order is to end. Cancel-safe.
async fn ordered_to_end(orders: &mut watch::Receiver<Order>) {
    // A supervisor that is gone wants everything to end.
    orders.wait_for(|order| order.ends()).await.ok();
}

/// Returns once everything is to end at once. Cancel-safe.
async fn ordered_to_abort(orders: &mut watch::Receiver<Order>) {
    orders.wait_for(|order| *order == Order::Abort).await.ok();
}

#[cfg(test)]
mod tests;
