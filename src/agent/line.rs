//! What an agent writes in the log: one closing line for each message that did not simply succeed.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::attempt::Report;
use super::window::Held;
use crate::broker::Session;
use crate::config::definition::{AgentDefinition, AuthMechanism, BrokerAddress, Declare};
use crate::outcome::Outcome;
use crate::settlement::Settlement;

/// Connected where and as whom, what was declared, window and workers.
pub(super) fn connected(
    definition: &AgentDefinition,
    address: &BrokerAddress,
    session: &Session,
    failures: u32,
) {
    let source = &definition.source;
    let user = match address.auth {
        AuthMechanism::Plain | AuthMechanism::AmqPlain => address.username.as_str(),
        AuthMechanism::External => "by certificate",
    };
    info!(
        agent = %definition.name,
        broker = %format_args!("{}:{}", address.host, address.port),
        tls = address.tls.is_some(),
        user,
        vhost = %address.vhost,
        queue = %source.queue.name,
        exchange = source.exchange.as_ref().map(|exchange| exchange.name.as_str()),
        topics = ?source.topics,
        declare = match source.declare {
            Declare::Create => "create",
            Declare::Passive => "passive",
            Declare::Skip => "skip",
        },
        window = source.prefetch_count,
        workers = definition.workers,
        consumer_tag = session.consumer_tag(),
        tries = failures,
        "consuming"
    );
}

/// The closing line of a message that was delivered, but not at the first try.
pub(super) fn delivered_late(agent: &Arc<str>, held: &Held, attempt: u32) {
    let message = held.delivery.message();
    info!(
        agent = %agent,
        message_id = message.properties.message_id(),
        routing_key = %message.routing_key,
        attempt,
        "delivered at last"
    );
}

/// The closing line of a message that failed: who said what, and what becomes of it.
pub(super) fn failed(
    agent: &Arc<str>,
    held: &Held,
    backend: &str,
    report: &Report,
    settlement: Settlement,
    wait: Option<Duration>,
) {
    let message = held.delivery.message();
    let action = match settlement {
        Settlement::Ack => "acked, since auto_ack is set",
        Settlement::Requeue { .. } => "requeued after its backoff",
        Settlement::Discard => "discarded, since nack_discard is set",
    };
    warn!(
        agent = %agent,
        message_id = message.properties.message_id(),
        routing_key = %message.routing_key,
        backend,
        attempt = attempt_number(held),
        action,
        wait_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        "not delivered: {}",
        report.reply
    );
}

/// A try that is followed by another one while the message is held.
pub(super) fn try_again(
    agent: &Arc<str>,
    held: &Held,
    backend: &str,
    report: &Report,
    wait: Duration,
) {
    let message = held.delivery.message();
    debug!(
        agent = %agent,
        message_id = message.properties.message_id(),
        routing_key = %message.routing_key,
        backend,
        attempt = attempt_number(held),
        wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        "trying again: {}",
        report.reply
    );
}

/// How a request to a backend that does not decide ended, where that was not well.
pub(super) fn aside(agent: &Arc<str>, backend: &str, message_id: Option<&str>, report: &Report) {
    if report.outcome != Outcome::Delivered {
        warn!(agent = %agent, message_id, backend, "not told, and not required to be: {}", report.reply);
    }
}

/// A backend that does not decide was not even asked: too many of its requests are under way.
pub(super) fn aside_skipped(agent: &Arc<str>, backend: &str, held: &Held) {
    let message_id = held.delivery.message().properties.message_id();
    warn!(agent = %agent, message_id, backend, "not told, and not required to be: too many requests to such backends are under way");
}

/// The number of the try that just ended, over all deliveries that the broker tells of.
pub(super) fn attempt_number(held: &Held) -> u32 {
    held.attempts.before.saturating_add(held.attempts.here).max(1)
}
