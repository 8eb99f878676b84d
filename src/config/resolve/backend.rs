//! `[[backend]]`: URLs that can be sent to, headers that may be sent, statuses that mean something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use toml::Spanned;
use url::Url;

use super::tls::{TlsFiles, located};
use super::{Scope, choice, timeout};
use crate::config::definition::{BackendDefinition, Http2};
use crate::config::report::quoted;
use crate::config::source_map::Span;
use crate::config::spec::{AgentSpec, BackendSpec};
use crate::config::value::{Section, StatusEntry};
use crate::outcome::{Meaning, StatusPattern, StatusPolicy};
use crate::secret::Secret;

/// The most backends of one agent, and the most hosts of one backend.
const MANY: usize = 100;

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

/// The URLs, and what to log in with if they say so.
fn urls(
    spec: &BackendSpec,
    span: &Span,
    index: usize,
    scope: &mut Scope<'_, '_>,
) -> (Vec<Url>, Option<Secret>) {
    let pattern = url_pattern(spec, span, index, scope);
    let Some(host) = &spec.host else {
        let path = format!("backend.{index}.host");
        let remedy = "set it to the service's base URL, such as \"http://127.0.0.1:8080\"";
        scope.report.missing(scope.file, &path, span, remedy);
        return (Vec::new(), None);
    };
    let hosts = host.get_ref().each(&host.span());
    if hosts.is_empty() || hosts.len() > MANY {
        let problem = format!("`host` lists {} hosts", hosts.len());
        scope.report.error(&host.span(), problem, format!("list 1 to {MANY}"));
    }
    let mut urls = Vec::new();
    let mut login: Option<Option<Secret>> = None;
    for (span, host) in hosts.into_iter().take(MANY) {
        let (url, own_login) = match url(host, pattern) {
            Ok(parts) => parts,
            Err((problem, remedy)) => {
                scope.report.spoil(&span, problem, remedy);
                continue;
            }
        };
        if login.as_ref().is_some_and(|login| *login != own_login) {
            scope.report.error(
                &span,
                "the hosts of one backend are logged in to differently",
                "use the same user and password in each, or one `[[backend]]` for each",
            );
        }
        login = Some(own_login);
        urls.push(url);
    }
    (urls, login.flatten())
}

fn url_pattern<'s>(
    spec: &'s BackendSpec,
    span: &Span,
    index: usize,
    scope: &mut Scope<'_, '_>,
) -> &'s str {
    let Some(key) = &spec.url_pattern else {
        let path = format!("backend.{index}.url_pattern");
        scope.report.missing(scope.file, &path, span, "set it to the path, such as \"/orders\"");
        return "/";
    };
    let pattern = key.get_ref().as_str();
    let wrong = if !pattern.starts_with('/') {
        Some(("does not start with `/`", "write the path as it follows the host"))
    } else if pattern.contains('#') {
        Some(("has a `#`, and no fragment is ever sent", "write %23 if the character is meant"))
    } else if pattern.contains(['{', '}']) {
        Some((
            "has a placeholder, and nothing is put in its place",
            "write the path itself, or %7B and %7D if braces are meant",
        ))
    } else if pattern.contains('\\') {
        Some(("has a `\\`", "write `/`, or %5C if a backslash is meant"))
    } else if pattern.contains(|c: char| c.is_control() || c == ' ') {
        Some(("has a space or a control character", "percent-encode it: a space is %20"))
    } else {
        None
    };
    match wrong {
        Some((wrong, remedy)) => {
            scope.report.spoil(&key.span(), format!("`url_pattern` {wrong}"), remedy);
            "/"
        }
        None => pattern,
    }
}

type Fault = (&'static str, &'static str);

/// One URL without its user information, and what that was, as a value for `authorization`.
fn url(host: &str, pattern: &str) -> Result<(Url, Option<Secret>), Fault> {
    const FORM: &str = "write http://HOST:PORT or https://HOST:PORT";
    if host.contains(|c: char| c.is_control() || c == ' ' || c == '\\') {
        return Err(("a host with a space, a backslash or a control character", FORM));
    }
    // KrakenD adds the scheme too.
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(("a host that is neither http nor https", FORM));
    }
    let base = match rest.trim_end_matches('/') {
        "" => return Err(("a host without a name", FORM)),
        rest if rest.starts_with('/') => return Err(("a host without a name", FORM)),
        rest => format!("{scheme}://{rest}"),
    };
    if base.contains(['?', '#']) {
        return Err((
            "a host with a query or a fragment",
            "put the query in `url_pattern`, and percent-encode the password",
        ));
    }
    let Ok(mut url) = Url::parse(&format!("{base}{pattern}")) else {
        return Err(("a host that is no URL", FORM));
    };
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
        return Err(("a host that nothing can be sent to", FORM));
    }
    let login = login(&url)?;
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(("a host that is no URL", FORM));
    }
    if url.as_str().parse::<http::Uri>().is_err() {
        return Err(("a URL that HTTP cannot carry", "shorten it, and percent-encode what is odd"));
    }
    Ok((url, login))
}

fn login(url: &Url) -> Result<Option<Secret>, Fault> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    if user.contains(&b':') {
        return Err(("a user with a `:` in the name", "use another: Basic cannot carry it"));
    }
    let password = percent_decode_str(url.password().unwrap_or_default());
    let pair: Vec<u8> = user.into_iter().chain([b':']).chain(password).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Ok(Some(Secret::new(format!("Basic {encoded}"))))
}

/// Headers that belong to the connection, or to the length of what is sent on it.
const OWNED_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers(
    spec: &BackendSpec,
    login: Option<Secret>,
    scope: &mut Scope<'_, '_>,
) -> Vec<(String, Secret)> {
    let mut headers: BTreeMap<String, (Span, Secret)> = BTreeMap::new();
    for (name, value) in spec.headers.iter().flat_map(Spanned::get_ref) {
        let Some(header) = header_name(name, scope) else { continue };
        if HeaderValue::from_bytes(value.get_ref().as_bytes()).is_err() {
            scope.report.spoil(
                &value.span(),
                format!("the value of {} has a control character", quoted(name.get_ref())),
                "remove it: a header is one line of text",
            );
        }
        let new = (name.span(), Secret::new(value.get_ref().as_str()));
        match headers.get(&header).map(|(span, _)| span.clone()) {
            // What the agent's file says wins over what it inherits in other letters.
            Some(other) if scope.is_inherited(&other) => {
                headers.insert(header, new);
            }
            Some(_) if scope.is_inherited(&name.span()) => {}
            Some(_) => scope.report.error(
                &name.span(),
                format!("the header {} is set twice", quoted(&header)),
                "keep one: the names of headers have no case",
            ),
            None => {
                headers.insert(header, new);
            }
        }
    }
    let mut headers: Vec<(String, (Span, Secret))> = headers.into_iter().collect();
    if let Some(login) = login {
        match headers.iter().find(|(name, _)| name == "authorization") {
            Some((_, (span, _))) => scope.report.error(
                &span.clone(),
                "`authorization` is set, and the host's URL has a user and a password",
                "keep one of them",
            ),
            None => headers.push(("authorization".to_owned(), (0..0, login))),
        }
    }
    headers.into_iter().map(|(name, (_, value))| (name, value)).collect()
}

fn header_name(name: &Spanned<String>, scope: &mut Scope<'_, '_>) -> Option<String> {
    let shown = quoted(name.get_ref());
    let Ok(header) = HeaderName::from_bytes(name.get_ref().as_bytes()) else {
        scope.report.error(
            &name.span(),
            format!("{shown} is no name of a header"),
            "use letters, digits and `-`",
        );
        return None;
    };
    if OWNED_HEADERS.contains(&header.as_str()) {
        scope.report.error(
            &name.span(),
            format!("the header {shown} belongs to the connection"),
            "remove it: it is set as the request needs it",
        );
        return None;
    }
    Some(header.as_str().to_owned())
}

fn status(spec: &BackendSpec, scope: &mut Scope<'_, '_>) -> StatusPolicy {
    let Some(spec) = spec.status.as_ref().map(Spanned::get_ref) else {
        return StatusPolicy::default();
    };
    let lists = [
        (&spec.success, Meaning::Success),
        (&spec.retry, Meaning::Retry),
        (&spec.dead_letter, Meaning::DeadLetter),
        (&spec.pause, Meaning::Pause),
    ];
    let stated = lists.iter().flat_map(|(list, meaning)| {
        // There are no more codes and classes than that.
        let entries = list.iter().flat_map(|list| list.get_ref().iter().take(505));
        entries.map(|entry| (entry, *meaning))
    });
    // Inherited ones first, so that the agent's own win.
    let (inherited, own): (Vec<_>, Vec<_>) =
        stated.partition(|(entry, _)| scope.is_inherited(&entry.span()));
    for group in [&inherited, &own] {
        twice(group, scope);
    }
    let rules: Vec<(StatusPattern, Meaning)> = inherited
        .iter()
        .chain(&own)
        .map(|(entry, meaning)| (entry.get_ref().0, *meaning))
        .collect();
    StatusPolicy::new(&rules)
}

fn twice(entries: &[(&Spanned<StatusEntry>, Meaning)], scope: &mut Scope<'_, '_>) {
    for (at, (entry, meaning)) in entries.iter().enumerate() {
        let mut before = entries[..at].iter();
        if before.any(|(other, said)| other.get_ref() == entry.get_ref() && said != meaning) {
            scope.report.spoil(
                &entry.span(),
                format!("{} is in two lists", entry.get_ref()),
                "keep it in the one that it belongs to",
            );
        }
    }
}
