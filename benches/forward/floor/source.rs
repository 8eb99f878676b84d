//! A queue, and the connection on which it is consumed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::event::epoll;

use crate::Failure;
use crate::acks::Acks;
use crate::amqp::{Client, Frame, ack, first_frame, nack};

/// Holds any frame, and the window of small messages.
const READ_BYTES: usize = 256 * 1024;

/// One consumer.
pub struct Source {
    stream: TcpStream,
    /// What each request begins with, up to the length of its body.
    head: Vec<u8>,
    /// What is read lies between `begin` and `end`.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The request of the message that is coming in, and how much of its body is missing.
    request: Vec<u8>,
    tag: u64,
    missing: u64,
    acks: Acks,
    out: Vec<u8>,
    waits_to_write: bool,
    is_cancelled: bool,
}

impl Source {
    pub fn open(url: &str, queue: &str, window: u16, head: &[u8]) -> Result<Source, Failure> {
        let (stream, unread) = Client::open(url)?.consume(queue, window)?;
        stream.set_nonblocking(true)?;
        let mut buffer = vec![0; READ_BYTES.max(unread.len())];
        buffer[..unread.len()].copy_from_slice(&unread);
        Ok(Source {
            stream,
            head: head.to_vec(),
            buffer,
            begin: 0,
            end: unread.len(),
            request: Vec::new(),
            tag: 0,
            missing: 0,
            acks: Acks::new(),
            out: Vec::new(),
            waits_to_write: false,
            is_cancelled: false,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads once what there is.
    pub fn read(&mut self) -> Result<(), Failure> {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err("the broker closed the connection".into()),
            Ok(length) => {
                self.end += length;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Calls `send` with tag and request of each message that is complete.
    pub fn deliveries(
        &mut self,
        mut send: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while let Some((frame, length)) = first_frame(&self.buffer[self.begin..self.end]) {
            self.begin += length;
            let is_complete = match frame {
                Frame::Deliver(tag) => {
                    self.tag = tag;
                    self.acks.delivered();
                    false
                }
                Frame::Header(body_bytes) => {
                    self.missing = body_bytes;
                    self.request.clear();
                    self.request.extend_from_slice(&self.head);
                    write!(self.request, "{body_bytes}\r\n\r\n")?;
                    body_bytes == 0
                }
                Frame::Body(part) => {
                    self.request.extend_from_slice(part);
                    self.missing = self.missing.saturating_sub(part.len() as u64);
                    self.missing == 0
                }
                Frame::CancelOk => {
                    self.is_cancelled = true;
                    false
                }
                Frame::Other(method, _) => return Err(format!("unforeseen: {method:?}").into()),
                Frame::Heartbeat => false,
            };
            if is_complete {
                send(self.tag, &self.request)?;
            }
        }
        Ok(())
    }

    /// The message is with the backend.
    pub fn done(&mut self, tag: u64) {
        self.acks.done(tag);
    }

    /// The message is not, and goes back.
    pub fn give_back(&mut self, tag: u64) {
        self.acks.settled(tag);
        nack(&mut self.out, tag);
    }

    /// Asks for no more messages.
    pub fn cancel(&mut self) {
        Client::put_cancel(&mut self.out);
    }

    /// Tells the broker what there is to tell.
    pub fn settle(&mut self, epoll: &OwnedFd, token: u64) -> Result<(), Failure> {
        let out = &mut self.out;
        self.acks.flush(|tag, multiple| ack(out, tag, multiple));
        if !out.is_empty() {
            match self.stream.write(out) {
                Ok(length) => drop(out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let waits_to_write = !out.is_empty();
        if waits_to_write != self.waits_to_write {
            self.waits_to_write = waits_to_write;
            let mut interest = epoll::EventFlags::IN;
            interest.set(epoll::EventFlags::OUT, waits_to_write);
            epoll::modify(epoll, &self.stream, epoll::EventData::new_u64(token), interest)?;
        }
        Ok(())
    }

    /// Nothing comes any more, and the broker has been told of everything that came.
    pub fn is_finished(&mut self) -> bool {
        self.is_cancelled && self.acks.is_empty() && self.out.is_empty()
    }

    /// Ends the connection, once the broker has read what it was told.
    pub fn close(mut self) -> Result<(), Failure> {
        self.stream.set_nonblocking(false)?;
        Client::put_close(&mut self.out);
        self.stream.write_all(&self.out)?;
        // Whatever it says to that, it has read it.
        match self.stream.read(&mut self.buffer)? {
            0 => Err("the broker closed the connection while it was told the last".into()),
            1.. => Ok(()),
        }
    }
}
