//! As much of AMQP 0-9-1 as a fake broker needs: frames in, frames out.

use std::io::{self, Read};

/// Ends each frame.
const FRAME_END: u8 = 0xCE;

/// A method frame as it came: channel, class, number in it and the octets of its arguments.
pub struct Method {
    pub channel: u16,
    pub class: u16,
    pub number: u16,
    pub arguments: Vec<u8>,
}

/// Reads the next method; heartbeats are passed over. `None` where the other end has left.
pub fn read_method(stream: &mut impl Read) -> io::Result<Option<Method>> {
    loop {
        let mut head = [0; 7];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let [kind, channel @ .., a, b, c, d] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)? + 1];
        stream.read_exact(&mut payload)?;
        if kind == 1
            && let [a, b, c, d, arguments @ .., FRAME_END] = &payload[..]
        {
            let class = u16::from_be_bytes([*a, *b]);
            let (channel, number) = (u16::from_be_bytes(channel), u16::from_be_bytes([*c, *d]));
            return Ok(Some(Method { channel, class, number, arguments: arguments.to_vec() }));
        }
    }
}

/// The frame of one method.
pub fn method(channel: u16, class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat();
    frame(1, channel, &payload)
}

/// Content header and body: the frames that follow a `basic.deliver`. `properties` begins with its flags.
pub fn content(channel: u16, properties: &[u8], body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, properties].concat();
    [frame(2, channel, &header), frame(3, channel, body)].concat()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &long_string(payload), &[FRAME_END]].concat()
}

/// A string with its length in one octet; `text` has at most 255.
pub fn short_string(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap_or(u8::MAX)], text.as_bytes()].concat()
}

/// Octets with their length in four.
pub fn long_string(octets: &[u8]) -> Vec<u8> {
    [&u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes(), octets].concat()
}

/// A field of a table, with a text as its value.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [short_string(name), vec![b'S'], long_string(value.as_bytes())].concat()
}
