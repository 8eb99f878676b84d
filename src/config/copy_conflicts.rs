//! Agents that would declare one queue for copies differently, or take from another's delay queue.

use std::collections::BTreeMap;

use super::conflicts::{queue_differences, share_a_broker};
use super::definition::{Declare, Queue, QueueType};
use super::report::{Report, quoted};
use super::resolve::Candidate;
use super::source_map::Span;
use crate::broker::CopyQueue;

/// Two agents declare one queue for their copies, and not alike.
pub(super) fn same_copies(
    candidate: &Candidate,
    other: &Candidate,
    report: &mut Report<'_>,
) -> bool {
    let (source, others) = (&candidate.definition.source, &other.definition.source);
    let declare_one_queue = source.queue.name == others.queue.name
        && source.declare == Declare::Create
        && others.declare == Declare::Create;
    // If they declare that one differently, it was said, and the copies follow from it. Each pair
    // of agents comes by here, and nearly all are alike.
    if source.copy_kind() == others.copy_kind() || declare_one_queue {
        return false;
    }
    let is_known = |queue: &&CopyQueue| other.copies.iter().any(|known| known.name == queue.name);
    let Some(queue) = candidate.copies.iter().find(is_known) else {
        return false;
    };
    if !share_a_broker(&candidate.definition, &other.definition) {
        return false;
    }
    let (span, what, others, remedy) = if queue.delay.is_some() {
        let remedy = "say the same `queue_type` in both";
        (&candidate.queue, "delay queue", &other.queue, remedy)
    } else {
        let remedy = "name another queue in [dead_letter], or use the same `queue_type` in both";
        let others = dead_letter_place(other, report);
        (dead_letter_place(candidate, report), "dead-letter queue", others, remedy)
    };
    let shown = shown(candidate, &queue.name, report);
    let place = report.sources.place(others);
    let problem = format!("the {what}{shown} is declared otherwise at {place}: `queue_type`");
    report.error(span, problem, remedy);
    true
}

/// A space and the name of a queue, or nothing where the name may come from what must not be shown.
fn shown(candidate: &Candidate, name: &str, report: &Report<'_>) -> String {
    let from = [&candidate.queue, &candidate.dead_letter, &candidate.delays];
    let is_concealed = from.into_iter().any(|span| report.is_concealed(span));
    if is_concealed { String::new() } else { format!(" {}", quoted(name)) }
}

/// Where to say something of an agent's dead letters: what all agents inherit would not tell
/// which of them is meant.
fn dead_letter_place<'c>(candidate: &'c Candidate, report: &Report<'_>) -> &'c Span {
    let is_own = report.sources.file(&candidate.dead_letter) == candidate.file;
    if is_own { &candidate.dead_letter } else { &candidate.queue }
}

/// One agent takes from a queue that another declares for its copies.
pub(super) fn takes_copies(
    candidate: &Candidate,
    other: &Candidate,
    report: &mut Report<'_>,
) -> bool {
    let (takes, gives) = (taken(candidate, other), taken(other, candidate));
    if takes.is_none() && gives.is_none()
        || !share_a_broker(&candidate.definition, &other.definition)
    {
        return false;
    }
    let place = report.sources.place(&other.queue);
    if let Some((queue, fault)) = takes {
        let shown = shown(candidate, &queue.name, report);
        let (what, otherwise) = match &fault {
            Fault::NotDue => ("a delay queue", String::new()),
            Fault::DeclaredOtherwise(keys) => {
                ("the dead-letter queue", format!(", which declares it otherwise: {keys}"))
            }
        };
        let problem = format!("the queue{shown} is {what} of the agent at {place}{otherwise}");
        report.error(&candidate.queue, problem, fault.remedy());
    }
    if let Some((queue, fault)) = gives {
        let shown = shown(candidate, &queue.name, report);
        let (span, what) = match &fault {
            Fault::NotDue => (&candidate.queue, format!("consumes this one's delay queue{shown}")),
            Fault::DeclaredOtherwise(keys) => (
                dead_letter_place(candidate, report),
                format!("declares this one's dead-letter queue{shown} otherwise: {keys}"),
            ),
        };
        report.error(span, format!("the agent at {place} {what}"), fault.remedy());
    }
    true
}

/// Why an agent should not take from a queue with another's copies.
enum Fault {
    /// They wait there.
    NotDue,
    /// The keys that differ.
    DeclaredOtherwise(String),
}

impl Fault {
    fn remedy(&self) -> &'static str {
        match self {
            Self::NotDue => "consume from another queue: what waits there is not due",
            Self::DeclaredOtherwise(_) => {
                "let the agent that consumes it set `declare = \"passive\"`"
            }
        }
    }
}

/// The queue with copies of `maker` that `taker` should not take from as it does.
fn taken<'m>(taker: &Candidate, maker: &'m Candidate) -> Option<(&'m CopyQueue, Fault)> {
    let source = &taker.definition.source;
    let copies = maker.copies.iter().find(|copies| copies.name == source.queue.name)?;
    if copies.delay.is_some() {
        return Some((copies, Fault::NotDue));
    }
    let declared = Queue {
        name: copies.name.clone(),
        queue_type: Some(copies.kind),
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: BTreeMap::new(),
    };
    // What is not said is taken for classic, here as for copies.
    let queue_type = source.queue.queue_type.or(Some(QueueType::Classic));
    let differing = queue_differences(&declared, &Queue { queue_type, ..source.queue.clone() });
    let is_declared = source.declare == Declare::Create;
    (is_declared && !differing.is_empty())
        .then(|| (copies, Fault::DeclaredOtherwise(differing.join(", "))))
}
