//! A gate that replies wait behind, instead of sleeping.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Shut until it is opened; shared by its clones.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }

    /// Lets `count` more pass.
    pub fn admit(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Lets everyone pass, from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits to be let through.
    pub async fn pass(&self) {
        // An error says that the gate is open.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
