//! Who comes through which door, and what they may do: pure.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, StatusCode};

use super::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The way that a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// By the Unix socket: whoever the socket's permissions let in may do everything.
    Unix,
    /// By TCP, where nobody says who they are.
    Tcp {
        /// On an address that only this machine reaches.
        loopback: bool,
        /// The main file says `allow_control = true`.
        allow_control: bool,
    },
}

impl Door {
    /// Why a request with these headers is not answered at all.
    ///
    /// A page of another site can make a browser ask this machine under a name of that site's own
    /// (DNS rebinding), and read the answer. So on loopback the host has to be named by an address.
    pub(super) fn refuses(self, headers: &HeaderMap) -> Option<Problem> {
        match self {
            Self::Unix | Self::Tcp { loopback: false, .. } => None,
            Self::Tcp { loopback: true, .. } if names_no_other(headers) => None,
            Self::Tcp { loopback: true, .. } => Some(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "the Host header names another host; ask by address, such as http://127.0.0.1, or by localhost",
            )),
        }
    }

    /// Why a request with these headers may not change anything.
    pub(super) fn refuses_control(self, headers: &HeaderMap) -> Option<Problem> {
        let why = match self {
            Self::Tcp { allow_control: false, .. } => {
                "over TCP this interface is read-only; use the Unix socket, or set allow_control = true in [admin] of the main file"
            }
            Self::Tcp { allow_control: true, .. } if is_of_a_page(headers) => {
                "the request comes from a web page, by its Origin or Sec-Fetch-Site header: no page controls the daemon"
            }
            Self::Unix | Self::Tcp { allow_control: true, .. } => return None,
        };
        Some(Problem::new(StatusCode::FORBIDDEN, why))
    }
}

/// Whether `Host` is an address or `localhost`, or is not there, as in HTTP/1.0.
fn names_no_other(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else { return true };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let Some(authority) = authority else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    hosts.next().is_none()
        && (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

/// Whether a browser sent it for a page. Typed addresses and bookmarks say `none`.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let sites = headers.get_all(SEC_FETCH_SITE);
    headers.contains_key(ORIGIN) || sites.iter().any(|site| site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: Door = Door::Tcp { loopback: true, allow_control: true };
    const ABROAD: Door = Door::Tcp { loopback: false, allow_control: true };

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn on_loopback_a_host_of_another_name_is_refused() {
        for host in ["127.0.0.1:9672", "localhost", "LocalHost:1", "[::1]:9672", "10.0.0.1"] {
            assert_eq!(LOOPBACK.refuses(&headers(&[("host", host)])), None, "{host}");
        }
        assert_eq!(LOOPBACK.refuses(&headers(&[])), None);
        for host in ["evil.example", "localhost.evil.example:9672", "", "a b", "127.0.0.1.evil"] {
            let headers = headers(&[("host", host)]);
            assert_eq!(LOOPBACK.refuses(&headers).unwrap().status, 421, "{host}");
            assert_eq!(ABROAD.refuses(&headers), None, "{host}");
            assert_eq!(Door::Unix.refuses(&headers), None, "{host}");
        }
        let two = headers(&[("host", "localhost")]);
        let mut two = two;
        two.append(HOST, "evil.example".parse().unwrap());
        assert!(LOOPBACK.refuses(&two).is_some());
    }

    #[test]
    fn control_is_for_the_socket_and_for_tcp_where_it_is_allowed() {
        let read_only = Door::Tcp { loopback: true, allow_control: false };
        let plain = headers(&[("host", "localhost")]);
        assert_eq!(Door::Unix.refuses_control(&plain), None);
        assert_eq!(LOOPBACK.refuses_control(&plain), None);
        let problem = read_only.refuses_control(&plain).unwrap();
        assert_eq!(problem.status, 403);
        assert!(problem.detail.contains("allow_control"), "{}", problem.detail);
    }

    #[test]
    fn a_page_in_a_browser_controls_nothing() {
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9672"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-origin"),
        ] {
            let headers = headers(&[(name, value)]);
            assert_eq!(LOOPBACK.refuses_control(&headers).unwrap().status, 403, "{value}");
            assert_eq!(ABROAD.refuses_control(&headers).unwrap().status, 403, "{value}");
        }
        assert_eq!(LOOPBACK.refuses_control(&headers(&[("sec-fetch-site", "none")])), None);
    }
}
