//! Tables of named values.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FieldName, FieldValue, Fields};
use crate::Result;
use crate::octets::{self, FromOctets};

/// A table of named values (AMQP 0-9-1 §4.2.5.5), such as a message's headers;
/// tag `F`.
///
/// A table is the octets it was read from, and writes them again: order,
/// repeated names, tags and whatever is not understood included.
/// [`insert`](Self::insert) and [`remove`](Self::remove) change only the octets
/// of the field they name.
///
/// Two views lie over the octets. [`iter`](Self::iter) reads them on the spot:
/// every field, in order, nothing copied. [`get`](Self::get) and `as_ref()`
/// need a `HashMap`, made when first asked for and kept; it has no order, and
/// of fields with the same name only the last.
///
/// ```
/// use amqp_serde::types::{FieldTable, FieldValue};
///
/// let mut headers = FieldTable::new();
/// headers.insert("kind".try_into()?, "order".into());
/// headers.insert("count".try_into()?, FieldValue::I(3));
/// assert_eq!(headers.get(&"count".try_into()?), Some(&FieldValue::I(3)));
///
/// let names: Vec<_> = headers.iter().map(|field| field.name_bytes()).collect();
/// assert_eq!(names, [&b"kind"[..], b"count"]);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Default)]
pub struct FieldTable(Box<Inner>);

#[derive(Default)]
struct Inner {
    octets: Vec<u8>,
    depth: u8,
    view: OnceLock<Box<View>>,
}

/// A table's values by their names, of several the last.
struct View(HashMap<FieldName, FieldValue>);

impl FieldTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A table that stands `depth` tables and arrays deep.
    pub(super) fn from_wire(octets: &[u8], depth: u8) -> Self {
        Self(Box::new(Inner { octets: octets.to_owned(), depth, view: OnceLock::new() }))
    }

    /// Puts a field at the end, and takes out what had the same name. Returns
    /// what that was: of several, the last.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the interface that this crate stands in for takes both by value"
    )]
    pub fn insert(&mut self, name: FieldName, value: FieldValue) -> Option<FieldValue> {
        let previous = self.remove(&name);
        let end = self.0.octets.len() - self.opaque_tail().len();
        let tail = self.0.octets.split_off(end);
        let name = name.as_bytes();
        self.0.octets.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.0.octets.extend_from_slice(name);
        value.put(&mut self.0.octets);
        self.0.octets.extend(tail);
        self.0.view.take();
        previous
    }

    /// Takes out every field of that name, and returns the last.
    pub fn remove(&mut self, name: &FieldName) -> Option<FieldValue> {
        let mut removed = None;
        let mut spans = Vec::new();
        let mut fields = self.iter();
        let mut start = 0;
        while let Some(field) = fields.next() {
            let end = self.0.octets.len() - fields.rest().len();
            if field.name_bytes() == name.as_bytes() {
                removed = Some(field);
                spans.push(start..end);
            }
            start = end;
        }
        let removed = removed?.value();
        for span in spans.into_iter().rev() {
            self.0.octets.drain(span);
        }
        self.0.view.take();
        Some(removed)
    }

    /// The value of that name: of several, the last.
    #[must_use]
    pub fn get(&self, name: &FieldName) -> Option<&FieldValue> {
        self.view().get(name)
    }

    /// Every field, in the order of the wire.
    #[must_use]
    pub fn iter(&self) -> Fields<'_> {
        Fields::new(&self.0.octets, self.0.depth)
    }

    /// Whether there is nothing in it, understood or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.octets.is_empty()
    }

    /// The octets, without the length before them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.octets
    }

    /// The octets from the first field on that is not understood: an unknown
    /// tag, a length beyond the table's end, or a table within more than 64
    /// others. Empty in whatever RabbitMQ lets through, but for the last.
    #[must_use]
    pub fn opaque_tail(&self) -> &[u8] {
        let mut fields = self.iter();
        fields.by_ref().for_each(drop);
        fields.rest()
    }

    /// Names and values, in the order of the wire.
    fn understand(&self) -> impl Iterator<Item = (FieldName, FieldValue)> {
        let below = self.0.depth.saturating_add(1);
        self.iter().map(move |field| (field.name(), field.value_at(below)))
    }

    fn view(&self) -> &HashMap<FieldName, FieldValue> {
        let view = self.0.view.get_or_init(|| Box::new(View(self.understand().collect())));
        &view.0
    }
}

/// Tables are equal when they hold equal values under equal names, in whatever
/// order.
impl PartialEq for FieldTable {
    fn eq(&self, other: &Self) -> bool {
        self.0.octets == other.0.octets
            || (self.view() == other.view() && self.opaque_tail() == other.opaque_tail())
    }
}

/// A clone has the octets, and makes a view of its own when asked for one.
impl Clone for FieldTable {
    fn clone(&self) -> Self {
        Self::from_wire(&self.0.octets, 0)
    }
}

impl AsRef<HashMap<FieldName, FieldValue>> for FieldTable {
    fn as_ref(&self) -> &HashMap<FieldName, FieldValue> {
        self.view()
    }
}

impl<'a> IntoIterator for &'a FieldTable {
    type Item = super::Field<'a>;
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// `{ name: value, name: value }`, in the order of the wire.
impl fmt::Display for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = self.0.depth.saturating_add(1);
        f.write_str("{ ")?;
        for (index, field) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", field.name(), field.value_at(below))?;
        }
        f.write_str(if self.iter().next().is_some() { " }" } else { "}" })
    }
}

impl fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.understand()).finish()
    }
}

impl FromOctets for FieldTable {
    const NAME: &'static str = octets::LONG;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        Ok(Self::from_wire(octets, 0))
    }
}

impl<'de> Deserialize<'de> for FieldTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for FieldTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        octets::serialize_long(&self.0.octets, serializer)
    }
}
