//! Enums: a variant named by one octet, then what it holds.

use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

use super::Deserializer;
use crate::{Error, Result};

pub(super) struct Variant<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
}

impl<'a, 'de> Variant<'a, 'de> {
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let tag = [self.deserializer.octet()?];
        let name = std::str::from_utf8(&tag).map_err(|_| Error::Syntax)?;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.deserializer)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_tuple(self.deserializer, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.tuple_variant(fields.len(), visitor)
    }
}
