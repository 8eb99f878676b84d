//! The copies that take a message's place: one that waits for its next attempt, one for people, and
//! one that starts afresh.
//!
//! Pure. Body and properties are the message's own, octet for octet, but for what would end the
//! copy or lead it astray: those are kept under names of ours.

mod afresh;
pub mod headers;
mod history;
pub mod names;
mod queues;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::broker::{Added, Copy, CopyQueue, Fate};
use crate::config::definition::{DeadLetter, QueueType};
use crate::delivery::{Message, Properties};
use crate::settlement::Reason;
use crate::spans::context::{TRACEPARENT, TRACESTATE};

pub use afresh::afresh;
pub use history::History;
pub use names::delay_queue;
pub use queues::queues;

/// The most octets of properties that a content header frame has room for, with RabbitMQ's
/// `frame_max` of 128 KiB and what it adds itself to a message that comes back.
const PROPERTIES_MAX: usize = 128 * 1024 - 4 * 1024;

/// The most octets of what a backend said that a copy carries.
const ERROR_MAX: usize = 1024;

/// What the copy of a message tells of its failure.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// The agent.
    pub agent: &'a str,
    /// The backend that decided, if one did.
    pub backend: &'a str,
    /// What it said, as in the log.
    pub error: String,
    /// The status, where one came.
    pub status: Option<u16>,
    /// The start of the reply's body.
    pub excerpt: &'a [u8],
    /// Attempts that failed, this one included.
    pub attempts: u32,
    /// Requests that failed, this attempt's included.
    pub tries: u32,
    /// When it failed first, in seconds since 1970.
    pub first: u64,
    /// When it failed last, in seconds since 1970.
    pub last: u64,
    /// The names of the backends that have the message.
    pub done: Vec<&'a str>,
    /// The `traceparent` of this delivery, where the message brought none that counts: the next
    /// one goes on in the same trace.
    pub traceparent: Option<String>,
}

/// A copy that comes back to `queue` after `delay`. `None` where its headers have no room for what
/// it has to carry.
#[must_use]
pub fn retry(
    message: &Message,
    failure: &Failure<'_>,
    queue: &str,
    kind: QueueType,
    delay: Duration,
) -> Option<Copy> {
    let is_first = !came_back(message);
    let fate = |name: &[u8]| match name {
        _ if is_note(name) && !is_kept_note(name) => Fate::Drop,
        _ if is_replaced(name, failure) => Fate::Drop,
        _ if is_first => kept_name(name).map_or_else(|| ours_to_drop(name), Fate::Rename),
        // What the delay queue left there.
        _ if is_death(name) => Fate::Drop,
        _ => kept_name(name).map_or_else(|| ours_to_drop(name), Fate::Rename),
    };
    let state = state(message, failure);
    let properties = amend(message, fate, state);
    let name = delay_queue(queue, delay);
    (properties.octets() <= PROPERTIES_MAX).then(|| Copy {
        exchange: String::new(),
        routing_key: name.clone(),
        properties,
        body: message.body.clone(),
        queue: Some(CopyQueue { name, kind, delay: Some((delay, queue.to_owned())) }),
    })
}

/// A copy for the dead letters, which says what happened.
///
/// Where the headers have no room for all that is to be said it says less.
#[must_use]
pub fn dead_letter(
    message: &Message,
    failure: &Failure<'_>,
    reason: Reason,
    target: &DeadLetter,
    kind: QueueType,
) -> Copy {
    let is_first = !came_back(message);
    let fate = |name: &[u8]| match name {
        _ if let Some(original) = original_name(name) => Fate::Rename(original),
        _ if is_note(name) && !is_kept_note(name) => Fate::Drop,
        _ if is_replaced(name, failure) => Fate::Drop,
        _ if is_death(name) && is_first => Fate::Keep,
        _ if is_death(name) => Fate::Drop,
        b"CC" => Fate::Rename(headers::CC),
        _ => ours_to_drop(name),
    };
    let mut notes = state(message, failure);
    notes.push((headers::DEAD_LETTERED_BY, text(failure.agent)));
    notes.push((headers::REASON, text(&reason.to_string())));
    notes.push((headers::LAST_FAILURE, Added::Timestamp(failure.last)));
    notes.push((headers::BACKEND, text(failure.backend)));
    notes.extend(failure.status.map(|status| (headers::STATUS, Added::Integer(status.into()))));
    notes.push((headers::ERROR, text(cut(&failure.error, ERROR_MAX))));
    if !failure.excerpt.is_empty() {
        notes.push((headers::REPLY, Added::Text(failure.excerpt.to_vec())));
    }
    let mut properties = amend(message, fate, notes.clone());
    // The least important stands last.
    while properties.octets() > PROPERTIES_MAX && notes.pop().is_some() {
        properties = amend(message, fate, notes.clone());
    }
    let routing_key = target.routing_key.clone();
    // One that was not UTF-8 is lossy, and may be longer than AMQP allows.
    let routing_key = routing_key.unwrap_or_else(|| cut(&message.routing_key, 255).to_owned());
    let queue = target.declare.then(|| CopyQueue { name: routing_key.clone(), kind, delay: None });
    Copy {
        exchange: target.exchange.clone(),
        routing_key,
        properties,
        body: message.body.clone(),
        queue,
    }
}

/// What every copy carries: where the message came from, and how often it failed.
fn state(message: &Message, failure: &Failure<'_>) -> Vec<(&'static str, Added)> {
    let mut state = vec![
        (headers::ATTEMPTS, Added::Integer(failure.attempts.into())),
        (headers::TRIES, Added::Integer(failure.tries.into())),
        (headers::FIRST_FAILURE, Added::Timestamp(failure.first)),
        (headers::EXCHANGE, text(&message.exchange)),
        (headers::ROUTING_KEY, text(&message.routing_key)),
    ];
    if !failure.done.is_empty() {
        state.push((headers::DONE, text(&failure.done.join("\n"))));
    }
    state.extend(failure.traceparent.as_deref().map(|parent| (TRACEPARENT, text(parent))));
    state
}

fn amend(
    message: &Message,
    fate: impl Fn(&[u8]) -> Fate,
    mut notes: Vec<(&'static str, Added)>,
) -> Properties {
    let (properties, removed) = message.properties.without_expiry_and_user();
    notes.extend(removed.expiration.map(|text| (headers::EXPIRATION, Added::Text(text))));
    notes.extend(removed.user_id.map(|text| (headers::USER_ID, Added::Text(text))));
    properties.with_headers(fate, notes)
}

/// Whether the message is a copy that we made for a retry, come back.
fn came_back(message: &Message) -> bool {
    let has = |name| message.properties.header(name).is_some();
    has(headers::ATTEMPTS) && !has(headers::DEAD_LETTERED_BY)
}

/// Whether it is what the message said of a trace, which counts for nothing, and which its copy says
/// anew.
fn is_replaced(name: &[u8], failure: &Failure<'_>) -> bool {
    let said = [TRACEPARENT, TRACESTATE];
    failure.traceparent.is_some()
        && said.iter().any(|said| name.eq_ignore_ascii_case(said.as_bytes()))
}

fn is_note(name: &[u8]) -> bool {
    name.starts_with(headers::PREFIX.as_bytes())
}

/// What a copy keeps of an earlier copy: the message's own values.
fn is_kept_note(name: &[u8]) -> bool {
    let kept = [headers::EXPIRATION, headers::USER_ID, headers::CC];
    kept.iter().any(|kept| kept.as_bytes() == name) || original_name(name).is_some()
}

/// Whether the broker added it when it dead-lettered the message.
fn is_death(name: &[u8]) -> bool {
    headers::DEATHS.iter().any(|(death, _)| death.as_bytes() == name)
}

/// The name under which a copy keeps a header that would lead it astray: `CC` routes it to other
/// queues as well (RabbitMQ, sender-selected distribution), and by `x-death` the broker may take
/// its way back from a delay queue for a cycle, and drop it.
fn kept_name(name: &[u8]) -> Option<&'static str> {
    let death = headers::DEATHS.iter().find(|(death, _)| death.as_bytes() == name);
    death.map(|(_, kept)| *kept).or((name == b"CC").then_some(headers::CC))
}

/// The name that a header had in the message as it was published.
fn original_name(name: &[u8]) -> Option<&'static str> {
    let kept = headers::DEATHS.iter().find(|(_, kept)| kept.as_bytes() == name);
    kept.map(|(death, _)| *death)
}

/// What the queue that brought the message had added: it does not belong to the copy.
fn ours_to_drop(name: &[u8]) -> Fate {
    match name {
        b"x-delivery-count" | b"x-acquired-count" | b"x-stream-offset" => Fate::Drop,
        _ => Fate::Keep,
    }
}

fn text(text: &str) -> Added {
    Added::Text(text.as_bytes().to_vec())
}

fn cut(text: &str, octets_max: usize) -> &str {
    &text[..text.floor_char_boundary(octets_max)]
}
