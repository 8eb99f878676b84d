//! One connection of the sink: requests out of octets, without keeping bodies.

use std::io::{ErrorKind, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::event::epoll;

use crate::load::{STAMP_BYTES, stamp_of};

/// What is asked for.
pub enum Request {
    /// A message; when it was published, if its body says so.
    Message {
        stamp: Option<u64>,
    },
    Await(u64),
    Stats,
    Forget,
    /// A question whether anybody is there.
    Other,
}

/// Where it is in a request.
enum Stage {
    Head,
    Body {
        left: u64,
    },
    /// Chunked: the line with the next chunk's size is due.
    ChunkSize,
    Chunk {
        left: u64,
    },
    /// Chunked: lines up to an empty one are due.
    Trailer,
}

/// One of the sink's connections.
pub struct Connection {
    pub stream: TcpStream,
    /// Which connection this is of all that ever were.
    pub number: u64,
    pub out: Vec<u8>,
    /// The last request's reply is kept back, and with it all that follows.
    pub is_late: bool,
    unread: Vec<u8>,
    stage: Stage,
    stamp: Vec<u8>,
    waits_to_write: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, number: u64) -> Connection {
        Connection {
            stream,
            number,
            out: Vec::new(),
            is_late: false,
            unread: Vec::new(),
            stage: Stage::Head,
            stamp: Vec::with_capacity(STAMP_BYTES),
            waits_to_write: false,
        }
    }

    /// Takes in `octets` and calls `answer` for each request that is complete by them.
    pub fn take(&mut self, octets: &[u8], mut answer: impl FnMut(&mut Connection, Request)) {
        if self.unread.is_empty() {
            let used = self.advance(octets, &mut answer);
            self.unread.extend_from_slice(&octets[used..]);
        } else {
            let mut all = mem::take(&mut self.unread);
            all.extend_from_slice(octets);
            let used = self.advance(&all, &mut answer);
            all.drain(..used);
            self.unread = all;
        }
    }

    /// How many of the octets were used up.
    fn advance(
        &mut self,
        octets: &[u8],
        answer: &mut impl FnMut(&mut Connection, Request),
    ) -> usize {
        let mut used = 0;
        while !self.is_late {
            let rest = &octets[used..];
            let (length, request) = match self.stage {
                Stage::Head => self.head(rest),
                Stage::Body { left } => self.body(rest, left),
                Stage::ChunkSize => self.chunk_size(rest),
                Stage::Chunk { left } => self.chunk(rest, left),
                Stage::Trailer => self.trailer(rest),
            };
            used += length;
            if let Some(request) = request {
                answer(self, request);
            } else if length == 0 {
                break;
            }
        }
        used
    }

    fn head(&mut self, octets: &[u8]) -> (usize, Option<Request>) {
        let Some(head) = Head::read(octets) else {
            return (0, None);
        };
        if head.method != b"POST" {
            return (head.length, Some(question(head.method, head.path)));
        }
        self.stamp.clear();
        if head.is_chunked {
            self.stage = Stage::ChunkSize;
        } else if head.body_bytes == 0 {
            return (head.length, Some(self.complete()));
        } else {
            self.stage = Stage::Body { left: head.body_bytes };
        }
        (head.length, None)
    }

    fn body(&mut self, octets: &[u8], left: u64) -> (usize, Option<Request>) {
        let taken = self.take_body(octets, left);
        if taken as u64 == left {
            return (taken, Some(self.complete()));
        }
        self.stage = Stage::Body { left: left - taken as u64 };
        (taken, None)
    }

    fn chunk_size(&mut self, octets: &[u8]) -> (usize, Option<Request>) {
        let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
            return (0, None);
        };
        let text = String::from_utf8_lossy(&octets[..end]);
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).unwrap_or(0);
        // The line's end behind the chunk counts as its last two octets.
        self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk { left: size + 2 } };
        (end + 1, None)
    }

    fn chunk(&mut self, octets: &[u8], left: u64) -> (usize, Option<Request>) {
        let taken = self.take_body(octets, left);
        let left = left - taken as u64;
        self.stage = if left == 0 { Stage::ChunkSize } else { Stage::Chunk { left } };
        (taken, None)
    }

    fn trailer(&mut self, octets: &[u8]) -> (usize, Option<Request>) {
        let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
            return (0, None);
        };
        let is_last = octets[..end].iter().all(|octet| *octet == b'\r');
        (end + 1, is_last.then(|| self.complete()))
    }

    fn take_body(&mut self, octets: &[u8], left: u64) -> usize {
        let taken = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let missing = STAMP_BYTES - self.stamp.len();
        self.stamp.extend_from_slice(&octets[..taken.min(missing)]);
        taken
    }

    fn complete(&mut self) -> Request {
        self.stage = Stage::Head;
        Request::Message { stamp: stamp_of(&self.stamp) }
    }

    /// Writes what is to be written; false when the connection is of no more use.
    pub fn write(&mut self, epoll: &OwnedFd, index: usize) -> bool {
        if !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(length) if length == self.out.len() => self.out.clear(),
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        let waits_to_write = !self.out.is_empty();
        if waits_to_write == self.waits_to_write {
            return true;
        }
        self.waits_to_write = waits_to_write;
        let mut interest = epoll::EventFlags::IN;
        interest.set(epoll::EventFlags::OUT, waits_to_write);
        let data = epoll::EventData::new_u64(index as u64);
        epoll::modify(epoll, &self.stream, data, interest).is_ok()
    }
}

fn question(method: &[u8], path: &[u8]) -> Request {
    if method != b"GET" {
        return Request::Other;
    }
    if let Some(number) = path.strip_prefix(b"/await/") {
        let number = String::from_utf8_lossy(number);
        return number.parse().map_or(Request::Other, Request::Await);
    }
    match path {
        b"/stats" => Request::Stats,
        b"/forget" => Request::Forget,
        _ => Request::Other,
    }
}

/// What matters of a request's head.
struct Head<'a> {
    method: &'a [u8],
    path: &'a [u8],
    length: usize,
    body_bytes: u64,
    is_chunked: bool,
}

impl Head<'_> {
    /// `None` when it is not all there.
    fn read(octets: &[u8]) -> Option<Head<'_>> {
        let line_bytes = octets.iter().position(|octet| *octet == b'\n')?;
        let mut words = octets[..line_bytes].split(|octet| *octet == b' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        let mut head =
            Head { method, path, length: line_bytes + 1, body_bytes: 0, is_chunked: false };
        loop {
            let rest = &octets[head.length..];
            let line_bytes = rest.iter().position(|octet| *octet == b'\n')?;
            head.length += line_bytes + 1;
            let line = rest[..line_bytes].trim_ascii_end();
            if line.is_empty() {
                return Some(head);
            }
            if let Some(value) = value_of(line, b"content-length:") {
                head.body_bytes = String::from_utf8_lossy(value).parse().unwrap_or(0);
            } else if let Some(value) = value_of(line, b"transfer-encoding:") {
                head.is_chunked = value.eq_ignore_ascii_case(b"chunked");
            }
        }
    }
}

/// The value of a header line, if it is this header's.
pub fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}
