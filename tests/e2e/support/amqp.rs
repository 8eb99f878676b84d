//! Messages and frames of AMQP 0-9-1 as octets, so that a test can publish what no library would.

/// A message to publish.
///
/// Persistent, to the default exchange, unless said otherwise.
#[derive(Debug, Clone)]
pub struct Message {
    exchange: String,
    routing_key: String,
    body: Vec<u8>,
    /// By the bit of its presence in the property flags.
    properties: [Option<Vec<u8>>; 16],
    /// Names and values of the headers, encoded one after another.
    headers: Option<Vec<u8>>,
}

/// The bits of the properties, which are sent from the highest to the lowest.
const CONTENT_TYPE: usize = 15;
const CONTENT_ENCODING: usize = 14;
const HEADERS: usize = 13;
const DELIVERY_MODE: usize = 12;
const PRIORITY: usize = 11;
const CORRELATION_ID: usize = 10;
const REPLY_TO: usize = 9;
const EXPIRATION: usize = 8;
const MESSAGE_ID: usize = 7;
const TIMESTAMP: usize = 6;
const TYPE: usize = 5;
const APP_ID: usize = 3;

impl Message {
    /// A message to the queue of that name.
    pub fn to(queue: &str, body: impl Into<Vec<u8>>) -> Message {
        Message::through("", queue, body)
    }

    /// A message to an exchange.
    pub fn through(exchange: &str, routing_key: &str, body: impl Into<Vec<u8>>) -> Message {
        let message = Message {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            body: body.into(),
            properties: Default::default(),
            headers: None,
        };
        message.property(DELIVERY_MODE, vec![2])
    }

    /// Short strings of octets, which need not be text.
    pub fn content_type(self, value: impl AsRef<[u8]>) -> Message {
        self.property(CONTENT_TYPE, short_string(value))
    }

    pub fn content_encoding(self, value: impl AsRef<[u8]>) -> Message {
        self.property(CONTENT_ENCODING, short_string(value))
    }

    pub fn correlation_id(self, value: impl AsRef<[u8]>) -> Message {
        self.property(CORRELATION_ID, short_string(value))
    }

    pub fn reply_to(self, value: impl AsRef<[u8]>) -> Message {
        self.property(REPLY_TO, short_string(value))
    }

    pub fn expiration(self, value: impl AsRef<[u8]>) -> Message {
        self.property(EXPIRATION, short_string(value))
    }

    pub fn message_id(self, value: impl AsRef<[u8]>) -> Message {
        self.property(MESSAGE_ID, short_string(value))
    }

    pub fn message_type(self, value: impl AsRef<[u8]>) -> Message {
        self.property(TYPE, short_string(value))
    }

    pub fn app_id(self, value: impl AsRef<[u8]>) -> Message {
        self.property(APP_ID, short_string(value))
    }

    pub fn priority(self, value: u8) -> Message {
        self.property(PRIORITY, vec![value])
    }

    /// In seconds since 1970.
    pub fn timestamp(self, seconds: u64) -> Message {
        self.property(TIMESTAMP, seconds.to_be_bytes().into())
    }

    /// A header with a string (`S`), which need not be UTF-8.
    pub fn header(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Message {
        self.raw_header(name, b'S', &long_string(value))
    }

    /// A header of any type: its tag, and its value's octets as they are.
    pub fn raw_header(mut self, name: impl AsRef<[u8]>, tag: u8, octets: &[u8]) -> Message {
        self.headers.get_or_insert_default().extend(field(name, tag, octets));
        self
    }

    fn property(mut self, bit: usize, octets: Vec<u8>) -> Message {
        self.properties[bit] = Some(octets);
        self
    }

    /// The frames that publish it on `channel`, mandatory, each within `frame_max` octets.
    pub fn frames(&self, channel: u16, frame_max: usize) -> Vec<u8> {
        let mut publish = vec![0, 0];
        publish.extend(short_string(&self.exchange));
        publish.extend(short_string(&self.routing_key));
        publish.push(1);
        let mut octets = method(channel, 60, 40, &publish);
        octets.extend(frame(2, channel, &self.content_header()));
        // Seven octets stand before a frame's payload and one after it.
        for piece in self.body.chunks(frame_max - 8) {
            octets.extend(frame(3, channel, piece));
        }
        octets
    }

    fn content_header(&self) -> Vec<u8> {
        let mut properties = self.properties.clone();
        properties[HEADERS] = self.headers.as_ref().map(long_string);
        let flags = (0..16).filter(|bit| properties[*bit].is_some()).map(|bit| 1_u16 << bit).sum();
        let mut octets = vec![0, 60, 0, 0];
        octets.extend((self.body.len() as u64).to_be_bytes());
        octets.extend(u16::to_be_bytes(flags));
        octets.extend(properties.into_iter().rev().flatten().flatten());
        octets
    }
}

/// One field of a table: name, tag and value.
pub fn field(name: impl AsRef<[u8]>, tag: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = short_string(name);
    octets.push(tag);
    octets.extend(value);
    octets
}

/// At most 255 octets, their number before them.
pub fn short_string(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u8::try_from(value.len()).expect("a short string has at most 255 octets");
    [&[length], value].concat()
}

/// Octets with their number before them in four: strings, tables, arrays and byte arrays alike.
pub fn long_string(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u32::try_from(value.len()).expect("no test needs 4 GiB");
    [&length.to_be_bytes(), value].concat()
}

/// A method frame.
pub fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes(), &method.to_be_bytes(), arguments].concat())
}

/// A frame: 1 method, 2 content header, 3 body, 8 heartbeat.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind];
    octets.extend(channel.to_be_bytes());
    octets.extend(long_string(payload));
    octets.push(0xCE);
    octets
}
