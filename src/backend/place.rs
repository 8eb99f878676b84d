//! One host of a backend: what every request to it has in common.

use http::HeaderValue;
use http::header::HOST;
use url::{Position, Url};

use super::clients;
use super::content::{Begun, MarkedBody};
use crate::config::definition::{BackendDefinition, Http2};
use crate::request::HttpRequest;

/// Where a request goes.
pub(super) struct Place {
    url: Url,
    /// What `Host` says where HTTP/1.1 is spoken for certain; else the library makes it of the
    /// URL, for each request anew. Over HTTP/2 there is none (RFC 9113, section 8.3.1).
    host: Option<HeaderValue>,
}

impl Place {
    /// The host at `url`, one of those of `definition`.
    pub(super) fn new(url: &Url, definition: &BackendDefinition) -> Self {
        let is_http1 = match clients::version(definition) {
            Http2::Never => true,
            // It is agreed on in TLS.
            Http2::Negotiate => url.scheme() == "http",
            Http2::PriorKnowledge => false,
        };
        let host = is_http1.then(|| HeaderValue::from_str(authority(url)).ok()).flatten();
        Self { url: url.clone(), host }
    }

    /// `request` to this host, in the library's words; `begun` tells when it begins to be sent.
    pub(super) fn request(&self, request: HttpRequest, begun: &Begun) -> reqwest::Request {
        let HttpRequest { method, mut headers, body } = request;
        if let Some(host) = &self.host {
            headers.entry(HOST).or_insert_with(|| host.clone());
        }
        let mut library = reqwest::Request::new(method, self.url.clone());
        *library.headers_mut() = headers;
        *library.body_mut() = Some(reqwest::Body::wrap(MarkedBody::new(body, begun.clone())));
        library
    }

    /// Host and port, by which one host of several is known; never path or query.
    pub(super) fn authority(&self) -> &str {
        authority(&self.url)
    }

    /// Whether TLS is spoken.
    pub(super) fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }
}

fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}
