//! `host` and `url_pattern` of a backend: URLs that can be sent to.

use base64::Engine as _;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Scope;
use super::backend::MANY;
use crate::config::source_map::Span;
use crate::config::spec::BackendSpec;
use crate::secret::Secret;

/// The URLs, and what to log in with if they say so.
pub(super) fn urls(
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
