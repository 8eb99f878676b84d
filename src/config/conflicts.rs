//! Agents that are valid each by itself and not together: names, queues, exchanges.
//!
//! Of two agents in conflict, the one whose file comes first by name is kept.

use std::sync::Arc;

use super::copy_conflicts::{same_copies, takes_copies};
use super::definition::{AgentDefinition, BrokerAddress, Declare, Exchange, Queue};
use super::report::{Report, quoted};
use super::resolve::Candidate;

/// Reports every conflict, and hands out the agents that are in none.
pub(super) fn without_conflicts(
    candidates: Vec<Candidate>,
    report: &mut Report<'_>,
) -> Vec<Arc<AgentDefinition>> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates.into_iter().filter(|candidate| candidate.enabled) {
        report.judge(candidate.file);
        // One conflict of each kind says enough.
        let conflicts = [same_name, same_queue, same_exchange, same_copies, takes_copies]
            .map(|conflict| kept.iter().any(|other| conflict(&candidate, other, report)));
        if conflicts == [false; 5] {
            kept.push(candidate);
        }
    }
    kept.into_iter().map(|candidate| Arc::new(candidate.definition)).collect()
}

fn same_name(candidate: &Candidate, other: &Candidate, report: &mut Report<'_>) -> bool {
    let (definition, known) = (&candidate.definition, &other.definition);
    let conflict = definition.name == known.name;
    if conflict {
        report.error(
            &candidate.name,
            format!(
                "the agent {} is in {} already",
                quoted(&definition.name),
                known.file.display()
            ),
            "set another `name`",
        );
    }
    conflict
}

/// Whether two agents can meet in one virtual host of one broker.
pub(super) fn share_a_broker(one: &AgentDefinition, other: &AgentDefinition) -> bool {
    let key = |broker: &BrokerAddress| (broker.host.clone(), broker.port, broker.vhost.clone());
    let known: Vec<_> = other.source.brokers.iter().map(key).collect();
    one.source.brokers.iter().any(|broker| known.contains(&key(broker)))
}

fn same_queue(candidate: &Candidate, other: &Candidate, report: &mut Report<'_>) -> bool {
    let (source, known) = (&candidate.definition.source, &other.definition.source);
    if source.queue.name != known.queue.name
        || !share_a_broker(&candidate.definition, &other.definition)
    {
        return false;
    }
    let shown = report.quote(&candidate.queue, &source.queue.name);
    let place = report.sources.place(&other.queue);
    if source.queue.exclusive || known.queue.exclusive {
        report.error(
            &candidate.queue,
            format!("the queue {shown} is shared with {place}, and exclusive to one of them"),
            "remove `exclusive`, or use another queue",
        );
        return true;
    }
    if source.declare != Declare::Create || known.declare != Declare::Create {
        return false;
    }
    let differing = queue_differences(&source.queue, &known.queue);
    if !differing.is_empty() {
        report.error(
            &candidate.queue,
            format!("the queue {shown} is declared otherwise at {place}: {}", differing.join(", ")),
            "declare it alike in both, or set `declare = \"passive\"` in one",
        );
    }
    !differing.is_empty()
}

fn same_exchange(candidate: &Candidate, other: &Candidate, report: &mut Report<'_>) -> bool {
    let (source, known) = (&candidate.definition.source, &other.definition.source);
    let (Some(exchange), Some(other_exchange)) = (&source.exchange, &known.exchange) else {
        return false;
    };
    let declared = source.declare == Declare::Create && known.declare == Declare::Create;
    if !declared
        || exchange.name != other_exchange.name
        || !share_a_broker(&candidate.definition, &other.definition)
    {
        return false;
    }
    let differing = exchange_differences(exchange, other_exchange);
    if !differing.is_empty() {
        let shown = report.quote(&candidate.exchange, &exchange.name);
        let place = report.sources.place(&other.exchange);
        report.error(
            &candidate.exchange,
            format!(
                "the exchange {shown} is declared otherwise at {place}: {}",
                differing.join(", ")
            ),
            "declare it alike in both, or set `declare = \"passive\"` in one",
        );
    }
    !differing.is_empty()
}

/// The keys that differ.
pub(super) fn queue_differences(one: &Queue, other: &Queue) -> Vec<&'static str> {
    let differences = [
        ("`queue_type`", one.queue_type != other.queue_type),
        ("`durable`", one.durable != other.durable),
        ("`delete`", one.auto_delete != other.auto_delete),
        ("`arguments`", one.arguments != other.arguments),
    ];
    named(&differences)
}

fn exchange_differences(one: &Exchange, other: &Exchange) -> Vec<&'static str> {
    let differences = [
        ("`exchange_type`", one.exchange_type != other.exchange_type),
        ("`durable`", one.durable != other.durable),
        ("`delete`", one.auto_delete != other.auto_delete),
        ("`exchange_arguments`", one.arguments != other.arguments),
    ];
    named(&differences)
}

fn named(differences: &[(&'static str, bool)]) -> Vec<&'static str> {
    differences.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
