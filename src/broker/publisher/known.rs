//! What one connection knows of the queues and exchanges that copies go to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::CopyQueue;
use crate::broker::ended::Ended;

/// How long a refusal stands before the broker is asked again: each one costs a channel.
const REFUSED: Duration = Duration::from_secs(5);

/// What has to be there before a copy is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// A queue, which we declare.
    Queue(CopyQueue),
    /// An exchange, which we only ask for.
    Exchange(String),
}

/// Shared with the library's tasks, which hear that a queue or an exchange is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<Need, State>>>);

#[derive(Debug)]
enum State {
    There,
    Refused(Ended, Instant),
}

impl Known {
    /// Whether `need` is there; `None` when the broker has to be asked.
    pub(super) fn get(&self, need: &Need) -> Option<Result<(), Ended>> {
        match self.all().get(need)? {
            State::There => Some(Ok(())),
            State::Refused(reason, until) if Instant::now() < *until => Some(Err(reason.clone())),
            State::Refused(..) => None,
        }
    }

    /// Notes what the broker said of `need`.
    pub(super) fn tell(&self, need: Need, told: Result<(), Ended>) {
        let state = match told {
            Ok(()) => State::There,
            Err(reason) => State::Refused(reason, Instant::now() + REFUSED),
        };
        self.all().insert(need, state);
    }

    /// The queue of this name was not there after all.
    pub(super) fn forget_queue(&self, name: &str) {
        self.all().retain(|need, _| match need {
            Need::Queue(queue) => queue.name != name,
            Need::Exchange(_) => true,
        });
    }

    /// One of the exchanges may be gone.
    pub(super) fn forget_exchanges(&self) {
        self.all().retain(|need, _| match need {
            Need::Queue(_) => true,
            Need::Exchange(_) => false,
        });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Need, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
