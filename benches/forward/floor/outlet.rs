//! Connections to the backend, each with one request in flight at most.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use url::Url;

use super::Ticket;
use crate::Failure;
use crate::sink::value_of;

const READ_BYTES: usize = 16 * 1024;

/// What came of reading from a connection.
pub enum Reply {
    /// Nothing yet.
    None,
    /// A 2xx for this message.
    Success(Ticket),
    /// Anything else for it, or no reply at all.
    Failure(Ticket),
}

/// All connections. The one used last is taken first, so that no more are opened than are needed.
pub struct Outlets {
    address: String,
    head: Vec<u8>,
    open: Vec<Option<Outlet>>,
    idle: Vec<usize>,
    buffer: Vec<u8>,
}

struct Outlet {
    stream: TcpStream,
    ticket: Option<Ticket>,
    unread: Vec<u8>,
    unwritten: Vec<u8>,
}

impl Outlets {
    pub fn new(url: &str) -> Result<Outlets, Failure> {
        let url = Url::parse(url)?;
        let host = url.host_str().ok_or("the sink's URL names no host")?;
        let address = format!("{host}:{}", url.port().unwrap_or(80));
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\ncontent-length: ",
            url.path()
        );
        let buffer = vec![0; READ_BYTES];
        let (open, idle) = (Vec::new(), Vec::new());
        Ok(Outlets { address, head: head.into_bytes(), open, idle, buffer })
    }

    /// What a request begins with, up to the length of its body.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Sends a request for a message.
    pub fn send(&mut self, epoll: &OwnedFd, ticket: Ticket, request: &[u8]) -> Result<(), Failure> {
        let place = match self.idle.pop() {
            Some(place) => place,
            None => self.open(epoll)?,
        };
        let Some(outlet) = self.open[place].as_mut() else {
            return Err("a connection that is gone counts as idle".into());
        };
        outlet.ticket = Some(ticket);
        // A connection that broke is heard of when it is read.
        let written = outlet.stream.write(request).unwrap_or_default();
        if written < request.len() {
            outlet.unwritten.extend_from_slice(&request[written..]);
            watch(epoll, outlet, place)?;
        }
        Ok(())
    }

    fn open(&mut self, epoll: &OwnedFd) -> Result<usize, Failure> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let place = self.open.iter().position(Option::is_none).unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(epoll, &stream, data, epoll::EventFlags::IN)?;
        self.open[place] =
            Some(Outlet { stream, ticket: None, unread: Vec::new(), unwritten: Vec::new() });
        Ok(place)
    }

    /// Reads from a connection, and goes on writing where that is due.
    pub fn read(&mut self, epoll: &OwnedFd, place: usize) -> Result<Reply, Failure> {
        let Some(outlet) = self.open.get_mut(place).and_then(Option::as_mut) else {
            return Ok(Reply::None);
        };
        if !outlet.unwritten.is_empty() {
            if let Ok(length) = outlet.stream.write(&outlet.unwritten) {
                outlet.unwritten.drain(..length);
            }
            watch(epoll, outlet, place)?;
        }
        let length = match outlet.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(self.give_up(place)),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Reply::None),
            Err(_) => return Ok(self.give_up(place)),
        };
        let octets = if outlet.unread.is_empty() {
            &self.buffer[..length]
        } else {
            outlet.unread.extend_from_slice(&self.buffer[..length]);
            &outlet.unread
        };
        let Some(is_success) = whole_reply(octets) else {
            if outlet.unread.is_empty() {
                outlet.unread.extend_from_slice(&self.buffer[..length]);
            }
            return Ok(Reply::None);
        };
        outlet.unread.clear();
        self.idle.push(place);
        Ok(match outlet.ticket.take() {
            Some(ticket) if is_success => Reply::Success(ticket),
            Some(ticket) => Reply::Failure(ticket),
            None => Reply::None,
        })
    }

    fn give_up(&mut self, place: usize) -> Reply {
        self.idle.retain(|idle| *idle != place);
        let ticket = self.open[place].take().and_then(|outlet| outlet.ticket);
        ticket.map_or(Reply::None, Reply::Failure)
    }
}

fn watch(epoll: &OwnedFd, outlet: &Outlet, place: usize) -> Result<(), Failure> {
    let mut interest = epoll::EventFlags::IN;
    interest.set(epoll::EventFlags::OUT, !outlet.unwritten.is_empty());
    Ok(epoll::modify(epoll, &outlet.stream, epoll::EventData::new_u64(place as u64), interest)?)
}

/// Whether the reply is a 2xx; `None` while it is not all there. A body has to have a length.
fn whole_reply(octets: &[u8]) -> Option<bool> {
    let is_success = octets.get(9) == Some(&b'2');
    let (mut at, mut body_bytes) = (0, 0);
    loop {
        let length = octets[at..].iter().position(|octet| *octet == b'\n')?;
        let line = octets[at..at + length].trim_ascii_end();
        at += length + 1;
        if line.is_empty() {
            return (octets.len() >= at + body_bytes).then_some(is_success);
        }
        if let Some(value) = value_of(line, b"content-length:") {
            body_bytes = String::from_utf8_lossy(value).parse().unwrap_or(0);
        }
    }
}
