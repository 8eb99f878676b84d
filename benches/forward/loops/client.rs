//! Two ways to send a request.

use std::cell::RefCell;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HOST;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use crate::Failure;

/// Sends bodies to one place.
pub trait Client {
    /// Was it a 2xx?
    async fn send(&self, body: Vec<u8>) -> Result<bool, Failure>;
}

/// reqwest as it comes.
#[derive(Clone)]
pub struct Reqwest {
    client: reqwest::Client,
    url: Url,
}

impl Reqwest {
    pub fn new(url: &str) -> Result<Reqwest, Failure> {
        // A second time changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Reqwest { client, url: Url::parse(url)? })
    }

    pub async fn post(&self, body: Vec<u8>) -> Result<bool, Failure> {
        let reply = self.client.post(self.url.clone()).body(body).send().await?;
        let is_success = reply.status().is_success();
        reply.bytes().await?;
        Ok(is_success)
    }
}

impl Client for Reqwest {
    async fn send(&self, body: Vec<u8>) -> Result<bool, Failure> {
        self.post(body).await
    }
}

/// hyper's own connections, the one used last taken first.
pub struct Connections {
    url: Url,
    address: SocketAddr,
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
    tasks: RefCell<JoinSet<()>>,
}

impl Connections {
    pub fn new(url: &str) -> Result<Connections, Failure> {
        let url = Url::parse(url)?;
        let address = *url.socket_addrs(|| None)?.first().ok_or("the sink's URL has no address")?;
        let (idle, tasks) = (RefCell::default(), RefCell::default());
        Ok(Connections { url, address, idle, tasks })
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let idle = self.idle.borrow_mut().pop();
        if let Some(connection) = idle.filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.tasks.borrow_mut().spawn(async move {
            // Whoever uses it hears of its end.
            connection.await.ok();
        });
        Ok(sender)
    }
}

impl Client for Connections {
    async fn send(&self, body: Vec<u8>) -> Result<bool, Failure> {
        let mut connection = self.connection().await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.path())
            .header(HOST, self.url.authority())
            .body(Full::new(Bytes::from(body)))?;
        connection.ready().await?;
        let reply = connection.send_request(request).await?;
        let is_success = reply.status().is_success();
        reply.into_body().collect().await?;
        self.idle.borrow_mut().push(connection);
        Ok(is_success)
    }
}
