//! What a backend's reply means for the message: a pure function of the reply.
//!
//! The table is RFC 9110's status codes read for one question: who is at fault, the
//! message, the moment, or the backend? Nothing here knows a clock, a broker or a socket.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What came back from one attempt at one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The backend answered with a status.
    Answered {
        /// The status code, 100 to 999.
        status: u16,
        /// `Retry-After`, from the moment of the reply; not yet capped.
        retry_after: Option<Duration>,
    },
    /// Not a byte of the request left us: the message is innocent.
    NotSent(NotSent, String),
    /// The request was sent, at least in part, and no status came: it may have arrived.
    Unanswered(Unanswered, String),
    /// The message cannot be made into a request.
    Impossible(String),
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// The host's name has no address.
    Dns,
    /// No connection: refused, unreachable, or reset while it was made.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
}

/// Why no status came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// The attempt's time was used up.
    Timeout,
    /// The connection ended.
    Reset,
    /// What came is not HTTP.
    Garbage,
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, retry_after: None } => write!(formatter, "status {status}"),
            Self::Answered { status, retry_after: Some(wait) } => {
                write!(formatter, "status {status}, retry after {} s", wait.as_secs())
            }
            Self::NotSent(kind, text) => write!(formatter, "{kind}: {text}"),
            Self::Unanswered(kind, text) => write!(formatter, "{kind}: {text}"),
            Self::Impossible(text) => write!(formatter, "no request can be made of it: {text}"),
        }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dns => "name not resolved",
            Self::Connect => "no connection",
            Self::ConnectTimeout => "no connection in time",
            Self::Tls => "TLS handshake failed",
        })
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Timeout => "no reply in time",
            Self::Reset => "connection lost before the reply",
            Self::Garbage => "the reply is not HTTP",
        })
    }
}

/// A reply, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The backend has it.
    Delivered,
    /// The message is at fault and will be for ever.
    Refused,
    /// The same request may succeed later.
    TryAgain {
        /// The backend's own wish, capped at [`RETRY_AFTER_MAX`].
        not_before: Option<Duration>,
        /// The backend as a whole asked for quiet: other messages wait too.
        whole_backend: bool,
        /// Rarely mended by waiting (404, 409): fewer tries than usual.
        few: bool,
    },
    /// The backend is at fault and the message innocent.
    Unwell {
        /// Certain from one reply, since nothing could be sent; else only from a few in a row.
        certain: bool,
    },
}

/// The longest `Retry-After` that is obeyed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// Judges a reply by `policy`.
#[must_use]
pub fn judge(reply: &Reply, policy: &StatusPolicy) -> Outcome {
    match reply {
        Reply::Answered { status, retry_after } => {
            let not_before = retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
            match policy.meaning(*status) {
                Meaning::Success => Outcome::Delivered,
                Meaning::DeadLetter => Outcome::Refused,
                Meaning::Pause => Outcome::Unwell { certain: false },
                Meaning::Retry => Outcome::TryAgain {
                    not_before,
                    whole_backend: matches!(status, 408 | 425 | 429 | 503) || not_before.is_some(),
                    few: matches!(status, 404 | 409),
                },
            }
        }
        Reply::NotSent(..) => Outcome::Unwell { certain: true },
        Reply::Unanswered(..) => {
            Outcome::TryAgain { not_before: None, whole_backend: false, few: false }
        }
        Reply::Impossible(_) => Outcome::Refused,
    }
}

/// Joins what several required backends said of one message: the worst decides.
///
/// An unwell backend comes first, since then the message is kept; then a refusal, which no
/// retry mends; then the longest wait. No outcome at all means that nothing was left to do.
#[must_use]
pub fn join(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    outcomes.into_iter().fold(Outcome::Delivered, |worst, next| match (worst, next) {
        (Outcome::Unwell { certain: a }, Outcome::Unwell { certain: b }) => {
            Outcome::Unwell { certain: a || b }
        }
        (unwell @ Outcome::Unwell { .. }, _) | (_, unwell @ Outcome::Unwell { .. }) => unwell,
        (Outcome::Refused, _) | (_, Outcome::Refused) => Outcome::Refused,
        (
            Outcome::TryAgain { not_before, whole_backend, few },
            Outcome::TryAgain {
                not_before: other_wish,
                whole_backend: other_gates,
                few: other_few,
            },
        ) => Outcome::TryAgain {
            not_before: not_before.max(other_wish),
            whole_backend: whole_backend || other_gates,
            few: few || other_few,
        },
        (again @ Outcome::TryAgain { .. }, Outcome::Delivered)
        | (Outcome::Delivered, again @ Outcome::TryAgain { .. }) => again,
        (Outcome::Delivered, Outcome::Delivered) => Outcome::Delivered,
    })
}

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The message is delivered.
    Success,
    /// It may be later.
    Retry,
    /// It never will be.
    DeadLetter,
    /// The backend is unwell.
    Pause,
}

/// A status code or a class of them, as an agent file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    /// One code, 100 to 599.
    Code(u16),
    /// A class by its first digit, 1 to 5.
    Class(u16),
}

/// What each status means to one backend: the default table with the agent file's changes.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusPolicy {
    /// By code minus 100; shared, since most backends have the default table.
    meanings: Arc<[Meaning; CODES]>,
}

const CODES: usize = 500;

impl StatusPolicy {
    /// The default table, changed by `rules`: codes win over classes, whatever their order.
    #[must_use]
    pub fn new(rules: &[(StatusPattern, Meaning)]) -> Self {
        let mut meanings: [Meaning; CODES] =
            std::array::from_fn(|index| default_meaning(index + 100));
        let classes =
            rules.iter().filter(|(pattern, _)| matches!(pattern, StatusPattern::Class(_)));
        let codes = rules.iter().filter(|(pattern, _)| matches!(pattern, StatusPattern::Code(_)));
        for (pattern, meaning) in classes.chain(codes) {
            let range = match *pattern {
                StatusPattern::Code(code) => usize::from(code)..usize::from(code) + 1,
                StatusPattern::Class(digit) => {
                    usize::from(digit) * 100..usize::from(digit) * 100 + 100
                }
            };
            for code in range {
                if let Some(slot) = code.checked_sub(100).and_then(|index| meanings.get_mut(index))
                {
                    *slot = *meaning;
                }
            }
        }
        Self { meanings: Arc::new(meanings) }
    }

    /// What `status` means. A code outside 100 to 599 is read as 500 (RFC 9110, section 15).
    #[must_use]
    pub fn meaning(&self, status: u16) -> Meaning {
        let index = usize::from(status).checked_sub(100);
        index
            .and_then(|index| self.meanings.get(index))
            .copied()
            .unwrap_or(self.meanings[500 - 100])
    }
}

impl Default for StatusPolicy {
    fn default() -> Self {
        static DEFAULT: LazyLock<StatusPolicy> = LazyLock::new(|| StatusPolicy::new(&[]));
        DEFAULT.clone()
    }
}

impl fmt::Debug for StatusPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = (100..600_u16).filter_map(|status| {
            let meaning = self.meaning(status);
            (meaning != default_meaning(usize::from(status))).then_some((status, meaning))
        });
        formatter.debug_map().entries(changes).finish()
    }
}

fn default_meaning(status: usize) -> Meaning {
    match status {
        200..=299 => Meaning::Success,
        401 | 403 | 407 | 410 => Meaning::Pause,
        404 | 408 | 409 | 425 | 429 | 500 | 502..=504 | 506..=599 => Meaning::Retry,
        _ => Meaning::DeadLetter,
    }
}
