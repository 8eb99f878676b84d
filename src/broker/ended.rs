//! Why a session ended, or could not begin, in the broker's own words where it said any.

use std::fmt;
use std::time::Duration;

use super::server::Server;

/// Why a session ended, or could not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// No TCP connection, or no TLS handshake.
    Unreachable(String),
    /// Connecting and logging in took longer than `connect_timeout`.
    ConnectTimeout(Duration),
    /// The broker closed the connection while we logged in, without a word: RabbitMQ does so
    /// for a wrong user or password unless the client advertises `authentication_failure_close`.
    LoginRefused,
    /// The broker refused to open the connection, with this reason.
    OpenRefused(String),
    /// `connection.close` from the broker.
    ConnectionClosed {
        /// The reply code, such as 320.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// `channel.close` from the broker.
    ChannelClosed {
        /// The reply code, such as 404 or 406.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// `basic.cancel` from the broker: the queue was deleted or moved to another node, or a
    /// quorum queue of RabbitMQ 4 waited for a settlement longer than its consumer timeout.
    ConsumerCancelled,
    /// The connection ended without a word.
    Lost,
    /// The same, after a question had stood unanswered for long: the broker or the network between
    /// had stopped, and heartbeats were missed.
    Silent,
    /// The broker did not answer, or did not take a settlement, in time.
    Unresponsive {
        /// What was asked of it.
        what: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// The client library failed inside.
    LibraryFailed(String),
    /// TLS material that cannot be used.
    Tls(String),
    /// `retry.strategy = "native"` where the broker has no delayed retry: what fails would come
    /// again at once.
    NoDelayedRetry(Server),
}

impl Ended {
    /// The causes in a word each, as metrics name them; [`Self::cause`] gives the place.
    pub const CAUSES: [&'static str; 13] = [
        "unreachable",
        "connect_timeout",
        "login_refused",
        "open_refused",
        "connection_closed",
        "channel_closed",
        "consumer_cancelled",
        "lost",
        "silent",
        "unresponsive",
        "library",
        "tls",
        "no_delayed_retry",
    ];

    /// The place of its cause in [`Self::CAUSES`].
    #[must_use]
    pub fn cause(&self) -> usize {
        match self {
            Self::Unreachable(_) => 0,
            Self::ConnectTimeout(_) => 1,
            Self::LoginRefused => 2,
            Self::OpenRefused(_) => 3,
            Self::ConnectionClosed { .. } => 4,
            Self::ChannelClosed { .. } => 5,
            Self::ConsumerCancelled => 6,
            Self::Lost => 7,
            Self::Silent => 8,
            Self::Unresponsive { .. } => 9,
            Self::LibraryFailed(_) => 10,
            Self::Tls(_) => 11,
            Self::NoDelayedRetry(_) => 12,
        }
    }

    /// Trying again soon cannot help: somebody has to change something first.
    ///
    /// Asked only of sessions that could not begin; a channel that is closed later, with 406
    /// for a `consumer_timeout` say, is taken up again like any other.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        match self {
            Self::LoginRefused | Self::OpenRefused(_) | Self::Tls(_) | Self::NoDelayedRetry(_) => {
                true
            }
            // AMQP 0-9-1 section 1.1 reply codes; 320 is an operator's or a restart's, and
            // 405 ends when the other exclusive consumer leaves.
            Self::ConnectionClosed { code, .. } | Self::ChannelClosed { code, .. } => {
                matches!(code, 402 | 403 | 404 | 406 | 530 | 540)
            }
            Self::Unreachable(_)
            | Self::ConnectTimeout(_)
            | Self::ConsumerCancelled
            | Self::Lost
            | Self::Silent
            | Self::Unresponsive { .. }
            | Self::LibraryFailed(_) => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => write!(formatter, "no connection: {text}"),
            Self::ConnectTimeout(limit) => {
                write!(formatter, "not connected and logged in within {limit:?}")
            }
            Self::LoginRefused => formatter.write_str(
                "the broker closed the connection while logging in: user, password or vhost refused?",
            ),
            Self::OpenRefused(text) => write!(formatter, "the broker refused the connection: {text}"),
            Self::ConnectionClosed { code, text } => {
                write!(formatter, "the broker closed the connection: {code} {text}")
            }
            Self::ChannelClosed { code, text } => {
                write!(formatter, "the broker closed the channel: {code} {text}")
            }
            Self::ConsumerCancelled => formatter.write_str(
                "the broker cancelled the consumer: the queue was deleted or moved to another node, or consumer_timeout passed",
            ),
            Self::Lost => formatter.write_str(
                "the connection was lost: closed or reset without a word, or silent for two heartbeats",
            ),
            Self::Silent => formatter.write_str(
                "the connection was lost: the broker, or the network between, had fallen silent",
            ),
            Self::Unresponsive { what, waited } => {
                write!(formatter, "the broker did not answer {what} within {waited:?}")
            }
            Self::LibraryFailed(text) => write!(formatter, "the AMQP client library failed: {text}"),
            Self::Tls(text) => write!(formatter, "TLS cannot be set up: {text}"),
            Self::NoDelayedRetry(server) => write!(
                formatter,
                "`retry.strategy` is \"native\", which needs RabbitMQ 4.3 or later, and this is {server}: name another strategy"
            ),
        }
    }
}
