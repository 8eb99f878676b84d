//! `consumer`: how messages are taken.

use std::time::Duration;

use super::draft::{Draft, Found, quoted};
use super::notes::Notes;
use super::tree::Table;

/// The time for a message and all its backends, where `consumer` says one.
pub(super) fn timeout(consumer: &Table<'_>, notes: &mut Notes<'_>) -> Option<Found<Duration>> {
    let item = consumer.get("timeout")?;
    let value = item.period(notes).filter(|period| !period.is_zero())?;
    Some(Found { value, origin: Some(item.place) })
}

/// How many messages KrakenD handles at once.
pub(super) fn workers(consumer: &Table<'_>, notes: &mut Notes<'_>) -> Found<i64> {
    let stated = consumer.get("workers").and_then(|item| {
        let value = item.whole(notes)?;
        (value >= 1).then_some(Found { value, origin: Some(item.place) })
    });
    stated.unwrap_or(Found { value: 1, origin: None })
}

/// `[consumer]`, but for its times.
pub(super) fn take(
    consumer: &Table<'_>,
    has_exchange: bool,
    workers: &Found<i64>,
    draft: &mut Draft,
    notes: &mut Notes<'_>,
) {
    draft.table("[consumer]", &consumer.span);
    let topic = consumer.get("topic");
    match (&topic, has_exchange) {
        (Some(item), true) => {
            let topic = item.text(notes).unwrap_or_default();
            draft.key("topic", &quoted(topic), Some(&item.place), "");
        }
        (None, true) => {
            draft.key(
                "topic",
                "\"\"",
                None,
                "KrakenD's default: only messages without a routing key",
            );
            let problem =
                "no `topic`: KrakenD binds the queue for messages with an empty routing key only";
            notes.warning(
                &consumer.span,
                problem,
                "write the binding key, such as \"order.*\"; \"#\" is every message",
            );
        }
        (Some(_) | None, false) => {}
    }
    let comment = if workers.origin.is_none() { "KrakenD's default; here 10" } else { "" };
    draft.key("workers", &workers.value.to_string(), workers.origin.as_ref(), comment);
}

/// `max_rate`
pub(super) fn rate(consumer: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let Some(item) = consumer.get("max_rate") else { return };
    let rate = item.number(notes).unwrap_or_default();
    if rate > 0.0 {
        draft.key(
            "max_rate",
            &format!("{rate:?}"),
            Some(&item.place),
            "evenly spaced, where KrakenD allows bursts",
        );
    }
}
