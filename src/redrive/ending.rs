//! How a run ended, and what it tells then.

use std::fmt;

use serde_json::{Value, json};

use super::{Count, Plan};
use crate::broker::{Ended, NotSafe};

/// Why no more was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// All that was there at the beginning has been looked at.
    Done,
    /// `limit` messages were selected.
    Limit,
    /// A signal.
    Asked,
    /// What was passed over has been held for as long as the broker may be relied upon to let us.
    HeldForLong,
    /// A message came back so often that giving it back again may make the broker drop it.
    GivenBackOften {
        /// Its id, if it has one.
        id: Option<String>,
        /// How often.
        times: i64,
    },
    /// A copy is not safe.
    NotSafe(NotSafe),
    /// The connection to the dead-letter queue ended.
    Lost(Ended),
}

impl Stop {
    /// Whether what was asked for was done.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Done | Self::Limit)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Limit => "limit",
            Self::Asked => "stopped",
            Self::HeldForLong => "held_for_long",
            Self::GivenBackOften { .. } => "given_back_often",
            Self::NotSafe(_) => "not_safe",
            Self::Lost(_) => "lost",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => formatter.write_str("all were looked at"),
            Self::Limit => formatter.write_str("the limit is reached"),
            Self::Asked => formatter.write_str("cut short by a signal"),
            Self::HeldForLong => formatter.write_str(
                "cut short: the broker lets what is passed over be held for a limited time; run it again, with a --limit or without a --rate",
            ),
            Self::GivenBackOften { id, times } => {
                let id = id.as_deref().unwrap_or("without an id");
                write!(
                    formatter,
                    "cut short: message {id} was handed out {times} times already, and may be dropped by the queue's delivery limit (20 unless set otherwise) when it is passed over again; select it too, or raise the limit by a policy (delivery-limit)"
                )
            }
            Self::NotSafe(reason) => write!(formatter, "stopped, a copy is not safe: {reason}"),
            Self::Lost(reason) => write!(formatter, "stopped: {reason}"),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it counted.
    pub count: Count,
    /// Why it ended.
    pub stop: Stop,
    /// The most messages that may be in both queues now.
    pub twice_max: usize,
}

impl Report {
    /// For people.
    #[must_use]
    pub fn text(&self, plan: &Plan) -> String {
        let Plan { from, to, dry_run, .. } = plan;
        let table = self.count.table(*dry_run);
        let (found, left) = (self.count.found, self.count.left());
        let mut parts = vec![if *dry_run {
            format!("nothing was changed; {found} were in {from}")
        } else {
            format!("{left} left in {from} of the {found} that were there")
        }];
        let foreign = self.count.foreign;
        if foreign > 0 {
            parts.push(format!("{foreign} passed over that came from another agent or queue"));
        }
        format!("{from} to {to}\n{table}{}", parts.join("; "))
    }

    /// For programs: one object.
    #[must_use]
    pub fn json(&self, plan: &Plan) -> Value {
        let mut all = self.count.json();
        let about = json!({
            "agent": &*plan.agent,
            "from": plan.from,
            "to": plan.to,
            "dry_run": plan.dry_run,
            "ended": self.stop.word(),
            "why": self.stop.to_string(),
            "twice_max": self.twice_max,
        });
        if let (Value::Object(all), Value::Object(about)) = (&mut all, about) {
            all.extend(about);
        }
        all
    }
}
