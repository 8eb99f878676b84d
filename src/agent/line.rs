//! What an agent writes in the log: one closing line for each message that did not simply succeed.

use std::sync::Arc;
use std::time::Duration;

use tracing::field::display;
use tracing::{debug, error, info, warn};

use super::attempt::Report;
use super::reconnect::Say;
use super::window::Held;
use crate::broker::{Ended, Session};
use crate::config::definition::{AgentDefinition, AuthMechanism, BrokerAddress, Declare};
use crate::outcome::{Outcome, Reply};
use crate::settlement::{CopyTo, Reason, Settlement};
use crate::spans::{Context, TraceId};

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
        user = %user,
        vhost = %address.vhost,
        queue = %source.queue.name,
        exchange = source.exchange.as_ref().map(|exchange| display(&exchange.name)),
        topics = ?source.topics,
        declare = %match source.declare {
            Declare::Create => "create",
            Declare::Passive => "passive",
            Declare::Skip => "skip",
        },
        window = source.prefetch_count,
        workers = definition.workers,
        consumer_tag = %session.consumer_tag(),
        failed_tries = (failures > 0).then_some(failures),
        "consuming"
    );
}

/// Why there is no session, and when the next try comes; the same reason not each time.
///
/// With the broker at which none could begin; without one, it is that of the session that ended.
pub(super) fn no_session(
    agent: &Arc<str>,
    broker: Option<&BrokerAddress>,
    reason: &Ended,
    say: Say,
    tries: u32,
    wait: Duration,
) {
    let next_try_ms = millis(wait);
    let what = if broker.is_some() { "no session" } else { "session ended" };
    let needs_somebody = broker.is_some() && reason.needs_somebody();
    let broker = broker.map(|address| format!("{}:{}", address.host, address.port));
    let broker = broker.as_deref();
    match say {
        Say::Nothing => debug!(agent = %agent, broker, tries, next_try_ms, "{what}: {reason}"),
        Say::Reminder(since) => warn!(
            agent = %agent,
            broker,
            tries,
            for_s = since.as_secs(),
            next_try_ms,
            "still without a session that lasts: {reason}"
        ),
        Say::News if needs_somebody => error!(
            agent = %agent,
            broker,
            next_try_ms,
            "{what}: {reason}; somebody has to mend this, trying on quietly"
        ),
        Say::News => warn!(agent = %agent, broker, next_try_ms, "{what}: {reason}; trying on"),
    }
}

/// The names that lines about a message go by, kept where the message may be gone before its line.
pub(super) struct About {
    message_id: Option<String>,
    trace: Option<TraceId>,
}

impl About {
    pub(super) fn new(held: &Held) -> Self {
        let message_id = held.delivery.message().properties.message_id();
        Self { message_id: message_id.map(str::to_owned), trace: trace(held) }
    }
}

/// The trace that a message belongs to: its span's, or the one that it brings itself.
fn trace(held: &Held) -> Option<TraceId> {
    match &held.span {
        Some(span) => Some(span.trace()),
        None => Context::of(held.delivery.message()).map(|context| context.trace),
    }
}

/// The closing line of a message that was delivered, but not at the first try.
pub(super) fn delivered_late(agent: &Arc<str>, held: &Held, attempt: u32) {
    let message = held.delivery.message();
    info!(
        agent = %agent,
        message_id = message.properties.message_id(),
        routing_key = message.routing_key.as_str(),
        attempt,
        trace_id = trace(held).map(display),
        "delivered at last"
    );
}

/// Who failed a message, and how: for its closing line, which may be written later.
pub(super) struct Failed {
    pub(super) backend: Arc<str>,
    pub(super) status: Option<u16>,
    pub(super) reply: String,
    /// Tries in all.
    pub(super) attempt: u32,
    /// Where its copy went: a queue, by the default exchange, or an exchange.
    pub(super) to: Option<Arc<str>>,
}

impl Failed {
    pub(super) fn new(held: &Held, backend: &Arc<str>, report: &Report) -> Self {
        Self {
            backend: Arc::clone(backend),
            status: status(report),
            reply: report.reply.to_string(),
            attempt: attempt_number(held),
            to: None,
        }
    }
}

/// What became of a message that failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// It was settled like this.
    Settled(Settlement),
    /// It is kept until its next attempt.
    TriedOn,
    /// It is kept, since it has nowhere to go.
    Stuck,
}

impl Action {
    pub(super) fn of(settlement: Settlement) -> Self {
        Self::Settled(settlement)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Settled(Settlement::Ack) => "acked, since auto_ack is set",
            Self::Settled(Settlement::Replaced(CopyTo::Retry(_))) => "tried again later",
            Self::Settled(Settlement::Replaced(CopyTo::DeadLetter(_))) => "dead-lettered",
            Self::Settled(Settlement::Requeue { .. }) => "requeued after its backoff",
            Self::Settled(Settlement::Discard) => "discarded, since nack_discard is set",
            Self::TriedOn => "kept and tried on",
            Self::Stuck => "kept and tried on, since there is no dead-letter queue",
        }
    }

    fn reason(self) -> Option<Reason> {
        match self {
            Self::Settled(Settlement::Replaced(CopyTo::DeadLetter(reason))) => Some(reason),
            Self::Settled(_) | Self::TriedOn | Self::Stuck => None,
        }
    }
}

/// The closing line of a message that failed: who said what, and what becomes of it.
pub(super) fn failed(
    agent: &Arc<str>,
    held: &Held,
    failed: &Failed,
    action: Action,
    wait: Option<Duration>,
) {
    let message = held.delivery.message();
    warn!(
        agent = %agent,
        message_id = message.properties.message_id(),
        routing_key = message.routing_key.as_str(),
        backend = %failed.backend,
        status = failed.status,
        attempt = failed.attempt,
        action = action.text(),
        to = failed.to.as_deref(),
        reason = action.reason().map(display),
        wait_ms = wait.map(millis),
        trace_id = trace(held).map(display),
        "not delivered: {}",
        failed.reply
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
        routing_key = message.routing_key.as_str(),
        backend = %backend,
        status = status(report),
        attempt = attempt_number(held),
        wait_ms = millis(wait),
        trace_id = trace(held).map(display),
        "trying again: {}",
        report.reply
    );
}

/// How a request to a backend that does not decide ended, where that was not well.
pub(super) fn aside(agent: &Arc<str>, backend: &str, about: &About, report: &Report) {
    if report.outcome != Outcome::Delivered {
        let trace_id = about.trace.map(display);
        let message_id = about.message_id.as_deref();
        warn!(agent = %agent, message_id, backend = %backend, trace_id, "not told, and not required to be: {}", report.reply);
    }
}

/// A backend that does not decide was not even asked: too many of its requests are under way.
pub(super) fn aside_skipped(agent: &Arc<str>, backend: &str, held: &Held) {
    let message_id = held.delivery.message().properties.message_id();
    let trace_id = trace(held).map(display);
    warn!(agent = %agent, message_id, backend = %backend, trace_id, "not told, and not required to be: too many requests to such backends are under way");
}

/// What a backend said, with its name unless what it said has that already: a name is often the
/// host and port that could not be reached.
pub(super) fn said(backend: &str, reply: &str) -> String {
    if reply.contains(backend) { reply.to_owned() } else { format!("{backend}: {reply}") }
}

/// The number of the try that just ended, over all deliveries that the broker tells of.
pub(super) fn attempt_number(held: &Held) -> u32 {
    held.attempts.tries().max(1)
}

/// The status, where one came.
fn status(report: &Report) -> Option<u16> {
    match report.reply {
        Reply::Answered { status, .. } => Some(status),
        Reply::NotSent(..) | Reply::Unanswered(..) | Reply::Impossible(_) => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
