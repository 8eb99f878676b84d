//! Cuts values off the front of octets, without copying or believing anything.

use crate::{Error, Result};

/// A field value as it stands on the wire: its type tag and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tagged<'a> {
    pub(crate) tag: u8,
    /// The value's octets, without the tag and without the length.
    pub(crate) payload: &'a [u8],
}

/// Cuts off `size` octets.
#[inline]
pub(crate) fn split_fixed(input: &[u8], size: usize) -> Result<(&[u8], &[u8])> {
    input.split_at_checked(size).ok_or(Error::Eof)
}

/// Cuts off what a short string holds (AMQP 0-9-1 §4.2.5.3): one octet of
/// length and as many octets.
#[inline]
pub(crate) fn split_short(input: &[u8]) -> Result<(&[u8], &[u8])> {
    let (&length, rest) = input.split_first().ok_or(Error::Eof)?;
    split_measured(rest, usize::from(length))
}

/// Cuts off what a long string, table, array or byte array holds (AMQP 0-9-1
/// §4.2.5.3, §4.2.5.5; RabbitMQ errata 3): four octets of length and as many
/// octets.
#[inline]
pub(crate) fn split_long(input: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk().ok_or(Error::Eof)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Error::Syntax)?;
    split_measured(rest, length)
}

/// Cuts off as many octets as a length before them said.
#[inline]
pub(crate) fn split_measured(input: &[u8], length: usize) -> Result<(&[u8], &[u8])> {
    input.split_at_checked(length).ok_or(Error::Syntax)
}

/// Cuts off one tagged value, of any type in section 3 of RabbitMQ's errata.
///
/// Beyond that table: `L` is 64 bits, as RabbitMQ's own parser has it, and `U`
/// 16 bits, as AMQP 0-9-1 §4.2.1 has it.
#[inline]
pub(crate) fn split_tagged(input: &[u8]) -> Result<(Tagged<'_>, &[u8])> {
    let (&tag, rest) = input.split_first().ok_or(Error::Eof)?;
    let (payload, rest) = match tag {
        b'V' => split_fixed(rest, 0),
        b't' | b'b' | b'B' => split_fixed(rest, 1),
        b's' | b'U' | b'u' => split_fixed(rest, 2),
        b'I' | b'i' | b'f' => split_fixed(rest, 4),
        b'D' => split_fixed(rest, 5),
        b'l' | b'L' | b'd' | b'T' => split_fixed(rest, 8),
        b'S' | b'A' | b'F' | b'x' => split_long(rest),
        _ => Err(Error::Syntax),
    }?;
    Ok((Tagged { tag, payload }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_octets_is_refused_before_anything_is_taken() {
        assert!(matches!(split_long(b"\xff\xff\xff\xffabc"), Err(Error::Syntax)));
        assert!(matches!(split_short(b"\x04abc"), Err(Error::Syntax)));
    }

    #[test]
    fn a_value_is_cut_off_and_the_rest_is_left() {
        let (value, rest) = split_tagged(b"S\0\0\0\x02hi!").expect("a long string");
        assert_eq!((value.tag, value.payload, rest), (b'S', &b"hi"[..], &b"!"[..]));
    }

    #[test]
    fn only_known_tags_have_a_size() {
        let known: Vec<char> = (0..=255_u8)
            .filter(|tag| {
                let mut wire = vec![0; 9];
                wire[0] = *tag;
                split_tagged(&wire).is_ok()
            })
            .map(char::from)
            .collect();
        assert_eq!(known, "ABDFILSTUVbdfilstux".chars().collect::<Vec<_>>());
    }
}
