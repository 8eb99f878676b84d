//! Scripted servers and the definitions that lead to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use amqp_agentd::backend::{Answer, Backend, Clients};
use amqp_agentd::broker::properties::PropertiesBuilder;
use amqp_agentd::config::definition::{BackendDefinition, Http2};
use amqp_agentd::delivery::Message;
use amqp_agentd::outcome::{Reply, StatusPolicy};
use amqp_agentd::tls::TlsSettings;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) fn url(listener: &TcpListener) -> String {
    format!("http://{}/orders?token=hunter2", listener.local_addr().unwrap())
}

/// A place where nobody listens, and that nobody else is given while this lives.
pub(crate) struct Nobody(TcpSocket);

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }
}

/// Lets time pass at once. A clock that stayed stopped would run ahead of what the network carries.
pub(crate) async fn leap(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) fn definition(urls: &[&str]) -> BackendDefinition {
    BackendDefinition {
        name: Arc::from("orders"),
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        method: "POST".to_owned(),
        headers: Vec::new(),
        timeout: Duration::from_secs(30),
        required: true,
        status: StatusPolicy::default(),
        tls: TlsSettings::default(),
        http2: Http2::Negotiate,
        path_is_secret: false,
    }
}

/// A backend that goes straight to its hosts whatever the environment says.
pub(crate) fn make(definition: &BackendDefinition) -> Backend {
    Backend::new(definition, &mut Clients::without_proxies()).unwrap()
}

pub(crate) fn backend(listener: &TcpListener) -> Backend {
    make(&definition(&[&url(listener)]))
}

pub(crate) fn message(body: impl Into<Bytes>) -> Message {
    Message {
        exchange: "shop".to_owned(),
        routing_key: "order.created".to_owned(),
        redelivered: false,
        properties: PropertiesBuilder::default().message_id("m-1").build(),
        body: body.into(),
    }
}

pub(crate) async fn send(backend: &Backend, body: impl Into<Bytes>) -> Answer {
    backend.send(backend.request(&message(body), 1).unwrap()).await
}

pub(crate) fn status(reply: &Reply) -> Option<u16> {
    match reply {
        Reply::Answered { status, .. } => Some(*status),
        Reply::NotSent(..) | Reply::Unanswered(..) | Reply::Impossible(_) => None,
    }
}

pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

/// Accepts one connection, reads a request, answers with `reply` and keeps the connection.
pub(crate) async fn answer_once(listener: &TcpListener, reply: &str) -> (TcpStream, Request) {
    let mut stream = accept(listener).await;
    let request = read_request(&mut stream).await.unwrap();
    stream.write_all(reply.as_bytes()).await.unwrap();
    (stream, request)
}

/// A request as it came over HTTP/1.1.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The lines of the head after the first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.head.trim_end().split("\r\n").skip(1)
    }
}

/// Reads a request with its body; `None` when the connection ends before one begins.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return None,
            Err(error) => panic!("the request's head ends early: {error}"),
        }
    }
    let mut request = Request { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.unwrap();
    Some(request)
}

/// Reads whatever comes until the peer closes.
pub(crate) async fn drain(stream: &mut TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
