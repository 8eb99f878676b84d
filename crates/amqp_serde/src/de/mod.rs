//! From octets to values.

mod bounded;
mod counted;
mod tagged;

use serde::de::{self, Deserialize, Visitor};

use self::bounded::Bounded;
use self::counted::Counted;
use self::tagged::Variant;
use crate::octets::{LONG, SHORT, TAGGED};
use crate::scan::{split_fixed, split_long, split_measured, split_short, split_tagged};
use crate::{Error, Result};

/// Reads a value of which the octets are the whole.
///
/// AMQP's octets do not say what they are, so `T` decides what is read. The
/// types of [`types`](crate::types) bring their own lengths. Numbers are
/// big-endian (AMQP 0-9-1 §4.2.5.1), structs and tuples are their fields one
/// after the other, and an `Option` is always there. A string, sequence or map
/// of Rust's own needs its length in octets right before it, as a `u8` or
/// `u32`; the name of an enum's variant is one octet.
pub fn from_bytes<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<T> {
    let mut deserializer = Deserializer::from_bytes(octets);
    let value = T::deserialize(&mut deserializer)?;
    if deserializer.input.is_empty() { Ok(value) } else { Err(Error::Incomplete) }
}

/// Reads values from the front of octets; see [`from_bytes`].
pub struct Deserializer<'de> {
    input: &'de [u8],
    /// What the last number read says about the size of what comes next.
    length: Option<u32>,
}

impl<'de> Deserializer<'de> {
    /// Reads these octets.
    #[must_use]
    pub fn from_bytes(octets: &'de [u8]) -> Self {
        Self { input: octets, length: None }
    }

    /// Keeps the second half of what was cut, and gives out the first.
    #[inline]
    fn advance<T>(&mut self, cut: (T, &'de [u8])) -> T {
        let (value, rest) = cut;
        self.input = rest;
        self.length = None;
        value
    }

    #[inline]
    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE]> {
        let (array, rest) = self.input.split_first_chunk().ok_or(Error::Eof)?;
        Ok(self.advance((*array, rest)))
    }

    #[inline]
    fn octet(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// As many octets as the number before them says.
    fn measured(&mut self) -> Result<&'de [u8]> {
        let length = self.length.ok_or(Error::ExpectedLength)?;
        let length = usize::try_from(length).map_err(|_| Error::Syntax)?;
        let cut = split_measured(self.input, length)?;
        Ok(self.advance(cut))
    }

    #[inline]
    fn short(&mut self) -> Result<&'de [u8]> {
        let cut = split_short(self.input)?;
        Ok(self.advance(cut))
    }

    #[inline]
    fn long(&mut self) -> Result<&'de [u8]> {
        let cut = split_long(self.input)?;
        Ok(self.advance(cut))
    }

    fn tagged(&mut self) -> Result<&'de [u8]> {
        let (_, rest) = split_tagged(self.input)?;
        let cut = split_fixed(self.input, self.input.len() - rest.len())?;
        Ok(self.advance(cut))
    }
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident $number:ty;)+) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(<$number>::from_be_bytes(self.array()?))
        }
    )+};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u16 visit_u16 u16;
        deserialize_u64 visit_u64 u64;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.octet()?;
        self.length = Some(number.into());
        visitor.visit_u8(number)
    }

    #[inline]
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.array().map(u32::from_be_bytes)?;
        self.length = Some(number);
        visitor.visit_u32(number)
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_bool(self.octet()? != 0)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let text = std::str::from_utf8(self.measured()?).map_err(de::Error::custom)?;
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_bytes(self.measured()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_byte_buf(self.measured()?.to_owned())
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            SHORT => visitor.visit_borrowed_bytes(self.short()?),
            LONG => visitor.visit_borrowed_bytes(self.long()?),
            TAGGED => visitor.visit_borrowed_bytes(self.tagged()?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        Bounded::new(self.measured()?).finish(|bounded| visitor.visit_seq(bounded))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        Bounded::new(self.measured()?).finish(|bounded| visitor.visit_map(bounded))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Counted::new(self, len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Counted::new(self, len))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Counted::new(self, fields.len()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(Variant::new(self))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value> {
        Err(de::Error::custom("AMQP's octets do not say what they are"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }
}
