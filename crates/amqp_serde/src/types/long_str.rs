//! Strings of up to 4 GiB.

use std::fmt;
use std::num::TryFromIntError;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::Text;
use crate::Result;
use crate::octets::{self, FromOctets};

/// A long string: octets of any kind, nearly always text (AMQP 0-9-1
/// §4.2.5.3); tag `S`.
///
/// RabbitMQ never looks into them. [`as_bytes`](Self::as_bytes) always has
/// them, [`as_str`](Self::as_str) only if they are UTF-8, and every other view
/// as text has U+FFFD where they are not.
///
/// ```
/// use amqp_serde::types::LongStr;
///
/// let string: LongStr = "hello".try_into()?;
/// assert_eq!(string.as_str(), Some("hello"));
///
/// let string = LongStr::try_from(&b"\x00\xff"[..])?;
/// assert_eq!(string.as_str(), None);
/// assert_eq!(string.as_bytes(), b"\x00\xff");
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LongStr(Box<Text>);

impl LongStr {
    /// Takes text of any length. Beyond 4 GiB it can be held, not written.
    pub(super) fn from_text(text: String) -> Self {
        Self(Box::new(Text::from_text(text)))
    }

    /// Takes octets of any length.
    pub(super) fn from_wire(octets: &[u8]) -> Self {
        Self(Box::new(Text::from_octets(octets, usize::MAX)))
    }

    /// The octets, as they stood or will stand on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.octets()
    }

    /// The text, or `None` if the octets are not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.text()
    }
}

impl Default for LongStr {
    fn default() -> Self {
        Self::from_text(String::new())
    }
}

impl TryFrom<String> for LongStr {
    type Error = TryFromIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u32::try_from(text.len())?;
        Ok(Self::from_text(text))
    }
}

impl TryFrom<&str> for LongStr {
    type Error = TryFromIntError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.to_owned().try_into()
    }
}

impl TryFrom<&[u8]> for LongStr {
    type Error = TryFromIntError;

    fn try_from(octets: &[u8]) -> Result<Self, Self::Error> {
        u32::try_from(octets.len())?;
        Ok(Self::from_wire(octets))
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl From<LongStr> for String {
    fn from(string: LongStr) -> Self {
        string.0.into_lossy()
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl AsRef<String> for LongStr {
    fn as_ref(&self) -> &String {
        self.0.lossy()
    }
}

impl fmt::Display for LongStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.lossy())
    }
}

impl fmt::Debug for LongStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromOctets for LongStr {
    const NAME: &'static str = octets::LONG;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        Ok(Self::from_wire(octets))
    }
}

impl<'de> Deserialize<'de> for LongStr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for LongStr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        octets::serialize_long(self.as_bytes(), serializer)
    }
}
