//! A question to RabbitMQ's management interface: one GET, one JSON value.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::clients::Clients;
use crate::config::definition::ManagementAddress;

/// The longest wait for a whole answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Gets the JSON at `url` of a management interface; `None` where there is nothing (404). Takes 10 s at the most.
///
/// Cancel-safe.
///
/// # Errors
/// Why there is no answer, in a lowercase fragment without the password.
pub async fn inquire(management: &ManagementAddress, url: Url) -> Result<Option<Value>, String> {
    let client =
        Clients::new().for_inquiry(&url, &management.tls).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + ANSWER_MAX;
    let late = || format!("no answer within {ANSWER_MAX:?}");
    let request =
        client.get(url).basic_auth(&management.username, Some(management.password.expose()));
    let asked = timeout_at(deadline, request.send()).await.map_err(|_| late())?;
    let mut answer = asked.map_err(|error| super::failure::cause_text(&error))?;
    match answer.status().as_u16() {
        200 => {}
        404 => return Ok(None),
        401 => return Err("401: user or password refused".to_owned()),
        status => return Err(format!("status {status}")),
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = timeout_at(deadline, answer.chunk()).await.map_err(|_| late())?;
        let Some(chunk) = chunk.map_err(|error| super::failure::cause_text(&error))? else { break };
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("an answer of more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    let value =
        serde_json::from_slice(&body).map_err(|_| "an answer that is not JSON".to_owned())?;
    Ok(Some(value))
}
