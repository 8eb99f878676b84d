//! `[[backend]]`: where messages go.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use url::Url;

use super::headers::headers;
use super::status::status;
use super::tls::{TlsFiles, located};
use super::urls::urls;
use super::{Scope, choice, timeout};
use crate::config::definition::{BackendDefinition, Http2};
use crate::config::spec::{AgentSpec, BackendSpec};
use crate::config::value::Section;

/// The most backends of one agent, and the most hosts of one backend.
pub(super) const MANY: usize = 100;

/// Where messages go.
pub(super) fn backends(
    spec: &AgentSpec,
    agent_timeout: Duration,
    scope: &mut Scope<'_, '_>,
) -> Vec<BackendDefinition> {
    let Some(list) = &spec.backend else {
        let remedy =
            "add `[[backend]]` with `host` and `url_pattern`, which says where messages go";
        scope.report.missing(scope.file, "backend", &scope.start.clone(), remedy);
        return Vec::new();
    };
    let specs = list.get_ref();
    if specs.is_empty() || specs.len() > MANY {
        let problem = format!("there are {} backends", specs.len());
        scope.report.error(&list.span(), problem, format!("list 1 to {MANY}"));
    }
    let mut backends: Vec<BackendDefinition> = Vec::new();
    for (index, spec) in specs.iter().take(MANY).enumerate() {
        let mut backend = backend(spec, index, agent_timeout, scope);
        if backends.iter().any(|other| other.name == backend.name) {
            distinguish(spec, &mut backend, &backends, scope);
        }
        backends.push(backend);
    }
    if !backends.is_empty() && backends.iter().all(|backend| !backend.required) {
        scope.report.error(
            &list.span(),
            "no backend is required, so every message would count as delivered",
            "remove `required = false` from one that must have it",
        );
    }
    backends
}

/// Two backends of an agent need two names: a retry remembers which have the message already.
fn distinguish(
    spec: &Spanned<Section<BackendSpec>>,
    backend: &mut BackendDefinition,
    others: &[BackendDefinition],
    scope: &mut Scope<'_, '_>,
) {
    if let Some(name) = &spec.get_ref().name {
        let shown = scope.report.quote(&name.span(), name.get_ref());
        scope.report.error(
            &name.span(),
            format!("another backend is named {shown}"),
            "name them differently: a retry remembers by name which have the message already",
        );
        return;
    }
    let numbered = (2..).map(|number| Arc::from(format!("{}#{number}", backend.name)));
    let mut free = numbered.filter(|name: &Arc<str>| others.iter().all(|one| one.name != *name));
    if let Some(name) = free.next() {
        backend.name = name;
    }
}

fn backend(
    spec: &Spanned<Section<BackendSpec>>,
    index: usize,
    agent_timeout: Duration,
    scope: &mut Scope<'_, '_>,
) -> BackendDefinition {
    const HTTP2: [(&str, Http2); 3] = [
        ("negotiate", Http2::Negotiate),
        ("prior_knowledge", Http2::PriorKnowledge),
        ("never", Http2::Never),
    ];
    let (span, spec) = (spec.span(), spec.get_ref());
    let (urls, login) = urls(spec, &span, index, scope);
    let headers = headers(spec, login, scope);
    let tls_spec = spec.tls.as_ref().map(Spanned::get_ref);
    let tls = TlsFiles {
        ca: located(tls_spec.and_then(|tls| tls.ca.as_ref())),
        cert: located(tls_spec.and_then(|tls| tls.cert.as_ref())),
        key: located(tls_spec.and_then(|tls| tls.key.as_ref())),
        server_name: None,
    };
    if let Some(tls) = &spec.tls
        && !scope.is_inherited(&tls.span())
        && !urls.is_empty()
        && urls.iter().all(|url| url.scheme() == "http")
    {
        scope.report.error(
            &tls.span(),
            "`tls` is set, and no host is spoken to by TLS",
            "use https:// in `host`, or remove `tls`",
        );
    }
    if let Some(encoding) = &spec.encoding {
        scope.report.warning(
            &encoding.span(),
            "`encoding` has no effect: a reply's body is not decoded, its status decides",
            "remove it",
        );
    }
    BackendDefinition {
        name: name(spec, &urls, scope),
        method: method(spec, scope),
        headers,
        timeout: timeout(spec.timeout.as_ref(), scope).unwrap_or(agent_timeout),
        required: spec.required.as_ref().is_none_or(|required| *required.get_ref()),
        status: status(spec, scope),
        tls: tls.load(scope),
        http2: choice(spec.http2.as_ref(), "http2", &HTTP2, scope.report)
            .unwrap_or(Http2::Negotiate),
        path_is_secret: path_is_secret(spec, scope),
        urls,
    }
}

fn name(spec: &BackendSpec, urls: &[Url], scope: &mut Scope<'_, '_>) -> Arc<str> {
    const CHARACTERS_MAX: usize = 64;
    let Some(name) = &spec.name else {
        return urls.first().map(Url::authority).unwrap_or_default().into();
    };
    let text = name.get_ref();
    let length = text.chars().count();
    if length == 0 || length > CHARACTERS_MAX || text.chars().any(char::is_control) {
        scope.report.spoil(
            &name.span(),
            format!("the backend's name has {length} characters, or some that cannot be printed"),
            format!("use 1 to {CHARACTERS_MAX} that can"),
        );
    }
    text.as_str().into()
}

fn method(spec: &BackendSpec, scope: &mut Scope<'_, '_>) -> String {
    let Some(key) = &spec.method else { return "POST".to_owned() };
    // As KrakenD does; a method of lowercase letters is next to always a slip.
    let method = key.get_ref().to_ascii_uppercase();
    let refused = match method.as_str() {
        "CONNECT" => Some("opens a tunnel and hands nothing over"),
        "TRACE" => Some("may not have a body"),
        token if http::Method::from_bytes(token.as_bytes()).is_err() => {
            Some("is no HTTP method: that is a word of letters")
        }
        _ => None,
    };
    if let Some(reason) = refused {
        let shown = scope.report.quote(&key.span(), key.get_ref());
        scope.report.spoil(
            &key.span(),
            format!("{shown} {reason}"),
            "use `POST`, `PUT` or another",
        );
    }
    method
}

/// Whether a part of the URLs must not be shown; their hosts are in every log line all the same.
fn path_is_secret(spec: &BackendSpec, scope: &Scope<'_, '_>) -> bool {
    let pattern = spec.url_pattern.as_ref().map(Spanned::span);
    let host = spec.host.as_ref().map(Spanned::span);
    pattern.into_iter().chain(host).any(|span| scope.report.is_concealed(&span))
}
