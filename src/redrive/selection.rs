//! Which dead letters go back: pure.

use std::time::Duration;

use crate::copies::headers;
use crate::delivery::{Field, Message};

/// What the operator asks for; all of it has to be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Why it was dead-lettered.
    pub reason: Option<String>,
    /// It failed last at least so long ago.
    pub older_than: Option<Duration>,
    /// It failed last less than so long ago.
    pub newer_than: Option<Duration>,
    /// Headers that it has, by name and value.
    pub headers: Vec<(String, String)>,
}

/// Where dead letters are to have come from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The agent.
    pub agent: &'a str,
    /// Its queue.
    pub queue: &'a str,
}

/// What becomes of one dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes back.
    Selected,
    /// It was not asked for.
    PassedOver,
    /// It came from another agent or queue, and was not asked for by that.
    Foreign,
}

impl Selection {
    /// Judges a dead letter at `now`, in seconds since 1970.
    #[must_use]
    pub fn judge(&self, message: &Message, origin: Origin<'_>, now: u64) -> Verdict {
        if !self.asks_for_others() && is_foreign(message, origin) {
            return Verdict::Foreign;
        }
        let asked = &self.reason;
        let has_reason = asked
            .as_ref()
            .is_none_or(|asked| why(message).is_some_and(|reason| reason == asked.as_bytes()));
        let has_headers = self.headers.iter().all(|(name, value)| has(message, name, value));
        let age = last_failure(message).map(|then| Duration::from_secs(now.saturating_sub(then)));
        let is_old = self.older_than.is_none_or(|least| age.is_some_and(|age| age >= least));
        let is_new = self.newer_than.is_none_or(|most| age.is_some_and(|age| age < most));
        let selected = has_reason && has_headers && is_old && is_new;
        if selected { Verdict::Selected } else { Verdict::PassedOver }
    }

    /// Whether a header is asked for that says where a message came from.
    fn asks_for_others(&self) -> bool {
        let origins = [headers::DEAD_LETTERED_BY, FIRST_DEATH_QUEUE];
        self.headers.iter().any(|(name, _)| origins.contains(&name.as_str()))
    }
}

const FIRST_DEATH_QUEUE: &str = "x-first-death-queue";
const FIRST_DEATH_REASON: &str = "x-first-death-reason";

/// Why it was dead-lettered: by us, else by the broker, else nobody says.
pub(super) fn reason(message: &Message) -> Option<String> {
    why(message).map(|reason| String::from_utf8_lossy(reason).into_owned())
}

fn why(message: &Message) -> Option<&[u8]> {
    [headers::REASON, FIRST_DEATH_REASON].iter().find_map(|name| text(message, name))
}

/// In seconds since 1970.
fn last_failure(message: &Message) -> Option<u64> {
    if let Some(Field::Timestamp(seconds)) = message.properties.header(headers::LAST_FAILURE) {
        return Some(seconds);
    }
    message.properties.deaths().first().and_then(|death| death.time)
}

/// Whether it says that it came from somewhere else.
fn is_foreign(message: &Message, origin: Origin<'_>) -> bool {
    if let Some(agent) = text(message, headers::DEAD_LETTERED_BY) {
        return agent != origin.agent.as_bytes();
    }
    let deaths = message.properties.deaths();
    !deaths.is_empty() && deaths.iter().all(|death| death.queue != origin.queue)
}

fn text<'m>(message: &'m Message, name: &str) -> Option<&'m [u8]> {
    let Some(Field::Text(text)) = message.properties.header(name) else { return None };
    Some(text)
}

/// Whether it has the header, as an operator writes its value.
fn has(message: &Message, name: &str, value: &str) -> bool {
    let mut fields = message.properties.headers();
    fields.any(|(other, field)| {
        other == name.as_bytes()
            && match field {
                Field::Text(text) => text == value.as_bytes(),
                Field::Integer(number) => number.to_string() == value,
                Field::Timestamp(seconds) => seconds.to_string() == value,
                Field::Float(number) => number.to_string() == value,
                Field::Boolean(truth) => truth.to_string() == value,
                Field::Compound => false,
            }
    })
}
