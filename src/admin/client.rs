//! Asks a running daemon: one request on a connection of its own.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::listen::Stream;

/// More than a daemon with ten thousand agents has to say.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a daemon answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its Unix socket.
    Socket(PathBuf),
    /// A name or address with a port.
    Tcp(String),
}

impl Place {
    /// That of an address to listen on; where that is every address, this machine's own.
    pub(crate) fn listening(address: SocketAddr) -> Self {
        let mut address = address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Self::Tcp(address.to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(formatter),
            Self::Tcp(address) => write!(formatter, "http://{address}"),
        }
    }
}

/// What the daemon said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why it said nothing.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// Nobody is there.
    Absent(Place, io::Error),
    /// The socket is not for this user.
    Forbidden(PathBuf),
    /// It took longer than this.
    Silent(Place, Duration),
    /// What came is no answer.
    Garbled(Place, String),
}

impl fmt::Display for Unheard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(Place::Socket(path), error) if error.kind() == ErrorKind::NotFound => {
                write!(
                    formatter,
                    "no daemon answers: there is no socket {}; is the daemon running (systemctl status amqp-agentd), and is its socket elsewhere (--socket, or --config with its main file)?",
                    path.display()
                )
            }
            Self::Absent(place, error) => write!(
                formatter,
                "no daemon answers at {place}: {error}; is it running? systemctl status amqp-agentd"
            ),
            Self::Forbidden(path) => {
                let who = owners(path).unwrap_or_else(|| "its user and group".to_owned());
                write!(
                    formatter,
                    "not allowed to use {}: it is for {who}; ask as that user or root (sudo), or as one of that group",
                    path.display()
                )
            }
            Self::Silent(place, max) => write!(
                formatter,
                "the daemon at {place} does not answer within {} s: it hangs or is overloaded; its log may say why",
                max.as_secs()
            ),
            Self::Garbled(place, what) => {
                write!(formatter, "what answers at {place} is not understood: {what}")
            }
        }
    }
}

/// Sends one request and waits for the whole answer for as long as `max`.
///
/// # Errors
/// Where no answer came.
pub(crate) async fn ask(
    place: &Place,
    method: Method,
    path: &str,
    max: Duration,
) -> Result<Answer, Unheard> {
    let silent = |_| Unheard::Silent(place.clone(), max);
    timeout(max, converse(place, method, path)).await.map_err(silent)?
}

async fn converse(place: &Place, method: Method, path: &str) -> Result<Answer, Unheard> {
    let stream = connect(place).await?;
    let garbled = |what: &dyn fmt::Display| Unheard::Garbled(place.clone(), what.to_string());
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| garbled(&error))?;
    let host = match place {
        Place::Socket(_) => "localhost",
        Place::Tcp(address) => address,
    };
    let request = Request::builder().method(method).uri(path).header(HOST, host);
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| garbled(&error))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| garbled(&error))?.to_bytes();
        Ok(Answer { status: head.status, body })
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // An end of the connection is no end of what has come already.
        _ = connection => answered.await,
    }
}

async fn connect(place: &Place) -> Result<Box<dyn Stream>, Unheard> {
    let stream: io::Result<Box<dyn Stream>> = match place {
        Place::Socket(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
        Place::Tcp(address) => {
            TcpStream::connect(address).await.map(|stream| Box::new(stream) as _)
        }
    };
    stream.map_err(|error| match place {
        Place::Socket(path) if error.kind() == ErrorKind::PermissionDenied => {
            Unheard::Forbidden(path.clone())
        }
        Place::Socket(_) | Place::Tcp(_) => Unheard::Absent(place.clone(), error),
    })
}

/// User and group of the socket; of its directory where even that cannot be looked into.
fn owners(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.symlink_metadata().or_else(|_| path.parent().unwrap_or(path).metadata());
    let metadata = metadata.ok()?;
    let user = name_in("/etc/passwd", metadata.uid());
    let group = name_in("/etc/group", metadata.gid());
    Some(format!("user {user} and group {group}"))
}

/// The name of a user or group by its number, as far as the file knows it; else the number.
fn name_in(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_users_and_groups_are_told_by_name() {
        assert_eq!(name_in("/etc/passwd", 0), "root");
        assert_eq!(name_in("/etc/group", 0), "root");
        assert_eq!(name_in("/nowhere", 7), "7");
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        let place = |address: &str| Place::listening(address.parse().unwrap()).to_string();
        assert_eq!(place("0.0.0.0:9672"), "http://127.0.0.1:9672");
        assert_eq!(place("[::]:9672"), "http://[::1]:9672");
        assert_eq!(place("10.0.0.1:9672"), "http://10.0.0.1:9672");
    }
}
