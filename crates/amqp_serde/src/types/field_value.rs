//! One value of a table or an array.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Boolean, ByteArray, DecimalValue, Double, FieldArray, FieldTable, Float, LongInt, LongLongInt,
    LongStr, LongUint, ShortInt, ShortShortInt, ShortShortUint, ShortUint, TimeStamp,
};
use crate::octets::{self, FromOctets, Raw, exactly, put_long};
use crate::scan::{Tagged, split_tagged};
use crate::{Error, Result};

/// A field value. Each variant is named by its tag on the wire (AMQP 0-9-1
/// §4.2.1, as RabbitMQ errata 3 has it), and written with that tag.
///
/// Written on its own, a value is written as it is understood: a boolean that
/// stood as the octet 2 is written as 1. Within the table or array it came in,
/// its octets stay what they were.
///
/// ```
/// use amqp_serde::types::FieldValue;
///
/// let value: FieldValue = true.into();
/// let flag: bool = value.try_into()?;
/// assert!(flag);
/// # Ok::<(), amqp_serde::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[expect(
    non_camel_case_types,
    reason = "variants are named by their tags, half of which are lower-case letters"
)]
pub enum FieldValue {
    /// A boolean.
    t(Boolean),
    /// 8 bits, signed.
    b(ShortShortInt),
    /// 8 bits, unsigned.
    B(ShortShortUint),
    /// 16 bits, signed.
    s(ShortInt),
    /// 16 bits, signed, by the tag of AMQP 0-9-1 §4.2.1. RabbitMQ refuses it;
    /// other brokers may not.
    U(ShortInt),
    /// 16 bits, unsigned.
    u(ShortUint),
    /// 32 bits, signed.
    I(LongInt),
    /// 32 bits, unsigned.
    i(LongUint),
    /// 64 bits, signed.
    l(LongLongInt),
    /// 64 bits, signed: RabbitMQ reads `L` as it reads `l`, and passes it on.
    L(LongLongInt),
    /// IEEE 754, 32 bits.
    f(Float),
    /// IEEE 754, 64 bits.
    d(Double),
    /// A decimal fraction.
    D(DecimalValue),
    /// A long string.
    S(LongStr),
    /// An array.
    A(FieldArray),
    /// A point in time, in seconds since 1970.
    T(TimeStamp),
    /// A table.
    F(FieldTable),
    /// Nothing.
    V,
    /// A byte array.
    x(ByteArray),
}

impl FieldValue {
    /// The tag on the wire.
    #[must_use]
    pub fn tag(&self) -> u8 {
        match self {
            Self::t(_) => b't',
            Self::b(_) => b'b',
            Self::B(_) => b'B',
            Self::s(_) => b's',
            Self::U(_) => b'U',
            Self::u(_) => b'u',
            Self::I(_) => b'I',
            Self::i(_) => b'i',
            Self::l(_) => b'l',
            Self::L(_) => b'L',
            Self::f(_) => b'f',
            Self::d(_) => b'd',
            Self::D(_) => b'D',
            Self::S(_) => b'S',
            Self::A(_) => b'A',
            Self::T(_) => b'T',
            Self::F(_) => b'F',
            Self::V => b'V',
            Self::x(_) => b'x',
        }
    }

    /// Understands a value that stands `depth` tables and arrays deep.
    pub(super) fn from_wire(wire: Tagged<'_>, depth: u8) -> Result<Self> {
        let octets = wire.payload;
        Ok(match wire.tag {
            b't' => Self::t(exactly(octets)? != [0]),
            b'b' => Self::b(ShortShortInt::from_be_bytes(exactly(octets)?)),
            b'B' => Self::B(ShortShortUint::from_be_bytes(exactly(octets)?)),
            b's' => Self::s(ShortInt::from_be_bytes(exactly(octets)?)),
            b'U' => Self::U(ShortInt::from_be_bytes(exactly(octets)?)),
            b'u' => Self::u(ShortUint::from_be_bytes(exactly(octets)?)),
            b'I' => Self::I(LongInt::from_be_bytes(exactly(octets)?)),
            b'i' => Self::i(LongUint::from_be_bytes(exactly(octets)?)),
            b'l' => Self::l(LongLongInt::from_be_bytes(exactly(octets)?)),
            b'L' => Self::L(LongLongInt::from_be_bytes(exactly(octets)?)),
            b'f' => Self::f(Float::from_be_bytes(exactly(octets)?)),
            b'd' => Self::d(Double::from_be_bytes(exactly(octets)?)),
            b'D' => Self::D(DecimalValue::from_wire(exactly(octets)?)),
            b'S' => Self::S(LongStr::from_wire(octets)),
            b'A' => Self::A(FieldArray::from_wire(octets, depth)),
            b'T' => Self::T(TimeStamp::from_be_bytes(exactly(octets)?)),
            b'F' => Self::F(FieldTable::from_wire(octets, depth)),
            b'V' => Self::V,
            b'x' => Self::x(ByteArray::from_wire(octets)),
            _ => return Err(Error::Syntax),
        })
    }

    /// Appends the tag and the octets it calls for.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        match self {
            Self::t(v) => out.push(u8::from(*v)),
            Self::b(v) => out.extend(v.to_be_bytes()),
            Self::B(v) => out.push(*v),
            Self::s(v) | Self::U(v) => out.extend(v.to_be_bytes()),
            Self::u(v) => out.extend(v.to_be_bytes()),
            Self::I(v) => out.extend(v.to_be_bytes()),
            Self::i(v) => out.extend(v.to_be_bytes()),
            Self::l(v) | Self::L(v) => out.extend(v.to_be_bytes()),
            Self::f(v) => out.extend(v.to_be_bytes()),
            Self::d(v) => out.extend(v.to_be_bytes()),
            Self::D(v) => {
                out.push(v.scale());
                out.extend(v.value().to_be_bytes());
            }
            Self::S(v) => put_long(out, v.as_bytes()),
            Self::A(v) => put_long(out, v.as_bytes()),
            Self::T(v) => out.extend(v.to_be_bytes()),
            Self::F(v) => put_long(out, v.as_bytes()),
            Self::V => {}
            Self::x(v) => put_long(out, v.as_bytes()),
        }
    }
}

/// The value alone, without its type; nothing is `()`.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::t(v) => v.fmt(f),
            Self::b(v) => v.fmt(f),
            Self::B(v) => v.fmt(f),
            Self::s(v) | Self::U(v) => v.fmt(f),
            Self::u(v) => v.fmt(f),
            Self::I(v) => v.fmt(f),
            Self::i(v) => v.fmt(f),
            Self::l(v) | Self::L(v) => v.fmt(f),
            Self::f(v) => v.fmt(f),
            Self::d(v) => v.fmt(f),
            Self::D(v) => v.fmt(f),
            Self::S(v) => v.fmt(f),
            Self::A(v) => v.fmt(f),
            Self::T(v) => v.fmt(f),
            Self::F(v) => v.fmt(f),
            Self::V => f.write_str("()"),
            Self::x(v) => v.fmt(f),
        }
    }
}

impl FromOctets for FieldValue {
    const NAME: &'static str = octets::TAGGED;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        let (wire, _) = split_tagged(octets)?;
        Self::from_wire(wire, 0)
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut octets = Vec::new();
        self.put(&mut octets);
        u32::try_from(octets.len()).map_err(serde::ser::Error::custom)?;
        Raw(&octets).serialize(serializer)
    }
}
