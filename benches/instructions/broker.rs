//! A broker with one consumer, which hands out what it is told to and nothing by itself.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::amqp::{self, Method, field, long_string, method, short_string};
use crate::case::{Message, PATIENCE};

/// Has no consumer yet.
pub struct Broker {
    address: SocketAddr,
    connections: Receiver<io::Result<TcpStream>>,
}

/// The consumer's connection.
pub struct Consumer {
    stream: BufReader<TcpStream>,
    channel: u16,
    tag: String,
    delivered: u64,
    /// What was handed out and is not settled.
    open: BTreeSet<u64>,
}

impl Broker {
    pub fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (sender, connections) = sync_channel(1);
        // It ends with the program, or with the connection that comes.
        thread::spawn(move || sender.send(listener.accept().map(|(stream, _)| stream)));
        Ok(Self { address, connections })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for a client that logs in and consumes.
    pub fn consumer(&self) -> io::Result<Consumer> {
        let connection = self.connections.recv_timeout(PATIENCE);
        let stream =
            connection.map_err(|_| io::Error::other("no daemon comes to the broker"))??;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        stream.read_exact(&mut [0; 8])?;
        let product = [field("product", "RabbitMQ"), field("version", "4.3.6")].concat();
        let start =
            [&[0, 9][..], &long_string(&product), &long_string(b"PLAIN"), &long_string(b"en_US")];
        stream.get_mut().write_all(&method(0, 10, 10, &start.concat()))?;
        let (tag, open) = (String::new(), BTreeSet::new());
        let mut consumer = Consumer { stream, channel: 0, tag, delivered: 0, open };
        while consumer.channel == 0 {
            let asked = amqp::read_method(&mut consumer.stream)?.ok_or_else(left)?;
            consumer.answer(&asked)?;
        }
        Ok(consumer)
    }
}

impl Consumer {
    /// Hands out the message `count` times.
    pub fn deliver(&mut self, message: &Message, count: u32) -> io::Result<()> {
        let mut frames = Vec::new();
        for _ in 0..count {
            self.delivered += 1;
            self.open.insert(self.delivered);
            let arguments = [
                &short_string(&self.tag)[..],
                &self.delivered.to_be_bytes(),
                &[0],
                &short_string("shop"),
                &short_string("order.created"),
            ];
            frames.extend(method(self.channel, 60, 60, &arguments.concat()));
            frames.extend(amqp::content(self.channel, &message.properties, &message.body));
        }
        self.stream.get_mut().write_all(&frames)
    }

    /// Waits until everything that was handed out is settled.
    pub fn await_settlements(&mut self) -> io::Result<()> {
        while !self.open.is_empty() {
            let told = amqp::read_method(&mut self.stream)?.ok_or_else(left)?;
            match (told.class, told.number, &told.arguments[..]) {
                // ack, reject, nack; all but reject may speak of all messages up to one.
                (60, number @ (80 | 90 | 120), [tag @ .., bits]) => {
                    let tag = tag.iter().fold(0, |all, one| all << 8 | u64::from(*one));
                    if !self.open.remove(&tag) {
                        return Err(io::Error::other(format!("{tag} was settled twice")));
                    }
                    if number != 90 && bits & 1 == 1 {
                        self.open = self.open.split_off(&tag);
                    }
                }
                _ => self.answer(&told)?,
            }
        }
        Ok(())
    }

    /// Answers the client's questions until it leaves.
    pub fn farewell(mut self) -> io::Result<()> {
        while let Some(asked) = amqp::read_method(&mut self.stream)? {
            self.answer(&asked)?;
        }
        Ok(())
    }

    fn answer(&mut self, asked: &Method) -> io::Result<()> {
        let (channel, name) = (asked.channel, (asked.class, asked.number));
        let answer = match name {
            // connection.start-ok: 2,047 channels, frames of 128 KiB, a heartbeat each minute.
            (10, 11) => method(0, 10, 30, &[7, 255, 0, 2, 0, 0, 0, 60]),
            (10, 31) => return Ok(()),
            (10, 40) => method(0, 10, 41, &[0]),
            (10, 50) => method(0, 10, 51, &[]),
            (20, 10) => method(channel, 20, 11, &[0; 4]),
            (20, 40) => method(channel, 20, 41, &[]),
            (60, 10) => method(channel, 60, 11, &[]),
            (60, 20) => {
                self.channel = channel;
                self.tag = consumer_tag(&asked.arguments)?;
                method(channel, 60, 21, &short_string(&self.tag))
            }
            (60, 30) => method(channel, 60, 31, &short_string(&self.tag)),
            (class, number) => {
                return Err(io::Error::other(format!("the daemon asks for {class}.{number}")));
            }
        };
        self.stream.get_mut().write_all(&answer)
    }
}

/// Behind two octets and the queue's name.
fn consumer_tag(arguments: &[u8]) -> io::Result<String> {
    let queue = usize::from(*arguments.get(2).unwrap_or(&0));
    let tag = arguments.get(3 + queue..).unwrap_or_default();
    let text = tag.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length)));
    String::from_utf8(text.unwrap_or_default().to_vec()).map_err(io::Error::other)
}

fn left() -> io::Error {
    io::Error::other("the daemon has left the broker; its log tells why")
}
