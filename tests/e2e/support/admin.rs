//! The admin interface, as a client sees it that writes and reads octets itself.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::wait::{POLL, within};

/// A connection, by either door.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a daemon answers.
#[derive(Debug, Clone)]
pub enum Admin {
    Socket(PathBuf),
    /// Address and port.
    Tcp(String),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body, which has to be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Admin {
    pub fn at(path: impl AsRef<Path>) -> Admin {
        Admin::Socket(path.as_ref().to_owned())
    }

    pub async fn connect(&self) -> Box<dyn Stream> {
        match self {
            Admin::Socket(path) => Box::new(UnixStream::connect(path).await.unwrap()),
            Admin::Tcp(address) => Box::new(TcpStream::connect(address).await.unwrap()),
        }
    }

    /// Sends `octets` on a connection of their own, and reads until the daemon closes it.
    pub async fn send(&self, octets: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // Who is refused early may not be read to the end.
        stream.write_all(octets.as_ref()).await.ok();
        read_to_end(stream.as_mut()).await
    }

    pub async fn ask_with(&self, method: &str, path: &str, headers: &str) -> Answer {
        let host = match self {
            Admin::Socket(_) => "localhost",
            Admin::Tcp(address) => address,
        };
        let host =
            if headers.contains("Host: ") { String::new() } else { format!("Host: {host}\r\n") };
        let text = self
            .send(format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n"))
            .await;
        parse(&text)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask_with("GET", path, "").await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.ask_with("POST", path, "").await
    }

    /// Asks until the answer is as wanted.
    pub async fn wait_for(
        &self,
        path: &str,
        what: &str,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        within(what, async {
            loop {
                let answer = self.get(path).await;
                if is_wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(POLL).await;
            }
        })
        .await
    }

    /// Waits until the agent of this name is in this state.
    pub async fn wait_for_state(&self, agent: &str, state: &str) -> Value {
        let path = format!("/agents/{agent}");
        let what = format!("{agent} is {state}");
        self.wait_for(&path, &what, |answer| {
            answer.status == 200 && answer.json()["state"] == state
        })
        .await
        .json()
    }
}

/// What comes until the end, which a reset is too.
pub async fn read_to_end(stream: &mut dyn Stream) -> String {
    let mut octets = Vec::new();
    within("the end of an answer", stream.read_to_end(&mut octets)).await.ok();
    String::from_utf8(octets).unwrap()
}

/// The one answer that `text` is.
pub fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {text:?}"));
    let head = head.replace("\r\n", "\n").to_lowercase();
    Answer { status, head, body: body.to_owned() }
}
