//! Agents that are valid each by itself and not together: names, queues, exchanges.
//!
//! Of two agents in conflict, the one whose file comes first by name is kept.

use std::sync::Arc;

use super::copy_conflicts::{same_copies, takes_copies};
use super::definition::{AgentDefinition, BrokerAddress, Declare, Exchange, Queue};
use super::kept::Kept;
use super::report::{Report, quoted};
use super::resolve::Candidate;

/// Reports whether the first is in conflict with the second, which is kept.
type Conflict = fn(&Candidate, &Candidate, &mut Report<'_>) -> bool;

/// Each is over a name that both have: [`Kept`] finds them by these.
const CONFLICTS: [Conflict; 5] = [same_name, same_queue, same_exchange, same_copies, takes_copies];

/// Reports every conflict, and hands out the agents that are in none.
pub(super) fn without_conflicts(
    candidates: Vec<Candidate>,
    report: &mut Report<'_>,
) -> Vec<Arc<AgentDefinition>> {
    let enabled: Vec<_> = candidates.into_iter().filter(|candidate| candidate.enabled).collect();
    let mut kept = Kept::default();
    for (place, candidate) in enabled.iter().enumerate() {
        report.judge(candidate.file);
        let others = kept.concerned_by(candidate);
        // One conflict of each kind says enough.
        let conflicts = CONFLICTS.map(|conflict| {
            others.iter().any(|other| conflict(candidate, &enabled[*other], report))
        });
        if conflicts == [false; 5] {
            kept.add(place, candidate);
        }
    }
    let places = kept.places;
    let kept = enabled.into_iter().enumerate().filter(|(place, _)| places.contains(place));
    kept.map(|(_, candidate)| Arc::new(candidate.definition)).collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::agent;
    use crate::config::main_file::Defaults;
    use crate::config::tests::NoEnvironment;

    /// An agent file with a few of the names that there are.
    fn text(of: &[usize; 6]) -> String {
        let [name, queue, exchange, exchange_type, queue_type, dead] = *of;
        let queue = ["q", "q.dead", "q.retry.5s", "d"][queue % 4];
        format!(
            r#"name = "{}"
["async/amqp"]
host = "amqp://localhost/"
name = "{queue}"
exchange = "{}"
exchange_type = "{}"
queue_type = "{}"
[consumer]
topic = "t"
[dead_letter]
queue = "{}"
[[backend]]
host = "http://localhost"
url_pattern = "/"
"#,
            ["a", "b", "c", "e"][name % 4],
            ["x", "y"][exchange % 2],
            ["topic", "direct"][exchange_type % 2],
            ["classic", "quorum"][queue_type % 2],
            [&format!("{queue}.dead"), "d", "q"][dead % 3],
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whoever_is_in_conflict_is_compared(files in proptest::collection::vec(any::<[usize; 6]>(), 2..12)) {
            let texts: Vec<String> = files.iter().map(text).collect();
            let mut report = Report::default();
            let candidates = texts.iter().enumerate().filter_map(|(number, text)| {
                let path = format!("{number}.toml");
                agent(Path::new(&path), text, &Defaults::default(), &NoEnvironment, &mut report).1
            });
            let candidates: Vec<_> = candidates.collect();
            let mut kept = Kept::default();
            for (place, candidate) in candidates.iter().enumerate() {
                let concerned = kept.concerned_by(candidate);
                for (other, known) in candidates[..place].iter().enumerate() {
                    let is_conflict = CONFLICTS.map(|conflict| conflict(candidate, known, &mut report));
                    prop_assert!(is_conflict == [false; 5] || concerned.contains(&other));
                }
                kept.add(place, candidate);
            }
        }
    }
}
