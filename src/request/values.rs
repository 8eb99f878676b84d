//! Header values of one request, in one buffer that they share.
//!
//! The client library clones the headers of each request more than once. A value with memory of
//! its own costs an allocation to make and another for its first clone; a part of a common
//! buffer costs neither.

use std::fmt::{Display, Write};

use bytes::BytesMut;
use http::header::HeaderValue;

/// Makes values, one after the other.
pub(super) struct Values {
    buffer: BytesMut,
}

impl Values {
    /// Has room for values of `bytes` in all; what is beyond costs more, and is no mistake.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(bytes) }
    }

    /// `text` as it is, UTF-8 and other high bytes included, but without the blanks around it.
    /// `None` where that is not legal header text: it has control characters.
    pub(super) fn text(&mut self, text: &[u8]) -> Option<HeaderValue> {
        self.buffer.extend_from_slice(trim_blanks(text));
        self.written()
    }

    /// A number in decimal digits.
    pub(super) fn number(&mut self, number: impl Display) -> Option<HeaderValue> {
        write!(self.buffer, "{number}").ok()?;
        self.written()
    }

    fn written(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.buffer.split().freeze()).ok()
    }
}

/// What is left without blanks around it, which HTTP/1 drops and HTTP/2 forbids (RFC 9113,
/// section 8.2.1). Other white space is illegal and stays to be found.
pub(super) fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether [`Values::text`] makes a value of it, which is asked first where `text` may be large:
/// what turns out illegal keeps its memory as long as the others.
pub(super) fn is_legal(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_for_legal_is_what_http_allows() {
        for byte in 0..=u8::MAX {
            let text = [b'a', byte, b'b'];
            let value = Values::with_capacity(8).text(&text);
            assert_eq!(value, HeaderValue::from_bytes(&text).ok(), "{byte}");
            assert_eq!(is_legal(&text), value.is_some(), "{byte}");
        }
    }

    #[test]
    fn blanks_around_are_dropped_and_other_white_space_is_not_legal() {
        let table: [(&[u8], Option<&[u8]>); 7] = [
            (b" \ta b\t ", Some(b"a b")),
            (b" ", Some(b"")),
            (b"", Some(b"")),
            (b"a\n", None),
            (b" \ra", None),
            (b"\x0ca", None),
            (b"\x0ba ", None),
        ];
        for (text, expected) in table {
            let value = Values::with_capacity(8).text(text);
            assert_eq!(value.as_ref().map(HeaderValue::as_bytes), expected, "{text:?}");
        }
    }

    #[test]
    fn values_stay_as_they_are_when_there_are_more_than_foreseen() {
        let mut values = Values::with_capacity(2);
        let texts = values.text(b"one").into_iter().chain(values.text(b"a\0b"));
        let texts: Vec<_> = texts.chain(values.number(-12)).chain(values.text(b"three")).collect();
        assert_eq!(texts, ["one", "-12", "three"]);
    }
}
