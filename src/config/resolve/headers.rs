//! `headers` of a backend: what may be sent with a request.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use toml::Spanned;

use super::Scope;
use crate::config::report::quoted;
use crate::config::source_map::Span;
use crate::config::spec::BackendSpec;
use crate::secret::Secret;

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

/// The headers by name, and `login` as one more.
pub(super) fn headers(
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
