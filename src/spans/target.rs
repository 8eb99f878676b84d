//! What is told of a backend: where its requests go, without what may be a secret.

use url::Url;

use crate::config::definition::BackendDefinition;

/// Stands for what is not told.
const HIDDEN: &str = "REDACTED";

/// One backend, as spans tell of it.
pub(super) struct Target {
    pub(super) backend: String,
    pub(super) method: String,
    /// The path that all requests have; `None` where it may be a secret.
    pub(super) template: Option<String>,
    pub(super) hosts: Vec<Host>,
}

/// One of its hosts.
pub(super) struct Host {
    /// The URL, without user, password, and the values of its query.
    pub(super) url: String,
    pub(super) address: String,
    pub(super) port: Option<u16>,
}

impl Target {
    pub(super) fn new(definition: &BackendDefinition) -> Self {
        let path = definition.urls.first().map(|url| url.path().to_owned());
        Self {
            backend: definition.name.to_string(),
            method: definition.method.clone(),
            template: path.filter(|_| !definition.path_is_secret),
            hosts: definition.urls.iter().map(|url| host(url, definition.path_is_secret)).collect(),
        }
    }

    /// As OpenTelemetry names the span of an HTTP client.
    pub(super) fn name(&self) -> String {
        match &self.template {
            Some(template) => format!("{} {template}", self.method),
            None => self.method.clone(),
        }
    }
}

fn host(url: &Url, path_is_secret: bool) -> Host {
    let address = url.host_str().unwrap_or_default();
    let mut shown = url.clone();
    if path_is_secret {
        shown.set_path(HIDDEN);
    }
    if let Some(query) = url.query() {
        let values = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if !path_is_secret => format!("{name}={HIDDEN}"),
            // A name alone may be a secret all the same.
            Some(_) | None => HIDDEN.to_owned(),
        });
        shown.set_query(Some(&values.collect::<Vec<_>>().join("&")));
    }
    // There is none since the file was read; this is a promise of its own.
    shown.set_username("").ok();
    shown.set_password(None).ok();
    Host {
        url: shown.into(),
        address: address.trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition::tests::definition;

    fn target(url: &str, path_is_secret: bool) -> Target {
        let mut backend = definition("orders").backends.remove(0);
        backend.urls = vec![url.parse().unwrap()];
        backend.path_is_secret = path_is_secret;
        Target::new(&backend)
    }

    #[test]
    fn a_url_is_told_without_what_may_be_a_secret() {
        for (url, is_secret, shown, name) in [
            ("http://h:80/a/b", false, "http://h/a/b", "POST /a/b"),
            ("http://u:p@h:81/", false, "http://h:81/", "POST /"),
            ("https://h/a?k=v&l=", false, "https://h/a?k=REDACTED&l=REDACTED", "POST /a"),
            ("https://h/a?token", false, "https://h/a?REDACTED", "POST /a"),
            ("https://[::1]/hook/t0k3n?k=v", true, "https://[::1]/REDACTED?REDACTED", "POST"),
        ] {
            let target = target(url, is_secret);
            assert_eq!((target.hosts[0].url.as_str(), target.name().as_str()), (shown, name));
        }
    }

    #[test]
    fn an_address_has_no_brackets_and_a_port_even_where_the_url_has_none() {
        let target = target("https://[::1]/", false);
        assert_eq!((target.hosts[0].address.as_str(), target.hosts[0].port), ("::1", Some(443)));
    }
}
