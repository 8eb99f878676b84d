//! A publisher's connection that is prepared to be lost, unlike that of `support::publisher`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::support::amqp::{field, long_string, method, short_string};
use super::support::{Message, Vhost, publisher};

/// The one channel that is used.
const CHANNEL: u16 = 1;

/// Logs in, and opens a channel in confirm mode.
///
/// # Errors
/// The network's, or one with the method that came in place of the expected one.
pub async fn connect(vhost: &Vhost) -> io::Result<(Reader, Writer)> {
    let stream = TcpStream::connect(("127.0.0.1", vhost.broker.amqp_port)).await?;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reader = Reader { stream: BufReader::new(reader) };
    let mut writer = Writer { stream: writer, frame_max: 0 };
    writer.send(b"AMQP\x00\x00\x09\x01").await?;
    reader.expect(10, 10).await?;
    writer.send(&method(0, 10, 11, &start_ok())).await?;
    let tune = reader.expect(10, 30).await?;
    writer.frame_max = tune[2..6].iter().fold(0, |all, octet| all << 8 | usize::from(*octet));
    // The same limits, and no heartbeats.
    writer.send(&method(0, 10, 31, &[&tune[..6], &[0, 0]].concat())).await?;
    let open = [&short_string(&vhost.name)[..], &[0, 0]].concat();
    writer.send(&method(0, 10, 40, &open)).await?;
    reader.expect(10, 41).await?;
    writer.send(&method(CHANNEL, 20, 10, &[0])).await?;
    reader.expect(20, 11).await?;
    writer.send(&method(CHANNEL, 85, 10, &[0])).await?;
    reader.expect(85, 11).await?;
    Ok((reader, writer))
}

fn start_ok() -> Vec<u8> {
    let name = field("connection_name", b'S', &long_string(publisher::NAME));
    let response = long_string("\0guest\0guest");
    [long_string(name), short_string("PLAIN"), response, short_string("en_US")].concat()
}

/// What the broker says of what was published.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It is safe, or with `false` it is not; and with it, perhaps, all before it.
    Confirmed { tag: u64, multiple: bool, safe: bool },
    /// No queue took it.
    Returned,
}

pub struct Reader {
    stream: BufReader<OwnedReadHalf>,
}

impl Reader {
    pub async fn next(&mut self) -> io::Result<Said> {
        match self.method().await? {
            (60, kind @ (80 | 120), arguments) => {
                let tag = arguments[..8].iter().fold(0, |all, one| all << 8 | u64::from(*one));
                let multiple = arguments[8] & 1 == 1;
                Ok(Said::Confirmed { tag, multiple, safe: kind == 80 })
            }
            (60, 50, _) => Ok(Said::Returned),
            (class, method, text) => Err(unexpected(class, method, &text)),
        }
    }

    async fn expect(&mut self, class: u16, method: u16) -> io::Result<Vec<u8>> {
        let (found_class, found_method, arguments) = self.method().await?;
        if (found_class, found_method) == (class, method) {
            return Ok(arguments);
        }
        Err(unexpected(found_class, found_method, &arguments))
    }

    /// The next method; content of returned messages is passed over.
    async fn method(&mut self) -> io::Result<(u16, u16, Vec<u8>)> {
        loop {
            let kind = self.stream.read_u8().await?;
            let _channel = self.stream.read_u16().await?;
            let length = self.stream.read_u32().await?;
            let mut payload = vec![0; usize::try_from(length).expect("it fits") + 1];
            self.stream.read_exact(&mut payload).await?;
            payload.pop();
            if kind == 1 && payload.len() >= 4 {
                let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
                return Ok((number(0), number(2), payload[4..].to_vec()));
            }
        }
    }
}

fn unexpected(class: u16, method: u16, arguments: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(arguments);
    io::Error::other(format!("the broker said {class}.{method}: {text}"))
}

pub struct Writer {
    stream: OwnedWriteHalf,
    frame_max: usize,
}

impl Writer {
    pub async fn publish(&mut self, message: &Message) -> io::Result<()> {
        let frames = message.frames(CHANNEL, self.frame_max);
        self.send(&frames).await
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await
    }
}
