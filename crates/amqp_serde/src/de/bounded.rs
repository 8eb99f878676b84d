//! Sequences and maps: as many values as their octets hold.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::Deserializer;
use crate::{Error, Result};

pub(super) struct Bounded<'de> {
    inner: Deserializer<'de>,
}

impl<'de> Bounded<'de> {
    pub(super) fn new(octets: &'de [u8]) -> Self {
        Self { inner: Deserializer::from_bytes(octets) }
    }

    /// Reads with `read`, and refuses octets that it left.
    pub(super) fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let value = read(&mut self)?;
        if self.inner.input.is_empty() { Ok(value) } else { Err(Error::Incomplete) }
    }

    /// Reads one value, which must take octets: else there would be no end.
    fn next<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let before = self.inner.input.len();
        if before == 0 {
            return Ok(None);
        }
        let value = seed.deserialize(&mut self.inner)?;
        if self.inner.input.len() == before {
            return Err(Error::Syntax);
        }
        Ok(Some(value))
    }
}

impl<'de> SeqAccess<'de> for &mut Bounded<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for &mut Bounded<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.next(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut self.inner)
    }
}
