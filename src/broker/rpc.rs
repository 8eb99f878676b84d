//! Calls into the client library that wait for the broker's answer.
//!
//! The library's calls must not be dropped while the answer is on its way (its dispatcher
//! panics, amqprs issues 145 and 196), and may panic themselves. So each runs as a task of its
//! own with the deadline on its handle; when that passes the connection is thrown away whole.

use std::future::Future;
use std::time::Duration;

use amqprs::error::Error;
use tokio::task::{JoinError, JoinSet};

use super::closing::Closing;
use super::ended::Ended;

type LibraryResult<T> = Result<T, Error>;

/// The longest wait for the broker's answer to one method.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Makes one call and waits for its answer; after an error the connection is of no use.
pub(super) async fn call<T: Send + 'static>(
    what: &'static str,
    closing: &Closing,
    future: impl Future<Output = LibraryResult<T>> + Send + 'static,
) -> Result<T, Ended> {
    let mut task = JoinSet::new();
    task.spawn(future);
    match tokio::time::timeout(ANSWER_MAX, task.join_next()).await {
        Ok(Some(answer)) => answered(answer, closing),
        Ok(None) | Err(_) => Err(Ended::Unresponsive { what, waited: ANSWER_MAX }),
    }
}

/// The same without a deadline: the connection's end ends the wait too.
pub(super) async fn call_patiently<T: Send + 'static>(
    closing: &Closing,
    future: impl Future<Output = LibraryResult<T>> + Send + 'static,
) -> Result<T, Ended> {
    let mut task = JoinSet::new();
    task.spawn(future);
    match task.join_next().await {
        Some(answer) => answered(answer, closing),
        None => Err(Ended::Lost),
    }
}

/// Reads how a call ended. The library's own error text says little ("channel closed"); what
/// the broker said stands in `closing`.
pub(super) fn answered<T>(
    answer: Result<LibraryResult<T>, JoinError>,
    closing: &Closing,
) -> Result<T, Ended> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) if closing.is_known() => Err(closing.reason()),
        // The library's tasks are gone, which they are after the connection.
        Ok(Err(Error::NetworkError(_) | Error::InternalChannelError(_))) => Err(Ended::Lost),
        Ok(Err(error)) => Err(Ended::LibraryFailed(error.to_string())),
        Err(error) => Err(failed(error)),
    }
}

/// Tells a panic inside the library.
pub(super) fn failed(error: JoinError) -> Ended {
    let text = match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panicked".to_owned()),
        Err(_) => "its task was cancelled".to_owned(),
    };
    Ended::LibraryFailed(text)
}
