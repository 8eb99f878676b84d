//! Lists of values.

use std::fmt;
use std::num::TryFromIntError;
use std::slice;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FieldValue;
use super::fields::Values;
use crate::Result;
use crate::octets::{self, FromOctets};

/// A list of values, of any types (AMQP 0-9-1 §4.2.1; its length is four
/// octets, RabbitMQ errata 3); tag `A`.
///
/// Like a [`FieldTable`](super::FieldTable), it is the octets it was read from,
/// and writes them again. The values are understood when first asked for.
///
/// ```
/// use amqp_serde::types::{FieldArray, FieldValue};
///
/// let array = FieldArray::try_from(vec![FieldValue::t(true), "a".into()])?;
/// assert_eq!(array.as_slice()[0], FieldValue::t(true));
/// assert_eq!(array.to_string(), "[ true, a ]");
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Default)]
pub struct FieldArray {
    octets: Box<[u8]>,
    depth: u8,
    view: OnceLock<Box<[FieldValue]>>,
}

impl FieldArray {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A list that stands `depth` tables and arrays deep.
    pub(super) fn from_wire(octets: &[u8], depth: u8) -> Self {
        Self { octets: octets.into(), depth, view: OnceLock::new() }
    }

    /// The values, up to the first that is not understood.
    #[must_use]
    pub fn as_slice(&self) -> &[FieldValue] {
        self.view.get_or_init(|| self.understand().collect())
    }

    /// The values, one after the other.
    pub fn iter(&self) -> slice::Iter<'_, FieldValue> {
        self.as_slice().iter()
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The octets, without the length before them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// The octets from the first value on that is not understood; see
    /// [`FieldTable::opaque_tail`](super::FieldTable::opaque_tail).
    #[must_use]
    pub fn opaque_tail(&self) -> &[u8] {
        let mut values = self.values();
        values.by_ref().for_each(drop);
        values.rest()
    }

    /// The values as they stand on the wire.
    fn values(&self) -> Values<'_> {
        Values::new(&self.octets, self.depth)
    }

    fn understand(&self) -> impl Iterator<Item = FieldValue> {
        let below = self.depth.saturating_add(1);
        self.values().filter_map(move |wire| FieldValue::from_wire(wire, below).ok())
    }
}

impl TryFrom<Vec<FieldValue>> for FieldArray {
    type Error = TryFromIntError;

    fn try_from(values: Vec<FieldValue>) -> Result<Self, Self::Error> {
        let mut octets = Vec::new();
        for value in &values {
            value.put(&mut octets);
        }
        u32::try_from(octets.len())?;
        Ok(Self { octets: octets.into(), depth: 0, view: OnceLock::new() })
    }
}

/// The values that are understood.
impl From<FieldArray> for Vec<FieldValue> {
    fn from(array: FieldArray) -> Self {
        if array.view.get().is_none() {
            return array.understand().collect();
        }
        array.view.into_inner().map(Self::from).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a FieldArray {
    type Item = &'a FieldValue;
    type IntoIter = slice::Iter<'a, FieldValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl AsRef<[FieldValue]> for FieldArray {
    fn as_ref(&self) -> &[FieldValue] {
        self.as_slice()
    }
}

impl PartialEq for FieldArray {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
            || (self.as_slice() == other.as_slice() && self.opaque_tail() == other.opaque_tail())
    }
}

/// A clone has the octets, and makes a view of its own when asked for one.
impl Clone for FieldArray {
    fn clone(&self) -> Self {
        Self::from_wire(&self.octets, 0)
    }
}

/// `[ value, value ]`.
impl fmt::Display for FieldArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[ ")?;
        for (index, value) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{value}")?;
        }
        f.write_str(if self.is_empty() { "]" } else { " ]" })
    }
}

impl fmt::Debug for FieldArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl FromOctets for FieldArray {
    const NAME: &'static str = octets::LONG;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        Ok(Self::from_wire(octets, 0))
    }
}

impl<'de> Deserialize<'de> for FieldArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for FieldArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        octets::serialize_long(&self.octets, serializer)
    }
}
