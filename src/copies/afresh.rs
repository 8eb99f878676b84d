//! The copy of a dead letter that goes back to the queue it came from, and starts afresh there.

use super::{PROPERTIES_MAX, amend, is_note, kept_name, original_name, ours_to_drop, text};
use crate::broker::{Added, Copy, Fate};
use crate::copies::headers;
use crate::delivery::Message;

/// A copy of `message` for `queue` and for no other, by the default exchange.
///
/// What it tells of its failure goes, so that it has all its attempts again. It keeps where it was
/// first published to, what a copy cannot have (its `expiration` would count from now), and,
/// unless all backends are to be told, the names of those that have it.
#[must_use]
pub fn afresh(message: &Message, queue: &str, to_all: bool) -> Copy {
    let has = |name: &str| message.properties.header(name).is_some();
    let fate = |name: &[u8]| match name {
        _ if name == headers::DONE.as_bytes() && to_all => Fate::Drop,
        _ if is_kept(name) => Fate::Keep,
        // The header itself is there again, and is what counts.
        _ if note_of(name).is_some_and(has) => Fate::Drop,
        _ if note_of(name).is_some() => Fate::Keep,
        _ if is_note(name) => Fate::Drop,
        _ => kept_name(name).map_or_else(|| ours_to_drop(name), Fate::Rename),
    };
    let mut properties = amend(message, fate, origin(message, queue));
    if properties.octets() > PROPERTIES_MAX {
        properties = amend(message, fate, Vec::new());
    }
    Copy {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        properties,
        body: message.body.clone(),
        queue: None,
    }
}

/// Where a message that the broker dead-lettered had been published to, if it tells and we did not.
fn origin(message: &Message, queue: &str) -> Vec<(&'static str, Added)> {
    if message.properties.header(headers::EXCHANGE).is_some() {
        return Vec::new();
    }
    let deaths = message.properties.deaths();
    let death = deaths.iter().find(|death| death.queue == queue);
    death.map_or_else(Vec::new, |death| {
        vec![
            (headers::EXCHANGE, text(&death.exchange)),
            (headers::ROUTING_KEY, text(&death.routing_key)),
        ]
    })
}

/// Notes that do not tell of a failure.
fn is_kept(name: &[u8]) -> bool {
    let kept = [
        headers::DONE,
        headers::EXCHANGE,
        headers::ROUTING_KEY,
        headers::EXPIRATION,
        headers::USER_ID,
    ];
    kept.iter().any(|kept| kept.as_bytes() == name)
}

/// The header of the message's own that a note of this name keeps.
fn note_of(name: &[u8]) -> Option<&'static str> {
    original_name(name).or((name == headers::CC.as_bytes()).then_some("CC"))
}
