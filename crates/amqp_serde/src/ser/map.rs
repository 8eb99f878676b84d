//! Maps, which may have to tell their length in octets first.

use std::ops::DerefMut;

use bytes::BufMut;
use serde::Serialize;
use serde::ser;

use super::{Serializer, to_buffer};
use crate::octets;
use crate::{Error, Result};

/// Writes a map's keys and values one after the other.
pub struct MapSerializer<'a, 'b: 'a, W: BufMut> {
    serializer: &'a mut Serializer<'b, W>,
    /// Holds back what is written until its length is known.
    held: Option<Vec<u8>>,
}

impl<'a, 'b: 'a, W: BufMut> MapSerializer<'a, 'b, W> {
    pub(super) fn new(serializer: &'a mut Serializer<'b, W>, len: Option<usize>) -> Self {
        let held = len.is_none().then(Vec::new);
        Self { serializer, held }
    }
}

impl<'a, 'b: 'a, W> MapSerializer<'a, 'b, W>
where
    W: BufMut + DerefMut<Target = [u8]>,
{
    fn write<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match &mut self.held {
            Some(held) => to_buffer(&value, held).map(drop),
            None => value.serialize(&mut *self.serializer),
        }
    }
}

impl<'a, 'b: 'a, W> ser::SerializeMap for MapSerializer<'a, 'b, W>
where
    W: BufMut + DerefMut<Target = [u8]>,
{
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.write(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.write(value)
    }

    fn end(self) -> Result<()> {
        match self.held {
            Some(held) => octets::serialize_long(&held, self.serializer),
            None => Ok(()),
        }
    }
}
