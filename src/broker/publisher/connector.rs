//! The way to one broker for all agents of a thread: when to connect, where, and what to say of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::connection::Link;
use super::lane::Request;
use super::progress::Progress;
use crate::backoff;
use crate::broker::ended::Ended;
use crate::config::definition::BrokerAddress;

/// A connection that lasted this long was a good one: the waits start over.
const LASTED: Duration = Duration::from_secs(10);

/// Connects to the first of several brokers that takes it, for all lanes.
pub(super) struct Connector {
    pub(super) brokers: Vec<BrokerAddress>,
    pub(super) lanes: RefCell<HashMap<String, LaneHandle>>,
    name: String,
    link: Mutex<Opening>,
    /// The agents whose copies are not confirmed, and since when the first is not.
    stalled: RefCell<Stalled>,
}

/// What is known of a lane that lives as a task.
pub(super) struct LaneHandle {
    pub(super) requests: mpsc::WeakSender<Box<Request>>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) blocked: watch::Receiver<bool>,
}

#[derive(Default)]
struct Opening {
    link: Option<Rc<Link>>,
    /// The broker that is tried first.
    first: usize,
    failures: u32,
    /// No connection is tried before then, for this reason.
    refused: Option<(Ended, Instant)>,
}

#[derive(Default)]
struct Stalled {
    agents: Vec<String>,
    since: Option<Instant>,
}

impl Connector {
    pub(super) fn new(brokers: &[BrokerAddress]) -> Self {
        Self {
            brokers: brokers.to_vec(),
            lanes: RefCell::default(),
            name: connection_name(),
            link: Mutex::default(),
            stalled: RefCell::default(),
        }
    }

    /// The connection, opened if there is none.
    ///
    /// After a failure the next try waits 1 s to 30 s; until then the reason is told at once.
    pub(super) async fn link(&self) -> Result<Rc<Link>, Ended> {
        let mut opening = self.link.lock().await;
        if let Some(link) = opening.link.take() {
            if link.is_open() && !link.is_worn() {
                opening.link = Some(Rc::clone(&link));
                return Ok(link);
            }
            if !link.is_open() {
                if link.opened.elapsed() >= LASTED {
                    opening.failures = 0;
                } else {
                    opening.failed(link.closing.reason());
                }
            }
        }
        if let Some((reason, until)) = &opening.refused
            && Instant::now() < *until
        {
            return Err(reason.clone());
        }
        self.open(&mut opening).await
    }

    async fn open(&self, opening: &mut Opening) -> Result<Rc<Link>, Ended> {
        let count = self.brokers.len();
        let mut last = Ended::Lost;
        for number in (opening.first..opening.first + count).map(|number| number % count) {
            match Link::open(&self.brokers[number], &self.name).await {
                Ok(link) => {
                    let link = Rc::new(link);
                    opening.first = number;
                    opening.refused = None;
                    opening.link = Some(Rc::clone(&link));
                    return Ok(link);
                }
                Err(reason) => last = reason,
            }
        }
        opening.failed(last.clone());
        Err(last)
    }

    /// A lane needs its connection no more; the last one takes leave of the broker.
    pub(super) async fn leave(&self, link: Option<Rc<Link>>) {
        let mut opening = self.link.lock().await;
        // One that was replaced is only the lanes'.
        let replaced = link.and_then(Rc::into_inner);
        let unused = opening.link.take_if(|link| Rc::strong_count(link) == 1);
        drop(opening);
        for link in replaced.into_iter().chain(unused.and_then(Rc::into_inner)) {
            link.close().await;
        }
    }

    /// The copies of `agent` are not confirmed any more, since then. Told once for all agents.
    pub(super) fn stalls(&self, agent: &str, progress: Progress) {
        let since = progress.since.unwrap_or_else(Instant::now);
        let mut stalled = self.stalled.borrow_mut();
        stalled.agents.push(agent.to_owned());
        if stalled.since.is_none() {
            stalled.since = Some(since);
            let waiting: usize =
                self.lanes.borrow().values().map(|lane| lane.progress.borrow().waiting).sum();
            warn!(
                agent = %agent,
                waiting,
                since_s = since.elapsed().as_secs(),
                "the broker does not confirm copies: a memory or disk alarm, or a queue without its majority? Nothing is acked meanwhile, and no message is lost"
            );
        }
    }

    /// After [`stalls`](Self::stalls): they are again, or there is nothing to wait for any more.
    pub(super) fn gets_on(&self, agent: &str, is_answered: bool) {
        let mut stalled = self.stalled.borrow_mut();
        stalled.agents.retain(|other| other != agent);
        if stalled.agents.is_empty()
            && let Some(since) = stalled.since.take()
            && is_answered
        {
            let after_s = since.elapsed().as_secs();
            info!(agent = %agent, after_s, "the broker confirms copies again");
        }
    }
}

impl Opening {
    fn failed(&mut self, reason: Ended) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::probe(self.failures, fastrand::f64());
        self.refused = Some((reason, Instant::now() + wait));
    }
}

/// Says who publishes: at most 255 bytes, cut if need be.
fn connection_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let host = host.split('.').next().unwrap_or_default();
    let mut name = format!("amqp-agentd copies@{host}.{}", std::process::id());
    name.truncate(name.floor_char_boundary(255));
    name
}
