//! What is said between an agent and the rest of the daemon: orders to it, its state, its end.

use std::mem::discriminant;
use std::time::{Duration, SystemTime};

/// What the supervisor wants of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Do your work.
    Run,
    /// Finish what is in flight and hand out nothing more, until told otherwise.
    Pause,
    /// Take no more, finish what is in flight within this time, give back the rest, and end.
    Drain(Duration),
    /// Give back everything and end now.
    Abort,
}

impl Order {
    /// Whether the agent is to end.
    #[must_use]
    pub fn ends(self) -> bool {
        match self {
            Self::Run | Self::Pause => false,
            Self::Drain(_) | Self::Abort => true,
        }
    }
}

/// What an agent is doing, for those who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No session yet, or none again.
    Connecting,
    /// Messages are taken and handed out.
    Consuming,
    /// A backend is unwell, and this is what it said; or the broker takes no copies.
    Holding(String),
    /// Somebody asked it to: nothing is handed out.
    Paused,
    /// Finishing what is in flight.
    Draining,
    /// Ended for good; only a reload or a restart begins it again.
    GaveUp(String),
}

impl State {
    /// Whether it has a session and hears of orders as they come.
    #[must_use]
    pub fn works(&self) -> bool {
        match self {
            Self::Consuming | Self::Holding(_) | Self::Paused => true,
            Self::Connecting | Self::Draining | Self::GaveUp(_) => false,
        }
    }
}

/// A [`State`], and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What the agent is doing.
    pub state: State,
    /// Since when; another reason for the same is no change.
    pub since: SystemTime,
}

impl Said {
    /// Since now.
    #[must_use]
    pub fn now(state: State) -> Self {
        Self { state, since: SystemTime::now() }
    }

    /// Takes a state in; `true` where it is another.
    pub fn change(&mut self, state: State) -> bool {
        if self.state == state {
            return false;
        }
        if discriminant(&self.state) != discriminant(&state) {
            self.since = SystemTime::now();
        }
        self.state = state;
        true
    }
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// As ordered.
    Ordered,
    /// By itself, for this reason: it would fail again at once.
    GaveUp(String),
}
