//! Broker URIs: RabbitMQ's `amqp` scheme with the query keys of KrakenD's client.
//!
//! By hand, since the `url` crate normalises paths of schemes it does not know in its own way,
//! and a virtual host's name may be any bytes. No message shows more of a URI than its query's
//! keys: the rest may hold a password.

use std::net::Ipv6Addr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::tls::TlsFiles;
use super::{Scope, short_string};
use crate::config::definition::{AuthMechanism, BrokerAddress};
use crate::config::source_map::Span;
use crate::config::suggest::nearest;
use crate::secret::Secret;
use crate::tls::TlsSettings;

/// What applies to each broker unless its URI says otherwise.
pub(super) struct Common<'s> {
    /// Seconds.
    pub heartbeat_seconds: u16,
    /// For TCP, TLS and login together.
    pub connect_timeout: Duration,
    /// The `tls` table.
    pub tls_files: TlsFiles<'s>,
    /// The same, loaded.
    pub tls: TlsSettings,
}

/// The least heartbeat.
pub(super) const HEARTBEAT_SECONDS_MIN: u16 = 4;
/// Why not less; reads after the range.
pub(super) const HEARTBEAT_REASON: &str =
    ": less is lost to an ordinary pause, and 0 would never notice a dead broker";
/// The longest wait for a connection.
pub(super) const CONNECT_TIMEOUT_MAX: Duration = Duration::from_hours(1);

const QUERY_KEYS: [&str; 8] = [
    "heartbeat",
    "connection_timeout",
    "channel_max",
    "cacertfile",
    "certfile",
    "keyfile",
    "server_name_indication",
    "auth_mechanism",
];

/// What is wrong with a URI, and what to do.
type Fault = (String, String);

fn fault(problem: impl Into<String>, remedy: impl Into<String>) -> Fault {
    (problem.into(), remedy.into())
}

/// The broker that the URI `text` at `span` names.
pub(super) fn address(
    span: &Span,
    text: &str,
    common: &Common<'_>,
    scope: &mut Scope<'_, '_>,
) -> Option<BrokerAddress> {
    let parts = match split(text) {
        Ok(parts) => parts,
        Err((problem, remedy)) => {
            scope.report.spoil(span, problem, remedy);
            return None;
        }
    };
    short_string(span, "the virtual host", &parts.vhost, scope);
    let mut address = BrokerAddress {
        host: parts.host,
        port: parts.port,
        username: parts.username,
        password: Secret::new(parts.password),
        vhost: parts.vhost,
        auth: AuthMechanism::Plain,
        heartbeat_seconds: common.heartbeat_seconds,
        connect_timeout: common.connect_timeout,
        tls: None,
    };
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.query.as_bytes()).into_owned().collect();
    let mut files = parts.secure.then(|| common.tls_files.clone());
    for (key, value) in &pairs {
        if let Err((problem, remedy)) = apply(key, value, span, &mut address, &mut files, scope) {
            scope.report.error(span, problem, remedy);
        }
    }
    if let Some(files) = &files {
        let own = pairs.iter().any(|(key, _)| key.ends_with("file") || key.starts_with("server"));
        address.tls = Some(if own { files.load(scope) } else { common.tls.clone() });
    }
    let has_identity = address.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    if address.auth == AuthMechanism::External && !has_identity {
        scope.report.error(
            span,
            "auth_mechanism=external without a client certificate to log in with",
            "use amqps:// and set `tls` with `cert` and `key`",
        );
    }
    Some(address)
}

struct Parts<'u> {
    secure: bool,
    host: String,
    port: u16,
    username: String,
    password: String,
    vhost: String,
    query: &'u str,
}

fn split(text: &str) -> Result<Parts<'_>, Fault> {
    let form = "write amqp://USER:PASSWORD@HOST:PORT/VHOST";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(fault("a broker URI without a scheme", form));
    };
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "amqp" => false,
        "amqps" => true,
        _ => return Err(fault("the scheme of a broker URI is neither amqp nor amqps", form)),
    };
    if rest.contains('#') {
        return Err(fault(
            "a broker URI with a `#` in it",
            "percent-encode it as %23 if it belongs to the password or the virtual host",
        ));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, ""),
    };
    let (user, place) =
        authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    let (username, password) = match user {
        None => ("guest", None),
        Some(user) => user.split_once(':').map_or((user, None), |(name, word)| (name, Some(word))),
    };
    let (host, port) = host_and_port(place, if secure { 5671 } else { 5672 })?;
    let username = decoded(username, "the user")?;
    let password = decoded(password.unwrap_or("guest"), "the password")?;
    if username.contains('\0') || password.contains('\0') {
        return Err(fault("a NUL in the user or the password", "remove it: no login can carry it"));
    }
    let vhost = match path {
        "" => "/".to_owned(),
        path => decoded(path, "the virtual host")?,
    };
    Ok(Parts { secure, host, port, username, password, vhost, query })
}

fn host_and_port(place: &str, default: u16) -> Result<(String, u16), Fault> {
    let hint = "write HOST:PORT, and percent-encode `/`, `?`, `#` and `@` in the password";
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return Err(fault("a broker URI with `[` and no `]`", hint));
            };
            let Ok(address) = address.parse::<Ipv6Addr>() else {
                return Err(fault("what stands in brackets is no IPv6 address", hint));
            };
            let port = match after {
                "" => None,
                after => Some(
                    after
                        .strip_prefix(':')
                        .ok_or_else(|| fault("something else than a port after `]`", hint))?,
                ),
            };
            (address.to_string(), port)
        }
        None if place.matches(':').count() > 1 => {
            return Err(fault(
                "more than one `:` in the host of a broker URI",
                "put an IPv6 address in brackets, and percent-encode the password",
            ));
        }
        None => {
            let (host, port) =
                place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
            let host = if host.is_empty() { "localhost" } else { host };
            match url::Host::parse(&decoded(host, "the host")?) {
                Ok(url::Host::Ipv6(_)) | Err(_) => {
                    return Err(fault("the host of a broker URI is no name and no address", hint));
                }
                Ok(host @ (url::Host::Domain(_) | url::Host::Ipv4(_))) => (host.to_string(), port),
            }
        }
    };
    let digits = |port: &&str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None => default,
        Some(port) => match Some(port).filter(digits).and_then(|port| port.parse().ok()) {
            None | Some(0) => {
                return Err(fault("the port of a broker URI is not 1 to 65535", hint));
            }
            Some(port) => port,
        },
    };
    Ok((host, port))
}

fn decoded(text: &str, what: &str) -> Result<String, Fault> {
    let hex = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    if text.bytes().enumerate().any(|(at, byte)| byte == b'%' && !(hex(at + 1) && hex(at + 2))) {
        return Err(fault(
            format!("{what} of a broker URI has a `%` that two hexadecimal digits do not follow"),
            "write %25 for a literal `%`",
        ));
    }
    let bytes = percent_decode_str(text).decode_utf8();
    bytes.map(std::borrow::Cow::into_owned).map_err(|_| {
        fault(format!("{what} of a broker URI is not UTF-8"), "percent-encode its UTF-8 form")
    })
}

/// Applies `key=value` of the query.
fn apply<'s>(
    key: &str,
    value: &'s str,
    span: &Span,
    address: &mut BrokerAddress,
    files: &mut Option<TlsFiles<'s>>,
    scope: &mut Scope<'_, '_>,
) -> Result<(), Fault> {
    match key {
        "heartbeat" => {
            let seconds = value.parse().ok().filter(|seconds| *seconds >= HEARTBEAT_SECONDS_MIN);
            address.heartbeat_seconds = seconds.ok_or_else(|| {
                fault(
                    "heartbeat in a broker URI is not within limits",
                    format!("use {HEARTBEAT_SECONDS_MIN} to 65535 seconds{HEARTBEAT_REASON}"),
                )
            })?;
        }
        "connection_timeout" => {
            let millis = value.parse().ok().map(Duration::from_millis);
            let within = millis.filter(|time| !time.is_zero() && *time <= CONNECT_TIMEOUT_MAX);
            address.connect_timeout = within.ok_or_else(|| {
                fault(
                    "connection_timeout in a broker URI is not within limits",
                    format!("use 1 to {} milliseconds", CONNECT_TIMEOUT_MAX.as_millis()),
                )
            })?;
        }
        "channel_max" => scope.report.warning(
            span,
            "channel_max in a broker URI has no effect: an agent has few channels",
            "remove it",
        ),
        "auth_mechanism" => {
            address.auth = match value.to_ascii_lowercase().as_str() {
                "plain" => AuthMechanism::Plain,
                "amqplain" => AuthMechanism::AmqPlain,
                "external" => AuthMechanism::External,
                _ => {
                    return Err(fault(
                        "auth_mechanism in a broker URI is none that there is",
                        "use plain, amqplain or external",
                    ));
                }
            };
        }
        "cacertfile" | "certfile" | "keyfile" | "server_name_indication" => {
            let Some(files) = files else {
                return Err(fault(
                    format!("{key} in a broker URI that does not use TLS"),
                    "use amqps://, or remove it",
                ));
            };
            let slot = match key {
                "cacertfile" => &mut files.ca,
                "certfile" => &mut files.cert,
                "keyfile" => &mut files.key,
                _ => &mut files.server_name,
            };
            *slot = Some((span.clone(), value));
        }
        "verify" => {
            return Err(fault(
                "verify in a broker URI is not taken: a server is always verified",
                "remove it, and trust a server of your own by cacertfile",
            ));
        }
        _ => return Err(unknown(key, span, scope)),
    }
    Ok(())
}

fn unknown(key: &str, span: &Span, scope: &Scope<'_, '_>) -> Fault {
    // Anything else may be the rest of a password with a `?` in it.
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return fault(
            "a broker URI with a query that says nothing",
            "write key=value, and percent-encode a `?` in the password as %3F",
        );
    }
    let shown = scope.report.quote(span, key);
    let remedy = match nearest(key, &QUERY_KEYS).filter(|_| !scope.report.is_concealed(span)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("remove it; the keys are {}", QUERY_KEYS.join(", ")),
    };
    fault(format!("unknown key {shown} in the query of a broker URI"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, u16, String, String, String) {
        let parts = split(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        (parts.host, parts.port, parts.username, parts.password, parts.vhost)
    }

    fn expected(
        host: &str,
        port: u16,
        user: &str,
        password: &str,
        vhost: &str,
    ) -> (String, u16, String, String, String) {
        (host.into(), port, user.into(), password.into(), vhost.into())
    }

    #[test]
    fn uris_are_read_as_krakend_reads_them() {
        for (text, parts) in [
            ("amqp://", expected("localhost", 5672, "guest", "guest", "/")),
            ("amqp://h", expected("h", 5672, "guest", "guest", "/")),
            ("amqp://h/", expected("h", 5672, "guest", "guest", "/")),
            ("amqp://h/%2f", expected("h", 5672, "guest", "guest", "/")),
            ("amqps://h", expected("h", 5671, "guest", "guest", "/")),
            ("AMQP://H.Example:1/v", expected("h.example", 1, "guest", "guest", "v")),
            ("amqp://u@h", expected("h", 5672, "u", "guest", "/")),
            ("amqp://u:@h", expected("h", 5672, "u", "", "/")),
            ("amqp://u:p%40%2F%3A@h", expected("h", 5672, "u", "p@/:", "/")),
            ("amqp://u:p@q:r@h", expected("h", 5672, "u", "p@q:r", "/")),
            ("amqp://[::1]:5673/x", expected("::1", 5673, "guest", "guest", "x")),
            ("amqp://[fe80::1]", expected("fe80::1", 5672, "guest", "guest", "/")),
            ("amqp://10.0.0.1", expected("10.0.0.1", 5672, "guest", "guest", "/")),
            ("amqp://rabbit_mq/a/b", expected("rabbit_mq", 5672, "guest", "guest", "a/b")),
            ("amqp://h/%20%C3%BC%3F%23%25", expected("h", 5672, "guest", "guest", " \u{fc}?#%")),
            ("amqp://h/v?heartbeat=5", expected("h", 5672, "guest", "guest", "v")),
            ("amqp://h?heartbeat=5", expected("h", 5672, "guest", "guest", "/")),
        ] {
            assert_eq!(read(text), parts, "{text}");
        }
    }

    #[test]
    fn uris_that_lead_nowhere_are_refused_and_never_shown() {
        for text in [
            "",
            "hunter2",
            "h:5672",
            "http://u:hunter2@h",
            "amqp://u:hunter2/@h",
            "amqp://h:0",
            "amqp://h:65536",
            "amqp://h:",
            "amqp://h:+1",
            "amqp://::1:5672",
            "amqp://[::1",
            "amqp://[h]",
            "amqp://[::1]x",
            "amqp://u:%zz@h",
            "amqp://u:hunter2%f@h",
            "amqp://h/%ff",
            "amqp://a b",
            "amqp://u:hunter#2@h",
            "amqp://u:%00hunter2@h",
        ] {
            let Err((problem, remedy)) = split(text) else { panic!("{text} was taken") };
            assert!(!problem.contains("hunter") && !remedy.contains("hunter"), "{problem}");
        }
    }
}
