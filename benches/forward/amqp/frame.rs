//! Frames, read from octets and written to them.

/// Class and number of a method.
pub type Method = (u16, u16);

pub const START: Method = (10, 10);
pub const START_OK: Method = (10, 11);
pub const TUNE: Method = (10, 30);
pub const TUNE_OK: Method = (10, 31);
pub const OPEN: Method = (10, 40);
pub const OPEN_OK: Method = (10, 41);
pub const CONNECTION_CLOSE: Method = (10, 50);
pub const CONNECTION_CLOSE_OK: Method = (10, 51);
pub const CHANNEL_OPEN: Method = (20, 10);
pub const CHANNEL_OPEN_OK: Method = (20, 11);
pub const CHANNEL_CLOSE: Method = (20, 40);
pub const DECLARE: Method = (50, 10);
pub const DECLARE_OK: Method = (50, 11);
pub const DELETE: Method = (50, 40);
pub const DELETE_OK: Method = (50, 41);
pub const QOS: Method = (60, 10);
pub const QOS_OK: Method = (60, 11);
pub const CONSUME: Method = (60, 20);
pub const CONSUME_OK: Method = (60, 21);
pub const CANCEL: Method = (60, 30);
pub const PUBLISH: Method = (60, 40);
pub const BASIC_ACK: Method = (60, 80);
pub const BASIC_NACK: Method = (60, 120);
pub const CONFIRM: Method = (85, 10);
pub const CONFIRM_OK: Method = (85, 11);

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;
const DELIVER: Method = (60, 60);
const CANCEL_OK: Method = (60, 31);

/// The most octets of a body that go into one frame.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX as usize - 8;
/// What is agreed on with the broker.
pub const FRAME_BYTES_MAX: u32 = 131_072;

/// A frame, as far as a consumer tells them apart.
pub enum Frame<'a> {
    /// A message begins: its tag.
    Deliver(u64),
    /// The size of its body.
    Header(u64),
    /// A part of its body.
    Body(&'a [u8]),
    /// The consumer is no more.
    CancelOk,
    /// Any other method, and its arguments.
    Other(Method, &'a [u8]),
    /// Nothing that matters.
    Heartbeat,
}

/// The first frame of `octets` and how long it is; `None` when it is not all there.
pub fn first_frame(octets: &[u8]) -> Option<(Frame<'_>, usize)> {
    let head = octets.get(..7)?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let payload = octets.get(7..7 + length)?;
    octets.get(7 + length)?;
    let frame = match head[0] {
        METHOD => method(payload),
        HEADER => Frame::Header(u64_at(payload, 4)),
        BODY => Frame::Body(payload),
        _ => Frame::Heartbeat,
    };
    Some((frame, length + 8))
}

fn method(payload: &[u8]) -> Frame<'_> {
    let method = (u16_at(payload, 0), u16_at(payload, 2));
    let arguments = payload.get(4..).unwrap_or_default();
    match method {
        DELIVER => {
            let consumer_tag = arguments.first().copied().map_or(0, usize::from);
            Frame::Deliver(u64_at(arguments, 1 + consumer_tag))
        }
        CANCEL_OK => Frame::CancelOk,
        _ => Frame::Other(method, arguments),
    }
}

/// Appends a method frame whose arguments `write` appends.
pub fn put_method(
    out: &mut Vec<u8>,
    channel: u16,
    method: Method,
    write: impl FnOnce(&mut Vec<u8>),
) {
    put_frame(out, METHOD, channel, |out| {
        out.extend(method.0.to_be_bytes());
        out.extend(method.1.to_be_bytes());
        write(out);
    });
}

/// Appends header and body of a message that the broker need not keep on disk.
pub fn put_content(out: &mut Vec<u8>, body: &[u8]) {
    put_frame(out, HEADER, 1, |out| {
        out.extend([0, 60, 0, 0]);
        out.extend((body.len() as u64).to_be_bytes());
        // Only the delivery mode: transient.
        out.extend([0x10, 0x00, 1]);
    });
    for part in body.chunks(BODY_BYTES_MAX) {
        put_frame(out, BODY, 1, |out| out.extend_from_slice(part));
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    let begin = out.len();
    out.extend([0; 4]);
    write(out);
    let length = u32::try_from(out.len() - begin - 4).unwrap_or(u32::MAX);
    out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends an ack of one delivery, or of all up to it.
pub fn ack(out: &mut Vec<u8>, tag: u64, multiple: bool) {
    put_method(out, 1, BASIC_ACK, |out| {
        out.extend(tag.to_be_bytes());
        out.push(u8::from(multiple));
    });
}

/// Appends a nack of one delivery, which puts it back into its queue.
pub fn nack(out: &mut Vec<u8>, tag: u64) {
    put_method(out, 1, BASIC_NACK, |out| {
        out.extend(tag.to_be_bytes());
        out.push(0b10);
    });
}

/// Appends a string of at most 255 octets.
pub fn put_short(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
}

/// Appends a longer string.
pub fn put_long(out: &mut Vec<u8>, text: &str) {
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The number at `offset`; 0 where there is none.
pub fn u16_at(octets: &[u8], offset: usize) -> u16 {
    octets.get(offset..offset + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes)
}

/// The number at `offset`; 0 where there is none.
pub fn u32_at(octets: &[u8], offset: usize) -> u32 {
    octets
        .get(offset..offset + 4)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// The number at `offset`; 0 where there is none.
pub fn u64_at(octets: &[u8], offset: usize) -> u64 {
    octets
        .get(offset..offset + 8)
        .and_then(|eight| eight.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// The string at `offset`, which has its length in front of it.
pub fn short_at(octets: &[u8], offset: usize) -> String {
    let length = octets.get(offset).copied().map_or(0, usize::from);
    let text = octets.get(offset + 1..offset + 1 + length).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
