//! The HTTP clients of one thread, shared by all its backends that speak alike.

use std::rc::{Rc, Weak};
use std::time::Duration;

use reqwest::redirect;
use url::Url;

use super::BackendError;
use crate::config::definition::{BackendDefinition, Http2};
use crate::tls::{self, TlsError, TlsSettings};

/// The longest that a connection may take to be made, TLS included.
pub(super) const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// Below the idle limits of common servers, so that they seldom close under a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Unused connections kept for each host: all, until they are idle for too long. Each was in use at
/// the same time as the others, so there are no more than the agents of a thread have workers; to
/// close those beyond a number would open as many anew, for each message.
const POOL_IDLE_MAX_PER_HOST: usize = usize::MAX;

const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// How long the kernel may try to deliver what was written before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often an HTTP/2 connection with requests on it is asked whether it lives, and how long
/// it has to answer: without it, a dead one would take every further request down.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(15);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a reply's headers over HTTP/2; over HTTP/1 the library's own limit holds.
const HTTP2_HEADER_BYTES_MAX: u32 = 64 * 1024;

/// A thread's HTTP clients: backends that agree in TLS and in HTTP version share one, and with
/// it connections. A client lives as long as a backend uses it.
///
/// Proxies come from the environment as it was when the first backend needed the client:
/// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or small letters.
#[derive(Debug, Default)]
pub struct Clients {
    entries: Vec<(Key, Weak<reqwest::Client>)>,
    ignore_proxies: bool,
}

/// What a client is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    /// `None` where it only ever speaks plain HTTP, for which no certificate is read.
    tls: Option<TlsSettings>,
    http2: Http2,
}

impl Clients {
    /// No client yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Clients that connect directly whatever the environment says.
    #[must_use]
    pub fn without_proxies() -> Self {
        Self { ignore_proxies: true, ..Self::default() }
    }

    /// The client for a backend.
    pub(super) fn get(
        &mut self,
        definition: &BackendDefinition,
    ) -> Result<Rc<reqwest::Client>, BackendError> {
        let key = key(definition);
        self.entries.retain(|(_, client)| client.strong_count() > 0);
        let known = self.entries.iter().find(|(known, _)| *known == key);
        if let Some(client) = known.and_then(|(_, client)| client.upgrade()) {
            return Ok(client);
        }
        let client = Rc::new(self.make(&key)?);
        self.entries.push((key, Rc::downgrade(&client)));
        Ok(client)
    }

    /// A client of its own for a question at `url`, which is asked seldom.
    pub(super) fn for_inquiry(
        &self,
        url: &Url,
        tls: &TlsSettings,
    ) -> Result<reqwest::Client, BackendError> {
        let tls = (url.scheme() == "https").then(|| tls.clone());
        self.make(&Key { tls, http2: Http2::Never })
    }

    fn make(&self, key: &Key) -> Result<reqwest::Client, BackendError> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(key)?)
            .redirect(redirect::Policy::none())
            .referer(false)
            // Nothing is ever sent twice but by the agent, which counts.
            .retry(reqwest::retry::never())
            // Each request has its own limit; this one is for connections that outlive theirs.
            .connect_timeout(CONNECT_TIMEOUT_MAX * 2)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_MAX_PER_HOST)
            .tcp_nodelay(true)
            .tcp_keepalive(TCP_KEEPALIVE)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .http2_max_header_list_size(HTTP2_HEADER_BYTES_MAX);
        let builder = match key.http2 {
            Http2::Negotiate => builder,
            Http2::PriorKnowledge => builder.http2_prior_knowledge(),
            Http2::Never => builder.http1_only(),
        };
        // Without it each request asks whether a proxy that does not exist is for its URL.
        let is_direct = self.ignore_proxies || !environment_names_a_proxy();
        let builder = if is_direct { builder.no_proxy() } else { builder };
        builder.build().map_err(|error| BackendError::Client(error.to_string()))
    }
}

/// What the client for a backend is made of.
pub(super) fn key(definition: &BackendDefinition) -> Key {
    let secure = definition.urls.iter().any(|url| url.scheme() == "https");
    Key { tls: secure.then(|| definition.tls.clone()), http2: version(definition) }
}

/// Whether the library would find a proxy there. `NO_PROXY` alone makes none.
pub(super) fn environment_names_a_proxy() -> bool {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].iter().any(|name| {
        std::env::var_os(name).is_some() || std::env::var_os(name.to_lowercase()).is_some()
    })
}

/// A configured `Host` cannot be sent over HTTP/2, where the URL's authority takes its place
/// (RFC 9113, section 8.3.1): such a backend is spoken to in HTTP/1.1 unless told otherwise.
pub(super) fn version(definition: &BackendDefinition) -> Http2 {
    let names_host = definition.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    match definition.http2 {
        Http2::Negotiate if names_host => Http2::Never,
        version @ (Http2::Negotiate | Http2::PriorKnowledge | Http2::Never) => version,
    }
}

fn tls_config(key: &Key) -> Result<rustls::ClientConfig, TlsError> {
    let alpn: &[&[u8]] = match key.http2 {
        Http2::Negotiate => &[b"h2", b"http/1.1"],
        Http2::PriorKnowledge => &[b"h2"],
        Http2::Never => &[b"http/1.1"],
    };
    match &key.tls {
        Some(settings) => tls::client_config(settings, alpn),
        None => tls::unused_config(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outcome::StatusPolicy;
    use crate::secret::Secret;

    fn definition(url: &str) -> BackendDefinition {
        BackendDefinition {
            name: Arc::from("test"),
            urls: vec![url.parse().unwrap()],
            method: "POST".to_owned(),
            headers: Vec::new(),
            timeout: Duration::from_secs(5),
            required: true,
            status: StatusPolicy::default(),
            tls: TlsSettings::default(),
            http2: Http2::Negotiate,
            path_is_secret: false,
        }
    }

    #[test]
    fn backends_that_agree_share_a_client_that_ends_with_the_last_of_them() {
        let mut clients = Clients::new();
        let one = clients.get(&definition("http://one.internal/")).unwrap();
        let mut other = definition("http://two.internal/");
        other.timeout = Duration::from_secs(9);
        other.tls.server_name = Some("of.no.use.without.tls".to_owned());
        let two = clients.get(&other).unwrap();
        assert!(Rc::ptr_eq(&one, &two));
        drop((one, two));
        assert_eq!(clients.entries[0].1.strong_count(), 0);
        other.http2 = Http2::Never;
        let _never = clients.get(&other).unwrap();
        assert_eq!(clients.entries.len(), 1);
    }

    #[test]
    fn backends_that_differ_in_version_do_not_share_a_client() {
        let mut clients = Clients::new();
        let mut definition = definition("http://one.internal/");
        let negotiate = clients.get(&definition).unwrap();
        definition.http2 = Http2::PriorKnowledge;
        let prior = clients.get(&definition).unwrap();
        assert!(!Rc::ptr_eq(&negotiate, &prior));
        definition.http2 = Http2::Negotiate;
        definition.headers = vec![("HOST".to_owned(), Secret::new("orders.internal"))];
        let named = clients.get(&definition).unwrap();
        assert!(!Rc::ptr_eq(&negotiate, &named));
    }
}
