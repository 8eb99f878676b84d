//! `management` of `["async/amqp"]`: where the audit at the start asks about the queue.
//!
//! No message shows any of an address: it holds a password.

use percent_encoding::percent_decode_str;
use toml::Spanned;
use url::Url;

use super::Scope;
use super::tls::TlsFiles;
use crate::config::definition::ManagementAddress;
use crate::config::spec::AmqpSpec;
use crate::secret::Secret;
use crate::tls::TlsSettings;

/// The addresses, in the order in which they are tried.
pub(super) fn management(amqp: &AmqpSpec, scope: &mut Scope<'_, '_>) -> Vec<ManagementAddress> {
    const ADDRESSES_MAX: usize = 100;
    let Some(key) = &amqp.management else {
        return Vec::new();
    };
    let addresses = key.get_ref().each(&key.span());
    if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
        scope.report.error(
            &key.span(),
            format!("`management` lists {} addresses", addresses.len()),
            format!("list 1 to {ADDRESSES_MAX}, or remove it"),
        );
    }
    let mut read = Vec::new();
    for (span, text) in addresses.into_iter().take(ADDRESSES_MAX) {
        match address(text) {
            Ok(address) => read.push(address),
            Err((problem, remedy)) => scope.report.spoil(&span, problem, remedy),
        }
    }
    if read.iter().any(|address| address.url.scheme() == "https") {
        let tls = TlsFiles::of(amqp.tls.as_ref().map(Spanned::get_ref)).load(scope);
        for address in read.iter_mut().filter(|address| address.url.scheme() == "https") {
            address.tls = tls.clone();
        }
    }
    read
}

type Fault = (&'static str, &'static str);

fn address(text: &str) -> Result<ManagementAddress, Fault> {
    const FORM: &str =
        "write http://USER:PASSWORD@HOST:15672, or https:// and the port for TLS, such as 15671";
    const ODD: Fault = ("a management address that HTTP cannot carry", FORM);
    if text.contains(|c: char| c.is_control() || c == ' ' || c == '\\') {
        return Err((
            "a management address with a space, a backslash or a control character",
            FORM,
        ));
    }
    let rest = text.split_once("://").and_then(|(scheme, rest)| {
        let schemes = ["http", "https"];
        schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)).then_some(rest)
    });
    let Some(rest) = rest else {
        return Err(("a management address that is neither http nor https", FORM));
    };
    if rest.contains(['?', '#']) {
        return Err((
            "a management address with a query or a fragment",
            "remove it, and percent-encode `?` and `#` in the password",
        ));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err((
            "a management address without a port, 1 to 65535, after its host",
            "add it: RabbitMQ's is 15672, and with TLS 15671; percent-encode `/` in the password",
        ));
    }
    if host.is_empty() {
        return Err(("a management address without a host", FORM));
    }
    let mut url = Url::parse(text).map_err(|_| ODD)?;
    let (username, password) = login(&url)?;
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| ODD)?;
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/api") {
        return Err(("a management address with `/api` in it", "end it before: it is added"));
    }
    url.set_path(&format!("{path}/"));
    if url.as_str().parse::<http::Uri>().is_err() {
        return Err(ODD);
    }
    Ok(ManagementAddress { url, username, password, tls: TlsSettings::default() })
}

/// The user and the password; RabbitMQ's own where none is named, as in a broker URI.
fn login(url: &Url) -> Result<(String, Secret), Fault> {
    const GUEST: &str = "guest";
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(std::borrow::Cow::into_owned)
            .map_err(|_| ("the user or the password is not UTF-8", "percent-encode its UTF-8 form"))
    };
    let username = if url.username().is_empty() { GUEST } else { url.username() };
    let username = decoded(username)?;
    if username.contains(':') {
        return Err(("a user with a `:` in the name", "use another: Basic cannot carry it"));
    }
    Ok((username, Secret::new(decoded(url.password().unwrap_or(GUEST))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_without_its_login() {
        for (text, url, username, password) in [
            ("http://guest:guest@localhost:15672", "http://localhost:15672/", "guest", "guest"),
            ("HTTPS://u:p%40%3A@[::1]:15671/", "https://[::1]:15671/", "u", "p@:"),
            ("http://localhost:15672", "http://localhost:15672/", "guest", "guest"),
            ("http://u:@h:80", "http://h/", "u", "guest"),
            ("http://u:p@h:1/rabbit/", "http://h:1/rabbit/", "u", "p"),
        ] {
            let address = address(text).unwrap();
            assert_eq!(address.url.as_str(), url);
            assert_eq!(
                (address.username.as_str(), address.password.expose()),
                (username, password)
            );
        }
    }
}
