//! Dead letters, and back: what was dead-lettered goes to its queue again.
//!
//! Each message that is selected is published as a copy to its source queue, and acked in the
//! dead-letter queue when the broker has confirmed the copy. So nothing is ever in neither of the
//! two, and at most [`WINDOW`] messages, whose copies are under way, can be in both.
//!
//! Each message that was in the queue at the beginning is looked at once, taken by a question of
//! its own, and what is not selected stays unsettled until the end: only so nothing comes round
//! again, what arrives meanwhile is left alone, and the order is kept. Held is only the duty, which
//! costs the broker a few octets a message and us none.

mod count;
mod ending;
mod progress;
mod run;
mod selection;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Ended, Publisher, Taker};
use crate::config::definition::{AgentDefinition, BrokerAddress};
use crate::signals::Signals;

pub use count::{Count, Row};
pub use ending::{Report, Stop};
pub use progress::Progress;
pub use selection::{Origin, Selection, Verdict};

/// The most copies that wait for their confirm at once.
pub const WINDOW: usize = 50;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose dead letters.
    pub agent: Arc<str>,
    /// Tried in order.
    pub brokers: Vec<BrokerAddress>,
    /// The dead-letter queue.
    pub from: String,
    /// It is known to be a quorum queue.
    pub from_quorum: bool,
    /// The agent's queue.
    pub to: String,
    /// Which of them.
    pub selection: Selection,
    /// The most that are moved.
    pub limit: Option<u64>,
    /// The most a second, evenly spaced.
    pub rate: Option<f64>,
    /// Nothing is moved, only counted.
    pub dry_run: bool,
    /// Backends that have a message already are told again.
    pub to_all: bool,
    /// The longest that a stop waits for copies under way.
    pub finish_max: Duration,
}

/// The queue that `definition` has its dead letters in, unless `named` is another.
///
/// # Errors
/// Why it is not known, and what to do.
pub fn dead_letter_queue(
    definition: &AgentDefinition,
    named: Option<&str>,
) -> Result<String, String> {
    let (agent, own) = (&definition.name, &definition.source.queue.name);
    let known = definition.dead_letter.as_ref().map(|to| (to.exchange.as_str(), &to.routing_key));
    let queue = match (named, known) {
        (Some(named), _) => named,
        (None, Some(("", Some(queue)))) => queue,
        (None, Some(("", None))) => {
            return Err(format!(
                "the dead letters of `{agent}` go by their own routing keys; name their queue by --queue"
            ));
        }
        (None, Some((exchange, _))) => {
            return Err(format!(
                "the dead letters of `{agent}` go to the exchange `{exchange}`; name the queue that is bound to it by --queue"
            ));
        }
        (None, None) => {
            return Err(format!(
                "`{agent}` has no dead-letter queue; name the queue that they are in by --queue"
            ));
        }
    };
    if queue == own {
        return Err(format!(
            "`{queue}` is the queue of `{agent}` itself; name the queue that its dead letters are in by --queue"
        ));
    }
    Ok(queue.to_owned())
}

/// Does what `plan` says, until it is done or `signals` stop it.
///
/// # Errors
/// When no broker could be asked for the queue: nothing was done, for these reasons; for none where
/// a signal came before.
pub async fn run(
    plan: &Plan,
    publisher: Publisher,
    signals: &mut Signals,
    progress: &mut Progress,
) -> Result<Report, Vec<(String, Ended)>> {
    let (taker, found) = tokio::select! {
        biased;
        _ = signals.next() => return Err(Vec::new()),
        opened = open(plan) => opened?,
    };
    let report = run::Run::new(plan, taker, found.into(), publisher).go(signals, progress).await;
    progress.end();
    Ok(report)
}

async fn open(plan: &Plan) -> Result<(Taker, u32), Vec<(String, Ended)>> {
    let name = format!("amqp-agentd.redrive.{}.{}", plan.agent, std::process::id());
    let mut refusals = Vec::new();
    for address in &plan.brokers {
        match Taker::open(address, &plan.from, &name).await {
            Ok(opened) => return Ok(opened),
            Err(refused) => {
                refusals.push((format!("{}:{}", address.host, address.port), refused));
            }
        }
    }
    Err(refusals)
}
