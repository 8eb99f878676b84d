//! An HTTP backend that records what it is sent and replies as it is told.
//!
//! Written on bare TCP: it sees the octets of a head as they were sent, and can break the
//! protocol wherever a test wants it broken.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::Port;
use super::reply::{Action, Reply};
use super::wait::DEADLINE;

/// A backend on a port of its own.
pub struct Backend {
    port: Port,
    script: Arc<Script>,
    server: JoinSet<()>,
}

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// 1 for the first that this backend saw.
    pub number: usize,
    /// Which of the backend's connections it came on, from 1.
    pub connection: usize,
    /// As in the request line.
    pub method: String,
    /// With the query, as in the request line.
    pub path: String,
    /// In order, names as they were written, values with octets that are not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the one header of that name; `None` when there is none, a panic when several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} comes more than once: {:?}", self.headers);
        value
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What has come so far, and what to do about it.
struct Script {
    seen: watch::Sender<Seen>,
    reply: Mutex<Replier>,
}

type Replier = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    connections: usize,
    in_flight: usize,
    in_flight_max: usize,
}

impl Backend {
    /// A backend that answers 204 to everything, until told otherwise.
    pub fn start() -> Backend {
        Backend::replying(|_| Reply::status(204))
    }

    /// A backend that replies as `reply` says.
    pub fn replying(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Backend {
        let mut backend = Backend::refusing();
        backend.reply_with(reply);
        backend.listen();
        backend
    }

    /// A backend that refuses connections until it is told to [`listen`](Self::listen).
    pub fn refusing() -> Backend {
        let reply: Replier = Arc::new(|_| Reply::status(204));
        let script = Script { seen: watch::Sender::default(), reply: Mutex::new(reply) };
        Backend { port: Port::take(), script: Arc::new(script), server: JoinSet::new() }
    }

    /// Replies like this to all that is read from now on.
    pub fn reply_with(&self, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.script.reply.lock().unwrap() = Arc::new(reply);
    }

    /// Takes connections (again).
    pub fn listen(&mut self) {
        let (listener, script) = (self.port.listen(), Arc::clone(&self.script));
        self.server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a listener goes on listening");
                connections.spawn(serve(stream, Arc::clone(&script)));
                while connections.try_join_next().is_some() {}
            }
        });
    }

    /// Ends all connections, and refuses further ones.
    pub async fn refuse(&mut self) {
        self.server.shutdown().await;
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What an agent file names it by.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// All that came so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.script.seen.borrow().requests.clone()
    }

    /// Requests without a reply at this moment.
    pub fn in_flight(&self) -> usize {
        self.script.seen.borrow().in_flight
    }

    /// The most requests that ever were without a reply.
    pub fn in_flight_max(&self) -> usize {
        self.script.seen.borrow().in_flight_max
    }

    /// The connections that ever were.
    pub fn connections(&self) -> usize {
        self.script.seen.borrow().connections
    }

    /// Waits until `count` requests have come, and gives all there are.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait_until(&format!("{count} requests"), |requests| requests.len() >= count).await
    }

    /// Waits until the requests that have come are as `are` wants them.
    pub async fn wait_until(&self, what: &str, are: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        self.wait(what, |seen| are(&seen.requests)).await
    }

    /// Waits until exactly `count` requests are without a reply.
    pub async fn wait_for_in_flight(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} in flight"), |seen| seen.in_flight == count).await
    }

    async fn wait(&self, what: &str, is: impl Fn(&Seen) -> bool) -> Vec<Request> {
        let mut seen = self.script.seen.subscribe();
        let waited = tokio::time::timeout(DEADLINE, seen.wait_for(is)).await;
        let reached = waited.is_ok();
        drop(waited);
        let requests = self.requests();
        if !reached {
            let last: Vec<_> = requests.iter().rev().take(5).map(brief).collect();
            panic!(
                "backend waited in vain for {what}: {} requests, {} in flight, {} connections; \
                 the last, newest first: {last:#?}",
                requests.len(),
                self.in_flight(),
                self.connections(),
            );
        }
        requests
    }
}

fn brief(request: &Request) -> String {
    let Request { number, method, path, body, headers, .. } = request;
    format!("{number}: {method} {path} {headers:?} {} octets", body.len())
}

/// Serves one connection until either side ends it.
async fn serve(stream: TcpStream, script: Arc<Script>) {
    let mut connection = 0;
    script.seen.send_modify(|seen| {
        seen.connections += 1;
        connection = seen.connections;
    });
    let mut stream = BufReader::new(stream);
    while let Some(mut request) = read_request(&mut stream).await {
        request.connection = connection;
        let in_flight = InFlight::enter(&script, &mut request);
        let reply = Arc::clone(&*script.reply.lock().unwrap())(&request);
        let goes_on = send(&mut stream, reply).await;
        drop(in_flight);
        if !goes_on {
            return;
        }
    }
}

/// Counts a request as without reply for as long as it lives.
struct InFlight<'a>(&'a Script);

impl<'a> InFlight<'a> {
    fn enter(script: &'a Script, request: &mut Request) -> InFlight<'a> {
        script.seen.send_modify(|seen| {
            request.number = seen.requests.len() + 1;
            seen.requests.push(request.clone());
            seen.in_flight += 1;
            seen.in_flight_max = seen.in_flight_max.max(seen.in_flight);
        });
        InFlight(script)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.in_flight -= 1);
    }
}

/// Reads one request; `None` when the other side has ended the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    let line = read_line(stream).await?;
    let mut words = line.split(' ');
    request.method = words.next()?.to_owned();
    request.path = words.next()?.to_owned();
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    assert_eq!(request.header("transfer-encoding"), None, "the length of a message is known");
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    let length = stream.read_until(b'\n', &mut line).await.ok()?;
    let text = line.strip_suffix(b"\r\n")?;
    (length > 0).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Sends a reply; false when the connection is to end.
async fn send(stream: &mut BufReader<TcpStream>, reply: Reply) -> bool {
    if let Some(gate) = reply.gate {
        tokio::select! {
            () = gate.pass() => {}
            () = ended(stream) => return false,
        }
    }
    match reply.action {
        Action::Answer { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} \r\n");
            for (name, value) in headers {
                head.extend([&name, ": ", &value, "\r\n"]);
            }
            // These two have no body, and so no length.
            if !matches!(status, 204 | 304) {
                head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
            }
            let octets = [head.as_bytes(), b"\r\n", &body].concat();
            stream.write_all(&octets).await.is_ok()
        }
        Action::Raw(octets) => {
            drop(stream.write_all(&octets).await);
            false
        }
        Action::Endless => {
            let chunk = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
            let mut octets = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            while stream.write_all(&octets).await.is_ok() {
                octets.clone_from(&chunk);
            }
            false
        }
        Action::Reset => {
            stream.get_ref().set_zero_linger().expect("the socket is open");
            false
        }
        Action::Hang => {
            ended(stream).await;
            false
        }
    }
}

/// Waits until the other side has ended the connection, which it does when it gives up waiting.
async fn ended(stream: &mut BufReader<TcpStream>) {
    if stream.fill_buf().await.is_ok_and(|octets| !octets.is_empty()) {
        // The next request, sent before our reply: there is no telling any more.
        std::future::pending::<()>().await;
    }
}
