//! RabbitMQ's management interface, over HTTP/1.0 on a connection for each request.
//!
//! Blocking and without a client library, so that `Drop` can use it too. Its figures lag by up
//! to a second (`collect_statistics_interval`): look at them with
//! [`eventually`](super::wait::eventually).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// A request that takes longer has failed: the node is paused, or worse.
const TIMEOUT: Duration = Duration::from_secs(20);

/// `guest:guest`.
const AUTHORIZATION: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// The management interface of one node.
#[derive(Debug, Clone)]
pub struct Management {
    /// On the loopback interface.
    pub port: u16,
}

impl Management {
    /// GET, which must succeed.
    pub fn get(&self, path: &str) -> Value {
        self.must("GET", path, None)
    }

    /// GET; `None` when there is no such thing (yet).
    pub fn find(&self, path: &str) -> Option<Value> {
        let (status, body) = self.request("GET", path, None).ok()?;
        (status == 200).then(|| serde_json::from_str(&body).ok()).flatten()
    }

    /// PUT, which must succeed.
    pub fn put(&self, path: &str, body: &Value) {
        self.must("PUT", path, Some(body));
    }

    /// POST, which must succeed.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.must("POST", path, Some(body))
    }

    /// DELETE, which must succeed.
    pub fn delete(&self, path: &str) {
        self.must("DELETE", path, None);
    }

    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        match self.request(method, path, body) {
            Ok((200..=299, text)) => serde_json::from_str(&text).unwrap_or(Value::Null),
            Ok((status, text)) => panic!("{method} {path} {body:?}: {status} {text}"),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// The status and the body.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<(u16, String)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} /api/{path} HTTP/1.0\r\nAuthorization: {AUTHORIZATION}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).ok_or_else(|| io::Error::other(format!("not an answer: {answer}")))
    }
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// `name` as one segment of a path.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
