//! From values to octets.

mod compound;
mod map;

use std::ops::DerefMut;

use bytes::BufMut;
use serde::Serialize;
use serde::ser::{self, Error as _};

use self::map::MapSerializer;
use crate::{Error, Result};

/// Writes a value; [`from_bytes`](crate::from_bytes) says how it then stands.
///
/// Strings, sequences and octets of Rust's own are written without a length,
/// and so are maps that know theirs; a map that does not is written with its
/// length in octets, as a `u32`.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    to_buffer(value, &mut octets)?;
    Ok(octets)
}

/// Appends a value to a buffer, and returns how many octets it took.
///
/// After an error the buffer may end with a part of the value.
pub fn to_buffer<T, U>(value: &T, buffer: &mut U) -> Result<usize>
where
    T: Serialize,
    U: BufMut + DerefMut<Target = [u8]>,
{
    let mut serializer = Serializer { output: buffer, written: 0 };
    value.serialize(&mut serializer)?;
    Ok(serializer.written)
}

/// Writes values into a buffer; see [`to_bytes`].
pub struct Serializer<'a, W: BufMut> {
    output: &'a mut W,
    written: usize,
}

impl<W: BufMut> Serializer<'_, W> {
    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<()> {
        if self.output.remaining_mut() < octets.len() {
            return Err(Error::custom("no room left in the buffer"));
        }
        self.output.put_slice(octets);
        self.written += octets.len();
        Ok(())
    }
}

macro_rules! numbers {
    ($($serialize:ident $number:ty;)+) => {$(
        #[inline]
        fn $serialize(self, number: $number) -> Result<()> {
            self.put(&number.to_be_bytes())
        }
    )+};
}

impl<'a, 'b: 'a, W> ser::Serializer for &'a mut Serializer<'b, W>
where
    W: BufMut + DerefMut<Target = [u8]>,
{
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = MapSerializer<'a, 'b, W>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_f32 f32;
        serialize_f64 f64;
    }

    #[inline]
    fn serialize_bool(self, flag: bool) -> Result<()> {
        self.put(&[u8::from(flag)])
    }

    fn serialize_char(self, character: char) -> Result<()> {
        self.serialize_str(character.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<()> {
        self.put(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, octets: &[u8]) -> Result<()> {
        self.put(octets)
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.put(variant.as_bytes())?;
        value.serialize(self)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Self> {
        Ok(self)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Self> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self> {
        self.put(variant.as_bytes())?;
        Ok(self)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self> {
        self.put(variant.as_bytes())?;
        Ok(self)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<MapSerializer<'a, 'b, W>> {
        Ok(MapSerializer::new(self, len))
    }
}
