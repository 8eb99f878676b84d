//! Structs and tuples: as many values as they have fields.

use serde::de::{DeserializeSeed, SeqAccess};

use super::Deserializer;
use crate::{Error, Result};

pub(super) struct Counted<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    left: usize,
}

impl<'a, 'de> Counted<'a, 'de> {
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>, left: usize) -> Self {
        Self { deserializer, left }
    }
}

impl<'de> SeqAccess<'de> for Counted<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
