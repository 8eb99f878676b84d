//! The queues for copies that an agent declares when it first needs them.

use std::collections::BTreeSet;

use super::names::delay_queue;
use crate::broker::CopyQueue;
use crate::config::definition::{AgentDefinition, RetryStrategy};

/// The delay queues of `definition`, and last its queue for dead letters, as far as it declares them.
#[must_use]
pub fn queues(definition: &AgentDefinition) -> Vec<CopyQueue> {
    let (source, retry) = (&definition.source, &definition.retry);
    if source.nack_discard || source.auto_ack {
        return Vec::new();
    }
    let delays: BTreeSet<_> = match retry.strategy {
        RetryStrategy::Queue => retry.delays.iter().copied().collect(),
        RetryStrategy::Native | RetryStrategy::InPlace | RetryStrategy::Requeue => BTreeSet::new(),
    };
    let kind = source.copy_kind();
    let delay_queues = delays.into_iter().map(|delay| CopyQueue {
        name: delay_queue(&source.queue.name, delay),
        kind,
        delay: Some((delay, source.queue.name.clone())),
    });
    let target = definition.dead_letter.as_ref().filter(|target| target.declare);
    let dead = target.and_then(|target| target.routing_key.clone());
    delay_queues.chain(dead.map(|name| CopyQueue { name, kind, delay: None })).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::definition::tests::definition;

    #[test]
    fn each_delay_has_a_queue_and_dead_letters_have_one_where_they_are_ours_to_declare() {
        let mut agent = definition("orders");
        agent.retry.delays = [30, 5, 30].map(Duration::from_secs).to_vec();
        let names = |agent: &AgentDefinition| -> Vec<_> {
            queues(agent).into_iter().map(|queue| queue.name).collect()
        };
        assert_eq!(names(&agent), ["orders.retry.5s", "orders.retry.30s", "orders.dead"]);
        agent.retry.strategy = RetryStrategy::Requeue;
        assert_eq!(names(&agent), ["orders.dead"]);
        agent.source.nack_discard = true;
        assert_eq!(names(&agent), [""; 0]);
    }
}
