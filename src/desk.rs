//! The front desk: what may be asked of the running daemon, and what it shows of itself.
//!
//! The daemon's own loop answers, between one event and the next. So an answer is the truth of one
//! moment, and no answer means that the loop stands still.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use crate::agent::State;
use crate::config::definition::AgentDefinition;
use crate::meters::{Figures, Meters};

/// Questions that may wait for the daemon's loop; who asks more waits to ask.
const QUEUE: usize = 64;

/// What may be asked. Who asked and is gone is no trouble.
#[derive(Debug)]
pub enum Question {
    /// What the daemon is and does.
    View(oneshot::Sender<View>),
    /// Let this agent finish what is in flight and hand out nothing more, or go on. The answer is
    /// whether there is such an agent.
    Pause {
        /// The agent's name.
        agent: String,
        /// `false` lets it go on.
        pause: bool,
        /// Answered once the order is given, not once the last message in flight is finished.
        known: oneshot::Sender<bool>,
    },
    /// Read the files again, as SIGHUP does.
    Reload(oneshot::Sender<Reloaded>),
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// When.
    pub at: SystemTime,
    /// What was changed, or why nothing was.
    pub result: Result<Changes, String>,
    /// Each problem of each file, as `check` would print it.
    pub problems: Vec<String>,
}

impl Reloaded {
    /// Whether everything is as the files say.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.result.as_ref().is_ok_and(|changes| changes.broken_files == 0)
    }
}

/// How many agents a reload touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// That are new.
    pub started: usize,
    /// That are replaced.
    pub changed: usize,
    /// That are gone.
    pub stopped: usize,
    /// That were not touched.
    pub unchanged: usize,
    /// Files that are broken; their agents run on as they were.
    pub broken_files: usize,
}

/// The daemon at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The moment.
    pub now: SystemTime,
    /// When the daemon started.
    pub started: SystemTime,
    /// It drains, and will end.
    pub stopping: bool,
    /// How the files were read last: at the start or at a reload.
    pub loaded: Reloaded,
    /// Reloads since the start, and how many of them were not [well](Reloaded::is_well).
    pub reloads: (u64, u64),
    /// Every agent, by name.
    pub agents: Vec<AgentView>,
}

/// An agent at one moment.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// What it runs on.
    pub definition: Arc<AgentDefinition>,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// A person asked for a pause, whether the agent has come to it or not.
    pub paused: bool,
    /// Its numbers; they go on counting.
    pub meters: Arc<Meters>,
    /// What it did in the last minute.
    pub figures: Figures,
}

impl AgentView {
    /// When it was last seen alive, which is to say working on a session; `None` if never.
    #[must_use]
    pub fn last_alive(&self) -> Option<SystemTime> {
        crate::meters::time(&self.meters.last_alive)
    }
}

/// Who asks.
pub type Asker = mpsc::Sender<Question>;

/// A desk: whoever has the first part asks, the daemon answers what comes out of the second.
#[must_use]
pub fn open() -> (Asker, mpsc::Receiver<Question>) {
    mpsc::channel(QUEUE)
}
