//! What would be sent, for those who only look at it.

use http::header::{HOST, HeaderMap, HeaderValue};
use url::Url;

use super::clients;
use super::content::Begun;
use super::place::Place;
use crate::config::definition::{BackendDefinition, Http2};
use crate::request::HttpRequest;

/// A request as it would go to the first host of a backend.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Where it goes.
    pub url: Url,
    /// All headers, in the order in which they are sent. Over HTTP/1.1 `Host` is among them; over
    /// HTTP/2 the URL's authority says the same.
    pub headers: HeaderMap,
    /// Which HTTP is spoken; `Negotiate` is for `https` alone.
    pub http2: Http2,
}

/// What `request` becomes at the first host of `definition`; `None` where it has none.
#[must_use]
pub fn preview(definition: &BackendDefinition, request: HttpRequest) -> Option<Preview> {
    let url = definition.urls.first()?;
    let place = Place::new(url, definition);
    let http2 = match clients::version(definition) {
        Http2::Negotiate if !place.is_secure() => Http2::Never,
        version @ (Http2::Negotiate | Http2::PriorKnowledge | Http2::Never) => version,
    };
    let sent = place.request(request, &Begun::default());
    let mut headers = sent.headers().clone();
    // The library adds it, once it knows that it speaks HTTP/1.1.
    if matches!(http2, Http2::Negotiate | Http2::Never)
        && let Ok(host) = HeaderValue::from_str(place.authority())
    {
        headers.entry(HOST).or_insert(host);
    }
    Some(Preview { url: sent.url().clone(), headers, http2 })
}

/// Whether this process's environment names a proxy, as the daemon's may.
#[must_use]
pub fn environment_names_a_proxy() -> bool {
    clients::environment_names_a_proxy()
}
