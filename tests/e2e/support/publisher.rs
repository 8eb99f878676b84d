//! A publisher of its own making: what it sends is exactly what the test said, and it does not
//! share the client library whose handling is under test.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::amqp::{Message, field, long_string, method, short_string};
use super::vhost::Vhost;
use super::wait::{DEADLINE, within};

/// What its connections are called.
pub const NAME: &str = "test publisher";

/// The one channel that is used.
const CHANNEL: u16 = 1;

/// A connection with one channel in confirm mode.
pub struct Publisher {
    stream: BufReader<TcpStream>,
    frame_max: usize,
    /// Messages published so far, which is how the broker numbers them.
    published: u64,
}

/// A method frame as it came: class, method, arguments.
type Method = (u16, u16, Vec<u8>);

impl Publisher {
    /// Logs in as guest.
    pub async fn connect(vhost: &Vhost) -> Publisher {
        within("the publisher's login", Self::open(vhost)).await
    }

    /// Publishes one message and waits until the broker has it safe.
    pub async fn publish(&mut self, message: Message) {
        self.publish_all([message]).await;
    }

    /// Publishes messages, and waits until the broker has all of them safe.
    ///
    /// A message that no queue takes is a mistake of the test.
    pub async fn publish_all(&mut self, messages: impl IntoIterator<Item = Message>) {
        // In batches, so that neither side waits for the other with full buffers.
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let mut unconfirmed = BTreeSet::new();
            for message in messages.by_ref().take(200) {
                self.published += 1;
                unconfirmed.insert(self.published);
                let frames = message.frames(CHANNEL, self.frame_max);
                within("the broker to read", self.stream.write_all(&frames)).await.unwrap();
            }
            within("confirms", self.await_confirms(unconfirmed)).await;
        }
    }

    /// Takes the next message of a queue: the octets of its properties, and its body.
    pub async fn get(&mut self, queue: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let arguments = [&[0, 0][..], &short_string(queue), &[1]].concat();
        self.send(&method(CHANNEL, 60, 70, &arguments)).await;
        match within("an answer to basic.get", self.receive()).await {
            (60, 71, _) => {}
            (60, 72, _) => return None,
            other => panic!("{}", describe(&other)),
        }
        // Class, weight and the body's size stand before the properties.
        let header = self.receive_frame().await.1;
        let (size, properties) = header[4..].split_first_chunk().expect("a content header");
        let size = usize::try_from(u64::from_be_bytes(*size)).unwrap();
        let mut body = Vec::new();
        while body.len() < size {
            body.extend(self.receive_frame().await.1);
        }
        Some((properties.to_vec(), body))
    }

    /// How many messages of a queue wait for a consumer, and how many consumers there are: exact
    /// as of now, unlike the management interface's figures.
    pub async fn depth(&mut self, queue: &str) -> (u32, u32) {
        let arguments = [&[0, 0][..], &short_string(queue), &[1], &[0; 4]].concat();
        self.send(&method(CHANNEL, 50, 10, &arguments)).await;
        let answer = within("queue.declare-ok", self.expect(50, 11)).await;
        let figures = &answer[1 + usize::from(answer[0])..];
        let figure = |at: usize| u32::from_be_bytes(figures[at..at + 4].try_into().unwrap());
        (figure(0), figure(4))
    }

    /// Waits until as many messages wait in a queue, and as many consumers are there.
    pub async fn wait_for_depth(&mut self, queue: &str, wanted: (u32, u32)) {
        self.wait_until(queue, &format!("{wanted:?}"), |depth| depth == wanted).await;
    }

    /// Waits until as many messages wait in a queue. A cancelled consumer of a quorum queue is
    /// counted on by the broker while it holds messages.
    pub async fn wait_for_ready(&mut self, queue: &str, wanted: u32) {
        self.wait_until(queue, &wanted.to_string(), |(ready, _)| ready == wanted).await;
    }

    /// Waits until at least one message waits in a queue.
    pub async fn wait_until_some(&mut self, queue: &str) {
        self.wait_until(queue, "a message", |(ready, _)| ready > 0).await;
    }

    async fn wait_until(&mut self, queue: &str, what: &str, is: impl Fn((u32, u32)) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let depth = self.depth(queue).await;
            if is(depth) {
                return;
            }
            assert!(Instant::now() < end, "waited in vain for {what} of {queue}: {depth:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn open(vhost: &Vhost) -> Publisher {
        let stream = TcpStream::connect(("127.0.0.1", vhost.broker.amqp_port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = BufReader::new(stream);
        let mut publisher = Publisher { stream, frame_max: 0, published: 0 };
        publisher.send(b"AMQP\x00\x00\x09\x01").await;
        publisher.expect(10, 10).await;
        publisher.send(&method(0, 10, 11, &start_ok())).await;
        let tune = publisher.expect(10, 30).await;
        let frame_max = u32::from_be_bytes(tune[2..6].try_into().unwrap());
        publisher.frame_max = usize::try_from(frame_max).unwrap();
        // The same limits, and no heartbeats: it is alive as long as its test is.
        publisher.send(&method(0, 10, 31, &[&tune[..6], &[0, 0]].concat())).await;
        let open = [&short_string(&vhost.name)[..], &[0, 0]].concat();
        publisher.send(&method(0, 10, 40, &open)).await;
        publisher.expect(10, 41).await;
        publisher.send(&method(CHANNEL, 20, 10, &[0])).await;
        publisher.expect(20, 11).await;
        publisher.send(&method(CHANNEL, 85, 10, &[0])).await;
        publisher.expect(85, 11).await;
        publisher
    }

    async fn await_confirms(&mut self, mut unconfirmed: BTreeSet<u64>) {
        while !unconfirmed.is_empty() {
            match self.receive().await {
                (60, 80, arguments) => {
                    let tag = u64::from_be_bytes(arguments[..8].try_into().unwrap());
                    let multiple = arguments[8] == 1;
                    unconfirmed.retain(|other| *other != tag && !(multiple && *other < tag));
                }
                (60, 50, arguments) => {
                    panic!("no queue took a message: {}", String::from_utf8_lossy(&arguments));
                }
                other => panic!("{}", describe(&other)),
            }
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    async fn expect(&mut self, class: u16, method: u16) -> Vec<u8> {
        match self.receive().await {
            (c, m, arguments) if (c, m) == (class, method) => arguments,
            other => panic!("awaiting {class}.{method}: {}", describe(&other)),
        }
    }

    /// The next method frame; content of returned messages is passed over.
    async fn receive(&mut self) -> Method {
        loop {
            let (kind, payload) = self.receive_frame().await;
            if kind == 1 {
                let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
                return (number(0), number(2), payload[4..].to_vec());
            }
        }
    }

    /// The next frame: its kind and its payload.
    async fn receive_frame(&mut self) -> (u8, Vec<u8>) {
        let kind = self.stream.read_u8().await.expect("the broker keeps the connection");
        let _channel = self.stream.read_u16().await.unwrap();
        let length = self.stream.read_u32().await.unwrap();
        let mut payload = vec![0; usize::try_from(length).unwrap() + 1];
        self.stream.read_exact(&mut payload).await.unwrap();
        payload.pop();
        (kind, payload)
    }
}

/// For a panic: what the broker said, with its text where it closes something.
fn describe((class, method, arguments): &Method) -> String {
    format!("the broker said {class}.{method}: {}", String::from_utf8_lossy(arguments))
}

fn start_ok() -> Vec<u8> {
    let properties = long_string(field("connection_name", b'S', &long_string(NAME)));
    let response = long_string("\0guest\0guest");
    [properties, short_string("PLAIN"), response, short_string("en_US")].concat()
}
