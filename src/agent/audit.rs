//! The audit at an agent's start: once a life, beside its work, and only in words.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::audit::{self, Facts, QueueFacts, Weight, ask};
use crate::broker::Server;
use crate::config::definition::{AgentDefinition, BrokerAddress};

/// The longest that the management interface is asked.
const ASKED_MAX: Duration = Duration::from_mins(1);

/// The audit of one life. What is still being asked ends with the agent.
#[derive(Debug, Default)]
pub(super) struct Audit {
    task: JoinSet<()>,
    has_begun: bool,
}

impl Audit {
    /// Begins it with the first session, and does nothing with any other.
    pub(super) fn begin(
        &mut self,
        definition: &Arc<AgentDefinition>,
        address: &BrokerAddress,
        server: &Server,
    ) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        let (definition, address) = (Arc::clone(definition), address.clone());
        let server = server.clone();
        // The set keeps what a task was made of until somebody asks how it ended, which nobody does.
        self.task.spawn(Box::pin(async move { tell(&definition, &address, server).await }));
    }
}

async fn tell(definition: &AgentDefinition, address: &BrokerAddress, server: Server) {
    let (agent, queue) = (&definition.name, definition.source.queue.name.as_str());
    let asked = timeout(ASKED_MAX, ask::facts(definition, address, server.clone())).await;
    let (facts, failure) = asked.unwrap_or_else(|_| {
        let queue = QueueFacts::declared(&definition.source);
        (Facts { server, queue }, Some(format!("not told within {ASKED_MAX:?}")))
    });
    if let Some(reason) = failure {
        warn!(agent = %agent, queue, "the queue could not be looked up, its audit goes by the agent file alone: {reason}");
    }
    for found in audit::audit(definition, &facts) {
        match found.finding.weight() {
            Weight::Error => error!(agent = %agent, queue, "audit: {found}"),
            Weight::Warning => warn!(agent = %agent, queue, "audit: {found}"),
            // For those who ask, with `check --online`.
            Weight::Note => {}
        }
    }
}
