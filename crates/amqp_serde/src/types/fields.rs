//! A table's fields and an array's values, read straight from their octets.

use std::iter::FusedIterator;

use super::{DEPTH_MAX, FieldName, FieldValue};
use crate::octets::FromOctets;
use crate::scan::{Tagged, split_short, split_tagged};

/// One field of a table, not yet understood: nothing is copied until
/// [`name`](Self::name) or [`value`](Self::value) is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    name: &'a [u8],
    value: Tagged<'a>,
}

impl<'a> Field<'a> {
    /// The octets of the name.
    #[inline]
    #[must_use]
    pub fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> FieldName {
        FieldName::from_octets(self.name).unwrap_or_default()
    }

    /// The value's tag (AMQP 0-9-1 §4.2.1, RabbitMQ errata 3).
    #[inline]
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.value.tag
    }

    /// The value's octets, without tag and length.
    #[inline]
    #[must_use]
    pub fn value_bytes(&self) -> &'a [u8] {
        self.value.payload
    }

    /// The value's text, if it is a long string and UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self.value.tag {
            b'S' => std::str::from_utf8(self.value.payload).ok(),
            _ => None,
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> FieldValue {
        self.value_at(0)
    }

    pub(super) fn value_at(&self, depth: u8) -> FieldValue {
        // Only what has a known tag and the right size was cut off as a field.
        FieldValue::from_wire(self.value, depth).unwrap_or(FieldValue::V)
    }
}

/// The fields of a table, in the order of the wire, none left out.
///
/// Ends before the first field that is not understood.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Fields<'a> {
    pub(super) fn new(octets: &'a [u8], depth: u8) -> Self {
        Self { rest: octets, depth }
    }

    /// What has not been handed out: after the last field, the octets that are
    /// not understood.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let (name, rest) = split_short(self.rest).ok()?;
        let (value, rest) = split_tagged(rest).ok()?;
        self.rest = rest;
        Some(Field { name, value })
    }
}

impl FusedIterator for Fields<'_> {}

/// The values of an array, up to the first that is not understood.
pub(super) struct Values<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Values<'a> {
    pub(super) fn new(octets: &'a [u8], depth: u8) -> Self {
        Self { rest: octets, depth }
    }

    /// What has not been handed out.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Tagged<'a>;

    fn next(&mut self) -> Option<Tagged<'a>> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let (value, rest) = split_tagged(self.rest).ok()?;
        self.rest = rest;
        Some(value)
    }
}
