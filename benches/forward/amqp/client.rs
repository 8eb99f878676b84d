//! A connection with one channel that says one thing after the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::frame::{
    BASIC_ACK, CANCEL, CHANNEL_CLOSE, CHANNEL_OPEN, CHANNEL_OPEN_OK, CONFIRM, CONFIRM_OK,
    CONNECTION_CLOSE, CONNECTION_CLOSE_OK, CONSUME, CONSUME_OK, DECLARE, DECLARE_OK, DELETE,
    DELETE_OK, FRAME_BYTES_MAX, Frame, Method, OPEN, OPEN_OK, PUBLISH, QOS, QOS_OK, START,
    START_OK, TUNE, TUNE_OK, first_frame, put_content, put_long, put_method, put_short, short_at,
    u16_at, u32_at, u64_at,
};
use crate::Failure;

const ANSWER_MAX: Duration = Duration::from_mins(1);
/// The most messages that may be unconfirmed: more, and the broker's answers could fill the socket.
const UNCONFIRMED_MAX: u64 = 4096;
/// Frames are collected up to about so much before they are written.
const BATCH_BYTES: usize = 256 * 1024;

/// Ends with the connection.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    out: Vec<u8>,
    published: u64,
    confirmed: u64,
}

impl Client {
    /// Logs in and opens a channel.
    pub fn open(url: &str) -> Result<Client, Failure> {
        let url = Url::parse(url)?;
        let host = url.host_str().ok_or("the broker's URL names no host")?;
        let stream = TcpStream::connect((host, url.port().unwrap_or(5672)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let (unread, out) = (Vec::new(), Vec::new());
        let mut client = Client { stream, unread, out, published: 0, confirmed: 0 };
        client.log_in(&url)?;
        client.call(1, CHANNEL_OPEN, CHANNEL_OPEN_OK, |out| out.push(0))?;
        Ok(client)
    }

    fn log_in(&mut self, url: &Url) -> Result<(), Failure> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = if url.username().is_empty() { "guest" } else { url.username() };
        let (user, password) = (decoded(user), decoded(url.password().unwrap_or("guest")));
        let vhost = match url.path().trim_start_matches('/') {
            "" => "/".to_owned(),
            vhost => decoded(vhost),
        };
        self.stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        self.wait_for(START)?;
        self.tell(0, START_OK, |out| {
            put_long(out, "");
            put_short(out, "PLAIN");
            put_long(out, &format!("\0{user}\0{password}"));
            put_short(out, "en_US");
        })?;
        self.wait_for(TUNE)?;
        self.tell(0, TUNE_OK, |out| {
            out.extend(1_u16.to_be_bytes());
            out.extend(FRAME_BYTES_MAX.to_be_bytes());
            out.extend([0, 0]);
        })?;
        self.call(0, OPEN, OPEN_OK, |out| {
            put_short(out, &vhost);
            out.extend([0, 0]);
        })?;
        Ok(())
    }

    /// Declares a durable classic queue, the broker's default.
    pub fn declare(&mut self, queue: &str) -> Result<(), Failure> {
        self.declare_with(queue, 0b10).map(drop)
    }

    /// Messages that are ready, and consumers, of a queue that is there.
    pub fn look_at(&mut self, queue: &str) -> Result<(u32, u32), Failure> {
        self.declare_with(queue, 0b11)
    }

    fn declare_with(&mut self, queue: &str, flags: u8) -> Result<(u32, u32), Failure> {
        let answer = self.call(1, DECLARE, DECLARE_OK, |out| {
            out.extend([0, 0]);
            put_short(out, queue);
            out.push(flags);
            out.extend([0; 4]);
        })?;
        let name = answer.first().copied().map_or(0, usize::from);
        Ok((u32_at(&answer, 1 + name), u32_at(&answer, 5 + name)))
    }

    /// Deletes a queue, also one that is not there.
    pub fn delete(&mut self, queue: &str) -> Result<(), Failure> {
        self.call(1, DELETE, DELETE_OK, |out| {
            out.extend([0, 0]);
            put_short(out, queue);
            out.push(0);
        })?;
        Ok(())
    }

    /// From now on the broker confirms what is published.
    pub fn confirm(&mut self) -> Result<(), Failure> {
        self.call(1, CONFIRM, CONFIRM_OK, |out| out.push(0)).map(drop)
    }

    /// Publishes; it may stay here until [`Client::flush`] or until there is more of it.
    pub fn publish(&mut self, queue: &str, body: &[u8]) -> Result<(), Failure> {
        put_method(&mut self.out, 1, PUBLISH, |out| {
            out.extend([0, 0, 0]);
            put_short(out, queue);
            out.push(0);
        });
        put_content(&mut self.out, body);
        self.published += 1;
        if self.out.len() >= BATCH_BYTES {
            self.flush()?;
        }
        while self.published - self.confirmed >= UNCONFIRMED_MAX {
            self.flush()?;
            self.wait_for(BASIC_ACK)?;
        }
        Ok(())
    }

    /// Writes what was published so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits until the broker has everything that was published.
    pub fn wait_for_confirms(&mut self) -> Result<(), Failure> {
        self.flush()?;
        while self.confirmed < self.published {
            self.wait_for(BASIC_ACK)?;
        }
        Ok(())
    }

    /// Consumes with a window; from here on the connection is the caller's, with what was read.
    pub fn consume(mut self, queue: &str, window: u16) -> Result<(TcpStream, Vec<u8>), Failure> {
        self.call(1, QOS, QOS_OK, |out| {
            out.extend([0; 4]);
            out.extend(window.to_be_bytes());
            out.push(0);
        })?;
        self.call(1, CONSUME, CONSUME_OK, |out| {
            out.extend([0, 0]);
            put_short(out, queue);
            put_short(out, "floor");
            out.push(0);
            out.extend([0; 4]);
        })?;
        Ok((self.stream, self.unread))
    }

    /// Appends what ends the consumer that [`Client::consume`] began.
    pub fn put_cancel(out: &mut Vec<u8>) {
        put_method(out, 1, CANCEL, |out| {
            put_short(out, "floor");
            out.push(0);
        });
    }

    /// Appends what ends the connection.
    pub fn put_close(out: &mut Vec<u8>) {
        put_method(out, 0, CONNECTION_CLOSE, |out| {
            out.extend(200_u16.to_be_bytes());
            put_short(out, "bye");
            out.extend([0; 4]);
        });
    }

    /// Ends the connection in good order.
    pub fn close(mut self) -> Result<(), Failure> {
        Client::put_close(&mut self.out);
        self.flush()?;
        self.wait_for(CONNECTION_CLOSE_OK).map(drop)
    }

    fn tell(
        &mut self,
        channel: u16,
        method: Method,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        put_method(&mut self.out, channel, method, write);
        self.flush()
    }

    fn call(
        &mut self,
        channel: u16,
        method: Method,
        answer: Method,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, Failure> {
        self.tell(channel, method, write)?;
        self.wait_for(answer)
    }

    /// Waits for a method, counting confirms on the way; its arguments.
    fn wait_for(&mut self, awaited: Method) -> Result<Vec<u8>, Failure> {
        loop {
            while let Some((frame, length)) = first_frame(&self.unread) {
                let came = if let Frame::Other(method, arguments) = frame {
                    self.confirmed = self.confirmed.max(confirmed(method, arguments));
                    refusal(method, arguments)?;
                    (method == awaited).then(|| arguments.to_vec())
                } else {
                    None
                };
                self.unread.drain(..length);
                if let Some(arguments) = came {
                    return Ok(arguments);
                }
            }
            let mut part = [0; 16 * 1024];
            match self.stream.read(&mut part)? {
                0 => return Err("the broker closed the connection".into()),
                length => self.unread.extend_from_slice(&part[..length]),
            }
        }
    }
}

/// The number up to which a confirm goes. The broker may confirm a later message before an earlier
/// one, but for a classic queue and one channel it does not.
fn confirmed(method: Method, arguments: &[u8]) -> u64 {
    if method == BASIC_ACK { u64_at(arguments, 0) } else { 0 }
}

fn refusal(method: Method, arguments: &[u8]) -> Result<(), Failure> {
    if method == CHANNEL_CLOSE || method == CONNECTION_CLOSE {
        let (code, text) = (u16_at(arguments, 0), short_at(arguments, 2));
        return Err(format!("the broker says {code} {text}").into());
    }
    Ok(())
}
