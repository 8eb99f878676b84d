//! Octets that are not meant as text.

use std::fmt;
use std::num::TryFromIntError;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Result;
use crate::octets::{self, FromOctets};

/// A byte array (RabbitMQ errata 3); tag `x`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ByteArray(Vec<u8>);

impl ByteArray {
    /// Takes octets of any length.
    pub(super) fn from_wire(octets: &[u8]) -> Self {
        Self(octets.to_owned())
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for ByteArray {
    type Error = TryFromIntError;

    fn try_from(octets: Vec<u8>) -> Result<Self, Self::Error> {
        u32::try_from(octets.len())?;
        Ok(Self(octets))
    }
}

impl From<ByteArray> for Vec<u8> {
    fn from(array: ByteArray) -> Self {
        array.0
    }
}

impl AsRef<[u8]> for ByteArray {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A list of numbers: `[1, 2, 3]`.
impl fmt::Display for ByteArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for ByteArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl FromOctets for ByteArray {
    const NAME: &'static str = octets::LONG;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        Ok(Self::from_wire(octets))
    }
}

impl<'de> Deserialize<'de> for ByteArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for ByteArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        octets::serialize_long(&self.0, serializer)
    }
}
