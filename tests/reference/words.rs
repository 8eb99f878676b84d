//! Each default that stands in words holds.

use amqp_agentd::config::definition::{AgentDefinition, RetryStrategy};
use toml::Table;

use super::SECTIONS;
use super::machine::{Machine, as_file, small, value, with};
use super::page::{Row, reference};

/// A default in words: what is to be true of a small file without the key.
type Holds = fn(&AgentDefinition) -> bool;

/// The defaults in words that a definition tells.
const IN_WORDS: [(&str, &str, Holds); 21] = [
    ("AgentSpec", "name", |agent| &*agent.name == "orders"),
    ("AmqpSpec", "exchange_arguments", |agent| {
        agent.source.exchange.as_ref().is_some_and(|exchange| exchange.arguments.is_empty())
    }),
    ("AmqpSpec", "queue_type", |agent| agent.source.queue.queue_type.is_none()),
    ("AmqpSpec", "arguments", |agent| agent.source.queue.arguments.is_empty()),
    ("AmqpSpec", "consumer_tag", |agent| agent.source.consumer_tag.is_none()),
    ("AmqpSpec", "consumer_priority", |agent| agent.source.consumer_priority.is_none()),
    ("AmqpSpec", "management", |agent| agent.source.management.is_empty()),
    ("BrokerTlsSpec", "ca", |agent| agent.source.brokers[0].tls.is_none()),
    ("BrokerTlsSpec", "cert", |agent| agent.source.brokers[0].tls.is_none()),
    ("BrokerTlsSpec", "key", |agent| agent.source.brokers[0].tls.is_none()),
    ("BrokerTlsSpec", "server_name", |agent| agent.source.brokers[0].tls.is_none()),
    ("RetrySpec", "max_age", |agent| agent.retry.max_age.is_none()),
    ("RetrySpec", "strategy", |agent| agent.retry.strategy == RetryStrategy::Queue),
    ("DeadLetterSpec", "queue", |agent| {
        let target = agent.dead_letter.as_ref();
        target.is_some_and(|to| to.routing_key.as_deref() == Some("orders.dead") && to.declare)
    }),
    ("DeadLetterSpec", "exchange", |agent| {
        agent.dead_letter.as_ref().is_some_and(|target| target.exchange.is_empty())
    }),
    ("BackendSpec", "name", |agent| &*agent.backends[0].name == "shop"),
    ("BackendSpec", "timeout", |agent| agent.backends[0].timeout == agent.timeout),
    ("BackendSpec", "headers", |agent| agent.backends[0].headers.is_empty()),
    ("BackendTlsSpec", "ca", |agent| agent.backends[0].tls.ca.is_none()),
    ("BackendTlsSpec", "cert", |agent| agent.backends[0].tls.identity.is_none()),
    ("BackendTlsSpec", "key", |agent| agent.backends[0].tls.identity.is_none()),
];

/// Defaults in words that another file than the small one shows, below, or that no definition has.
const ELSEWHERE: [(&str, &str); 8] = [
    ("AmqpSpec", "exchange"),
    ("DeadLetterSpec", "routing_key"),
    ("BackendSpec", "encoding"),
    ("DaemonSpec", "threads"),
    ("AdminSpec", "listen"),
    ("TracingSpec", "endpoint"),
    ("TracingSpec", "headers"),
    ("TracingSpec", "attributes"),
];

#[test]
fn each_default_in_words_holds() {
    let machine = Machine::new();
    let plain = machine.agent(&as_file(small())).0.unwrap();
    for (spec, name, holds) in IN_WORDS {
        assert!(holds(&plain), "{spec}: `{name}`");
    }
    for (spec, heading, _) in SECTIONS {
        for Row { name, default, .. } in reference().remove(heading).unwrap() {
            let is_in_words = value(&default).is_none() && !matches!(&*default, "" | "required");
            let known = IN_WORDS.iter().map(|(spec, name, _)| (*spec, *name)).chain(ELSEWHERE);
            let is_known = known.into_iter().any(|known| known == (spec, &*name));
            assert_eq!(is_in_words, is_known, "`{name}` under {heading}: {default}");
        }
    }
    let mut unbound = small();
    unbound["async/amqp"].as_table_mut().unwrap().remove("exchange");
    unbound.remove("consumer");
    let unbound = machine.agent(&as_file(unbound)).0.unwrap();
    assert!(unbound.source.exchange.is_none() && unbound.source.topics.is_empty());
    let dead = with(small(), &["dead_letter"], "exchange", "dead".into());
    let dead = machine.agent(&as_file(dead)).0.unwrap().dead_letter.unwrap();
    assert_eq!((&*dead.exchange, dead.routing_key), ("dead", None), "the message's own");
    let passive = with(small(), &["async/amqp"], "declare", "passive".into());
    let passive = machine.agent(&as_file(passive)).0.unwrap();
    assert_eq!((passive.retry.strategy, passive.dead_letter), (RetryStrategy::Requeue, None));
    let settings = machine.main(&Table::new()).settings;
    assert!(settings.threads.is_none() && settings.admin.listen.is_empty());
    assert!(settings.tracing.is_none());
}
