//! `connection`: how a lost connection is taken up again.

use std::time::Duration;

use super::draft::{Draft, quoted};
use super::notes::Notes;
use super::tree::Table;
use crate::backoff::Strategy;
use crate::config::duration::Shown;

/// The least `health_interval`, and KrakenD's default.
const LEAST: Duration = Duration::from_secs(1);

/// `[connection]`
pub(super) fn reconnect(connection: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    connection.unknown(&["max_retries", "backoff_strategy", "health_interval"], notes);
    draft.table("[connection]", &connection.span);
    let retries = connection.get("max_retries");
    if let Some((item, number)) = retries.and_then(|item| Some((item.clone(), item.whole(notes)?)))
        && number > 0
    {
        let comment = "then this agent stops, and others go on";
        draft.key("max_retries", &number.to_string(), Some(&item.place), comment);
    }
    let strategy = connection.get("backoff_strategy");
    let name = strategy.as_ref().and_then(|item| item.text(notes)).map(str::to_ascii_lowercase);
    let known = |name: &String| Strategy::NAMES.iter().any(|(known, _)| known == name);
    let place = strategy.map(|item| item.place);
    match name {
        Some(name) if known(&name) => {
            draft.key("backoff_strategy", &quoted(&name), place.as_ref(), "");
        }
        other => {
            let comment = if other.is_some() {
                "what KrakenD takes an unknown one for, always 1 s"
            } else {
                "KrakenD's default, always 1 s; here \"exponential-jitter\", which is recommended"
            };
            draft.key("backoff_strategy", "\"fallback\"", place.as_ref(), comment);
        }
    }
    let stated = connection.get("health_interval");
    let period = stated.as_ref().and_then(|item| item.period(notes));
    let comment = match period {
        Some(period) if period >= LEAST => "",
        Some(_) => "the least, there and here",
        None => "KrakenD's default; here 10s, which is recommended",
    };
    let shown = quoted(&Shown(period.unwrap_or(LEAST).max(LEAST)).to_string());
    draft.key("health_interval", &shown, stated.map(|item| item.place).as_ref(), comment);
}
