//! How the types of this crate pass through serde: as whole runs of octets.
//!
//! serde's data model has no "length, then as many octets". So the types ask
//! for a newtype struct with one of the names below, and this crate's
//! [`Deserializer`](crate::Deserializer) knows the names and hands out the
//! octets.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{Error, Result};

/// One octet of length, then octets.
pub(crate) const SHORT: &str = "AMQP short string";
/// Four octets of length, then octets.
pub(crate) const LONG: &str = "AMQP long string, table, array or byte array";
/// A type tag, then what it calls for.
pub(crate) const TAGGED: &str = "AMQP field value";

/// A type that is made of a run of octets.
pub(crate) trait FromOctets: Sized {
    /// How the run is delimited: one of the names above.
    const NAME: &'static str;

    /// Makes a value of the octets between the delimiters.
    fn from_octets(octets: &[u8]) -> Result<Self>;
}

/// Reads a value that is made of a run of octets.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromOctets,
    D: Deserializer<'de>,
{
    deserializer.deserialize_newtype_struct(T::NAME, OctetsVisitor(PhantomData))
}

struct OctetsVisitor<T>(PhantomData<T>);

impl<T: FromOctets> Visitor<'_> for OctetsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }

    fn visit_bytes<E: serde::de::Error>(self, octets: &[u8]) -> Result<T, E> {
        T::from_octets(octets).map_err(E::custom)
    }
}

/// Octets that are written as they are.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Writes four octets of length, then the octets; an error if the length does
/// not fit.
pub(crate) fn serialize_long<S: Serializer>(
    octets: &[u8],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let length = u32::try_from(octets.len()).map_err(serde::ser::Error::custom)?;
    (length, Raw(octets)).serialize(serializer)
}

/// Appends four octets of length, then the octets.
///
/// A length that does not fit is written as the greatest that does: whatever
/// holds such octets is too long itself, and is refused by [`serialize_long`].
pub(crate) fn put_long(out: &mut Vec<u8>, octets: &[u8]) {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(octets);
}

/// The octets as an array of the size that their type tag called for.
pub(crate) fn exactly<const SIZE: usize>(octets: &[u8]) -> Result<[u8; SIZE]> {
    octets.try_into().map_err(|_| Error::custom("a value of the wrong size"))
}
