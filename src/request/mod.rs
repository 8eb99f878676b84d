//! A message made into an HTTP request: pure, the same message always makes the same request.
//!
//! What does not depend on the message is made once, by [`Template::new`]. What comes from the
//! message is untrusted: it can fill the values of a known set of headers and the names of
//! headers that begin with `X-Amqp-Header-`, and nothing else. A header that would not be legal
//! HTTP (RFC 9110, section 5) is left out, never repaired, so that a message cannot smuggle a
//! second header, or a second request, in its values.

mod fields;
mod values;

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::method::Method;

use self::fields::Fields;
use self::values::Values;
use crate::config::definition::BackendDefinition;
use crate::delivery::Message;

/// The most bytes of headers made of a message: names, values and four bytes for each line.
///
/// Application headers that do not fit are left out. Headers of the agent file are not counted.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// The most application headers sent with one request.
pub const APPLICATION_HEADERS_MAX: usize = 100;

pub(crate) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A request that lacks only the host it is sent to, which a backend chooses of several.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// All headers but `Host`, which follows from the URL unless the agent file sets it.
    pub headers: HeaderMap,
    /// The message's body, as it came.
    pub body: Bytes,
}

impl fmt::Debug for HttpRequest {
    /// Neither headers nor body: either may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Why a message can never be made into a request for this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// `TRACE` must not carry content (RFC 9110, section 9.3.8).
    #[error("a TRACE request cannot carry a body")]
    BodyNotAllowed,
}

/// What is wrong with a definition that no request can be made by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not a token, or `CONNECT`, which asks a proxy for a tunnel.
    #[error("method {0:?} cannot be sent to a backend")]
    Method(String),
    /// The name of a configured header is not a token.
    #[error("header name {0:?} is not a token")]
    HeaderName(String),
    /// The value of a configured header has a control character; the value is not shown.
    #[error("the value of header {0:?} has a character that HTTP does not allow")]
    HeaderValue(String),
    /// A configured header that only the connection may set; see [`is_reserved`].
    #[error("header {0:?} is set by the connection")]
    Reserved(String),
}

/// A header of the agent file.
#[derive(Clone)]
struct Configured {
    name: HeaderName,
    value: HeaderValue,
    /// Stands in the place of ours of the same name; else it follows another one of the file.
    is_first: bool,
}

/// Everything of a request that does not depend on the message.
#[derive(Clone)]
pub struct Template {
    method: Method,
    /// In the agent file's order; a name may come more than once.
    configured: Vec<Configured>,
}

impl fmt::Debug for Template {
    /// No header values: they may be secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Template").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Template {
    /// Prepares requests for a backend.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] where method or headers of the definition cannot be sent.
    pub fn new(definition: &BackendDefinition) -> Result<Self, TemplateError> {
        let method = Method::from_bytes(definition.method.as_bytes())
            .ok()
            .filter(|method| method != Method::CONNECT)
            .ok_or_else(|| TemplateError::Method(definition.method.clone()))?;
        let mut configured: Vec<Configured> = Vec::with_capacity(definition.headers.len());
        for (name, secret) in &definition.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| TemplateError::HeaderName(name.clone()))?;
            if is_reserved(&parsed) {
                return Err(TemplateError::Reserved(name.clone()));
            }
            let mut value = HeaderValue::from_bytes(secret.expose().trim().as_bytes())
                .map_err(|_| TemplateError::HeaderValue(name.clone()))?;
            value.set_sensitive(true);
            let is_first = configured.iter().all(|earlier| earlier.name != parsed);
            configured.push(Configured { name: parsed, value, is_first });
        }
        Ok(Self { method, configured })
    }

    /// The request for `message`.
    ///
    /// `attempt` counts from 1 and includes the attempts of earlier deliveries.
    ///
    /// The `Idempotency-Key` is the message id bare, without the quotes that
    /// draft-ietf-httpapi-idempotency-key-header asks for: that is what services accept.
    ///
    /// # Errors
    ///
    /// [`Impossible`] when the message cannot be sent by this method, now or ever.
    pub fn build(&self, message: &Message, attempt: u32) -> Result<HttpRequest, Impossible> {
        if self.method == Method::TRACE && !message.body.is_empty() {
            return Err(Impossible::BodyNotAllowed);
        }
        let fields = Fields::of(message);
        let mut values = Values::with_capacity(fields.value_bytes());
        let lines_max = OWN_LINES_MAX + fields.lines_max() + self.configured.len();
        let mut headers = HeaderMap::with_capacity(lines_max);
        insert_own(&mut headers);
        if !message.body.is_empty() || has_content_by_definition(&self.method) {
            let length = values.number(message.body.len());
            headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
        }
        fields.insert(&mut headers, &mut values, attempt);
        self.insert_configured(&mut headers);
        Ok(HttpRequest { method: self.method.clone(), headers, body: message.body.clone() })
    }

    /// A request that asks whether the backend is there: `HEAD`, which changes nothing
    /// (RFC 9110, section 9.2.1), with the headers of the agent file and no message.
    #[must_use]
    pub fn probe(&self) -> HttpRequest {
        let mut headers = HeaderMap::with_capacity(OWN_LINES_MAX + self.configured.len());
        insert_own(&mut headers);
        self.insert_configured(&mut headers);
        HttpRequest { method: Method::HEAD, headers, body: Bytes::new() }
    }

    /// Puts the agent file's headers over those already there.
    fn insert_configured(&self, headers: &mut HeaderMap) {
        for Configured { name, value, is_first } in &self.configured {
            if *is_first {
                headers.insert(name.clone(), value.clone());
            } else {
                headers.append(name.clone(), value.clone());
            }
        }
    }
}

/// Whether only the connection may set this header: it frames the message or belongs to one hop
/// (RFC 9110, section 7.6.1).
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// User agent, what is accepted, length, and the host, which comes later. And one that stays
/// free: a full map is made twice as large when it is only asked for a header to be put there.
const OWN_LINES_MAX: usize = 5;

fn insert_own(headers: &mut HeaderMap) {
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
}

/// Whether a length is due even where there is no content (RFC 9110, section 8.6).
fn has_content_by_definition(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

#[cfg(test)]
mod tests;
