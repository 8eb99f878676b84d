//! Between field values and Rust's own types.

use super::{FieldTable, FieldValue, LongStr};
use crate::{Error, Result};

fn is_not(what: &str) -> Error {
    Error::Message(format!("not a {what}"))
}

impl From<bool> for FieldValue {
    fn from(flag: bool) -> Self {
        Self::t(flag)
    }
}

impl From<FieldTable> for FieldValue {
    fn from(table: FieldTable) -> Self {
        Self::F(table)
    }
}

impl From<LongStr> for FieldValue {
    fn from(string: LongStr) -> Self {
        Self::S(string)
    }
}

/// Text becomes a long string: RabbitMQ has no short strings as values
/// (RabbitMQ errata 3). Text of more than 4 GiB is refused when it is written.
impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::S(LongStr::from_text(text))
    }
}

/// As from a `String`.
impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl TryFrom<FieldValue> for bool {
    type Error = Error;

    fn try_from(value: FieldValue) -> Result<Self> {
        if let FieldValue::t(flag) = value { Ok(flag) } else { Err(is_not("bool")) }
    }
}

impl TryFrom<FieldValue> for FieldTable {
    type Error = Error;

    fn try_from(value: FieldValue) -> Result<Self> {
        if let FieldValue::F(table) = value { Ok(table) } else { Err(is_not("FieldTable")) }
    }
}

impl TryFrom<FieldValue> for LongStr {
    type Error = Error;

    fn try_from(value: FieldValue) -> Result<Self> {
        if let FieldValue::S(string) = value { Ok(string) } else { Err(is_not("LongStr")) }
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl TryFrom<FieldValue> for String {
    type Error = Error;

    fn try_from(value: FieldValue) -> Result<Self> {
        LongStr::try_from(value).map(Self::from)
    }
}

impl<'a> TryFrom<&'a FieldValue> for &'a LongStr {
    type Error = Error;

    fn try_from(value: &'a FieldValue) -> Result<Self> {
        if let FieldValue::S(string) = value { Ok(string) } else { Err(is_not("LongStr")) }
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl<'a> TryFrom<&'a FieldValue> for &'a String {
    type Error = Error;

    fn try_from(value: &'a FieldValue) -> Result<Self> {
        <&LongStr>::try_from(value).map(AsRef::as_ref)
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl<'a> TryFrom<&'a FieldValue> for &'a str {
    type Error = Error;

    fn try_from(value: &'a FieldValue) -> Result<Self> {
        <&String>::try_from(value).map(String::as_str)
    }
}
