//! What a request that brought no reply ran into, read from the library's errors.

use std::error::Error;
use std::io;

use rustls::AlertDescription;

use crate::outcome::{NotSent, Reply, Unanswered};

/// The most characters of a cause that are kept.
const TEXT_CHARS_MAX: usize = 200;

/// What `error` says of a request to `authority`; `begun` as in
/// [`Begun`](super::content::Begun), `secure` where TLS is spoken.
pub(super) fn reply(error: &reqwest::Error, begun: bool, secure: bool, authority: &str) -> Reply {
    let text = format!("{authority}: {}", cause_text(error));
    if !begun {
        return Reply::NotSent(not_sent(error, secure), text);
    }
    if causes(error).any(refuses_us) {
        return Reply::NotSent(NotSent::Tls, text);
    }
    let garbage = causes(error).any(is_garbage);
    Reply::Unanswered(if garbage { Unanswered::Garbage } else { Unanswered::Reset }, text)
}

fn not_sent(error: &reqwest::Error, secure: bool) -> NotSent {
    let io_kinds =
        || causes(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    if error.is_dns() {
        NotSent::Dns
    } else if causes(error).any(|cause| cause.is::<rustls::Error>() || refuses_us(cause)) {
        NotSent::Tls
    } else if error.is_timeout() {
        NotSent::ConnectTimeout
    } else if secure && io_kinds().any(ends_a_handshake) {
        NotSent::Tls
    } else {
        NotSent::Connect
    }
}

/// How a TCP connection ends that was there already: its peer did not like the handshake.
fn ends_a_handshake(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// The alerts of a server that does not accept who we are.
///
/// In TLS 1.3 a client may send before the server has judged its certificate, so the refusal
/// comes as an alert after the request. A server takes no request before that judgement
/// (RFC 8446, section 4.4), so nothing has arrived.
const REFUSALS: [AlertDescription; 9] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::CertificateRequired,
    AlertDescription::HandshakeFailure,
];

/// Compares the text: HTTP/2 keeps nothing else of an error below it.
fn refuses_us(cause: &(dyn Error + 'static)) -> bool {
    let text = cause.to_string();
    REFUSALS.iter().any(|alert| rustls::Error::AlertReceived(*alert).to_string() == text)
}

/// Whether what came breaks HTTP: a head that cannot be parsed or is too long, HTTP/2 frames
/// that this side rejects.
fn is_garbage(cause: &(dyn Error + 'static)) -> bool {
    let head = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
    let frames = cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_library);
    head || frames
}

/// The innermost cause in a line: no URL, which may hold secrets in its query, and no control
/// characters, which a peer may send to deceive a reader of the log.
pub(super) fn cause_text(error: &reqwest::Error) -> String {
    let text = causes(error).last().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_CHARS_MAX).collect()
}

/// The causes of an error, outermost first, without the error itself, whose text has the URL.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| inner(*cause))
}

/// The next cause. An I/O error that wraps another error calls that one's cause its own, and so
/// hides the one between.
fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}
