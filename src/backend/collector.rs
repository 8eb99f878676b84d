//! Who collects spans: one POST for each batch (OTLP over HTTP).

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::clients::Clients;
use super::retry_after::retry_after;
use super::{BackendError, failure};
use crate::config::definition::TracingSettings;
use crate::request;
use crate::tls::TlsSettings;

/// The most bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Takes batches of spans.
pub struct Collector {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// A lowercase fragment, without header or body.
    pub reason: String,
    /// Whether the same batch may be taken later: after this time, if the collector named one.
    pub again: Option<Option<Duration>>,
}

impl Collector {
    /// Prepares to speak to the collector of `settings`; nothing is sent yet.
    ///
    /// # Errors
    /// [`BackendError`] where the system has no certificates to trust.
    pub fn new(settings: &TracingSettings) -> Result<Self, BackendError> {
        let client = Clients::new().for_inquiry(&settings.endpoint, &TlsSettings::default())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(request::USER_AGENT));
        for (name, value) in &settings.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value.expose().as_bytes());
            // Both were checked when they were read.
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Ok(Self { client, url: settings.endpoint.clone(), headers, timeout: settings.timeout })
    }

    /// Hands over a batch, once, and gives the start of the answer's body. Takes no longer than the
    /// settings' timeout.
    ///
    /// Cancel-safe: what was sent may have been taken.
    ///
    /// # Errors
    /// Why it was not taken, and whether it may be later (OTLP, "OTLP/HTTP Response").
    pub async fn take(&self, batch: Bytes) -> Result<Bytes, NotTaken> {
        let deadline = Instant::now() + self.timeout;
        let passing = |reason| NotTaken { reason, again: Some(None) };
        let late = || passing(format!("no answer within {:?}", self.timeout));
        let request =
            self.client.post(self.url.clone()).headers(self.headers.clone()).body(batch).send();
        let answer = timeout_at(deadline, request).await.map_err(|_| late())?;
        let mut answer = answer.map_err(|error| passing(failure::cause_text(&error)))?;
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            let again = matches!(status, 429 | 502 | 503 | 504);
            let wait = retry_after(answer.headers(), SystemTime::now);
            return Err(NotTaken {
                reason: format!("status {status}"),
                again: again.then_some(wait),
            });
        }
        let mut body = BytesMut::new();
        // It has been taken, whatever comes of the rest.
        while let Ok(Ok(Some(chunk))) = timeout_at(deadline, answer.chunk()).await {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Ok(Bytes::new());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}
