//! What backends are supposed to reply.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::config::definition::BackendDefinition;
use crate::outcome::{NotSent, Reply, Unanswered};

/// A reply that is supposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supposed {
    /// This status comes.
    Status(u16),
    /// Nothing comes before the backend's timeout.
    Timeout,
    /// The connection is refused.
    Refused,
    /// The connection is lost after the request was sent.
    Reset,
    /// The name has no address.
    Dns,
    /// The TLS handshake fails.
    Tls,
}

const WORDS: [(&str, Supposed); 5] = [
    ("timeout", Supposed::Timeout),
    ("refused", Supposed::Refused),
    ("reset", Supposed::Reset),
    ("dns", Supposed::Dns),
    ("tls", Supposed::Tls),
];

impl FromStr for Supposed {
    type Err = String;

    /// Reads a status, 200 to 599, or one of the words.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, supposed)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*supposed);
        }
        let status = text.parse().ok().filter(|status| (200..=599).contains(status));
        let words = WORDS.map(|(word, _)| word).join(", ");
        status.map(Self::Status).ok_or_else(|| format!("write a status, 200 to 599, or {words}"))
    }
}

impl fmt::Display for Supposed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "{status}"),
            other @ (Self::Timeout | Self::Refused | Self::Reset | Self::Dns | Self::Tls) => {
                let word = WORDS.iter().find(|(_, supposed)| supposed == other);
                formatter.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}

impl Supposed {
    /// The reply, and how long it takes: nothing but a timeout takes time that is known.
    fn reply(
        self,
        retry_after: Option<Duration>,
        backend: &BackendDefinition,
    ) -> (Reply, Duration) {
        let not_sent = |kind, why: &str| Reply::NotSent(kind, why.to_owned());
        let lost = |kind, why: String| Reply::Unanswered(kind, why);
        match self {
            Self::Status(status) => (Reply::Answered { status, retry_after }, Duration::ZERO),
            Self::Timeout => {
                let text = format!("gave up after {:.1?}", backend.timeout);
                (lost(Unanswered::Timeout, text), backend.timeout)
            }
            Self::Reset => (lost(Unanswered::Reset, "connection reset".to_owned()), Duration::ZERO),
            Self::Refused => (not_sent(NotSent::Connect, "connection refused"), Duration::ZERO),
            Self::Dns => (not_sent(NotSent::Dns, "no address"), Duration::ZERO),
            Self::Tls => (not_sent(NotSent::Tls, "handshake failed"), Duration::ZERO),
        }
    }
}

/// The replies in order, one for each try; the last one repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replies {
    /// What all backends reply that are not named.
    all: Vec<Supposed>,
    /// What single backends reply, by name.
    named: Vec<(String, Vec<Supposed>)>,
    retry_after: Option<Duration>,
    tries: usize,
}

impl Replies {
    /// Those of `list`, each of the backend that is named, or of all others. Where only some are
    /// named, the others answer 204. `retry_after` goes with each status that is no success.
    #[must_use]
    pub fn new(list: Vec<(Option<String>, Supposed)>, retry_after: Option<Duration>) -> Self {
        let (mut all, mut named) = (Vec::new(), Vec::<(String, Vec<Supposed>)>::new());
        for (name, supposed) in list {
            match name {
                None => all.push(supposed),
                Some(name) => match named.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, list)) => list.push(supposed),
                    None => named.push((name, vec![supposed])),
                },
            }
        }
        if all.is_empty() {
            all.push(Supposed::Status(204));
        }
        Self { all, named, retry_after, tries: 0 }
    }

    /// The next try begins.
    pub(super) fn next_try(&mut self) {
        self.tries += 1;
    }

    /// Whether every try from here on is answered as the last one was.
    pub(super) fn repeat(&self) -> bool {
        let lists = self.named.iter().map(|(_, list)| list).chain([&self.all]);
        lists.map(Vec::len).all(|length| self.tries >= length)
    }

    /// What `backend` replies to this try, and how long that takes.
    pub(super) fn of(&self, backend: &BackendDefinition) -> (Reply, Duration) {
        let named = self.named.iter().find(|(name, _)| **name == *backend.name);
        let list = named.map_or(&self.all, |(_, list)| list);
        let index = self.tries.saturating_sub(1).min(list.len().saturating_sub(1));
        let supposed = list.get(index).copied().unwrap_or(Supposed::Status(204));
        let is_success = matches!(supposed, Supposed::Status(200..=299));
        supposed.reply(self.retry_after.filter(|_| !is_success), backend)
    }
}
