//! A recording backend, with moods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::book::{Answer, Attempt, Book};
use super::clock::now;
use super::fault::Mood;
use super::letter::{Fate, Letter};
use super::support::listener::Port;

/// One backend.
pub struct Site {
    port: Port,
    desk: Arc<Desk>,
    server: JoinSet<()>,
}

/// What its connections share.
struct Desk {
    site: usize,
    book: Book,
    mood: Mutex<Option<Mood>>,
}

struct Request {
    method: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn number(&self) -> Option<usize> {
        let id = self.headers.iter().find(|(name, _)| name == "x-amqp-message-id")?;
        id.1.parse().ok()
    }
}

impl Site {
    pub fn open(site: usize, book: &Book) -> Site {
        let desk = Desk { site, book: book.clone(), mood: Mutex::default() };
        let mut open = Site { port: Port::take(), desk: Arc::new(desk), server: JoinSet::new() };
        open.listen();
        open
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Changes its mood; `None` is a good one.
    pub async fn set(&mut self, mood: Option<Mood>) {
        *self.desk.mood.lock().expect("never poisoned") = mood;
        if mood == Some(Mood::Refusing) {
            self.server.shutdown().await;
        } else if self.server.is_empty() {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let (listener, desk) = (self.port.listen(), Arc::clone(&self.desk));
        self.server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a listener goes on listening");
                drop(stream.set_nodelay(true));
                connections.spawn(serve(stream, Arc::clone(&desk)));
                while connections.try_join_next().is_some() {}
            }
        });
    }
}

/// What is sent in place of an answer, or as one.
enum Reply {
    Status(u16),
    Octets(&'static [u8]),
    Endless,
    Reset,
    Hang,
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let mut stream = BufReader::new(stream);
    while stream.fill_buf().await.is_ok_and(|octets| !octets.is_empty()) {
        if desk.mood() == Some(Mood::ResetBefore) {
            drop(stream.get_ref().set_zero_linger());
            return;
        }
        let Some(request) = read_request(&mut stream).await else { return };
        let came = now();
        // A service takes a while, and not each time the same.
        sleep(Duration::from_millis(fastrand::u64(1..15))).await;
        let reply = desk.judge(&request, came);
        if !send(&mut stream, reply, &request).await {
            return;
        }
    }
}

impl Desk {
    fn mood(&self) -> Option<Mood> {
        *self.mood.lock().expect("never poisoned")
    }

    /// Decides what to answer, and writes it down before it is sent.
    fn judge(&self, request: &Request, came: i64) -> Reply {
        let Some(number) = request.number() else {
            self.book.pages().probes += 1;
            if request.method != "HEAD" {
                self.book.wrong(None, format!("a {} without a message id", request.method));
            }
            return self.reply(None).0;
        };
        if number >= self.book.pages().entries.len() {
            self.book.wrong(None, format!("a request for {number}, which nobody published"));
            return Reply::Status(422);
        }
        let letter = self.book.letter(number);
        for fault in letter.faults_of_request(&request.headers, &request.body) {
            self.book.wrong(Some(number), format!("integrity: {fault}"));
        }
        if !letter.plan.agent.sites().contains(&self.site) {
            self.book.wrong(Some(number), format!("it came to backend {}", self.site));
        }
        let (reply, answer) = self.reply(Some((number, &letter)));
        let is_answered = answer != Answer::Nothing;
        let answered = if is_answered { now() } else { came };
        let site = u8::try_from(self.site).expect("there are three");
        self.book.attempt(number, Attempt { site, came, answered, answer });
        reply
    }

    fn reply(&self, of: Option<(usize, &Letter)>) -> (Reply, Answer) {
        match self.mood() {
            Some(Mood::Refusing | Mood::ResetBefore | Mood::ResetAfter) => {
                return (Reply::Reset, Answer::Nothing);
            }
            Some(Mood::Hanging) => return (Reply::Hang, Answer::Nothing),
            Some(Mood::Garbage) => {
                return (Reply::Octets(b"\x00\xff not HTTP \r\n\r\n"), Answer::Nothing);
            }
            Some(Mood::Status(401)) => return (Reply::Status(401), Answer::Unwell),
            Some(Mood::Status(status)) => return (Reply::Status(status), Answer::Failed(status)),
            Some(Mood::Busy) => {
                let busy = b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
                return (Reply::Octets(busy), Answer::Failed(429));
            }
            // The head says it all, and is success: what comes behind it is nobody's business.
            Some(Mood::Endless) if of.is_none_or(|(_, letter)| letter.plan.fate == Fate::Fine) => {
                return (Reply::Endless, Answer::Success);
            }
            None | Some(Mood::Endless) => {}
        }
        let Some((number, letter)) = of else { return (Reply::Status(204), Answer::Success) };
        if letter.plan.site != self.site {
            return (Reply::Status(204), Answer::Success);
        }
        match letter.plan.fate {
            Fate::Refused => (Reply::Status(422), Answer::Refused),
            Fate::Poison => (Reply::Status(500), Answer::Failed(500)),
            Fate::Later(failures) if self.failures_of(number) < failures => {
                (Reply::Status(500), Answer::Failed(500))
            }
            Fate::Fine | Fate::Later(_) => (Reply::Status(204), Answer::Success),
        }
    }

    fn failures_of(&self, number: usize) -> usize {
        let pages = self.book.pages();
        let attempts = pages.entries[number].at(self.site);
        attempts.filter(|attempt| attempt.answer != Answer::Success).count()
    }
}

/// Reads one request; `None` when the other side has ended the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = read_line(stream).await?;
    let method = line.split(' ').next()?.to_owned();
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, headers, body })
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok()?;
    let text = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Sends a reply; false when the connection is to end.
async fn send(stream: &mut BufReader<TcpStream>, reply: Reply, request: &Request) -> bool {
    match reply {
        Reply::Status(status) => {
            let length = if status == 204 { "" } else { "Content-Length: 0\r\n" };
            let head = format!("HTTP/1.1 {status} \r\n{length}\r\n");
            stream.write_all(head.as_bytes()).await.is_ok()
        }
        Reply::Octets(octets) => {
            stream.write_all(octets).await.is_ok() && octets.starts_with(b"HTTP")
        }
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
            let mut goes_on = stream.write_all(head).await.is_ok() && request.method != "HEAD";
            while goes_on {
                goes_on = stream.write_all(&chunk).await.is_ok();
            }
            false
        }
        Reply::Reset => {
            drop(stream.get_ref().set_zero_linger());
            false
        }
        Reply::Hang => {
            // Until the other side has had enough.
            drop(stream.fill_buf().await);
            false
        }
    }
}
