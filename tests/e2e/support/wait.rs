//! Waiting for something to become so: bounded, and with a reason when it does not.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// The longest that any wait lasts. Far beyond what a healthy run needs on a busy machine, so
/// that passing it is a failure and never bad luck.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How often a condition that cannot wake us is looked at.
pub const POLL: Duration = Duration::from_millis(50);

/// Calls `look` until it gives `Ok`; past the deadline panics with `what` and the last `Err`.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if Instant::now() >= end => panic!("waited in vain for {what}: {seen}"),
            Err(_) => sleep(POLL).await,
        }
    }
}

/// Awaits `future`; past the deadline panics with `what`.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
