//! Strings of at most 255 octets.

use std::fmt;
use std::num::TryFromIntError;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seen;
use super::text::Text;
use crate::Result;
use crate::octets::{self, FromOctets, Raw};

/// The most octets a short string can hold: its length is one octet.
pub(super) const OCTETS_MAX: usize = 255;

/// A short string: up to 255 octets, nearly always text (AMQP 0-9-1 §4.2.5.3).
///
/// The specification calls for UTF-8, and RabbitMQ checks it in the arguments
/// of methods, but not in message properties and field names: there it
/// passes on any octets. [`as_bytes`](Self::as_bytes) always has them.
/// [`as_str`](Self::as_str) is `None` unless they are UTF-8. Every other view
/// as text has U+FFFD where they are not, and is itself never longer than a
/// short string may be: making a short string of it always works.
///
/// ```
/// use amqp_serde::types::ShortStr;
///
/// let name: ShortStr = "hello".try_into()?;
/// assert_eq!(name.as_str(), Some("hello"));
///
/// let name = ShortStr::try_from(&b"caf\xe9"[..])?;
/// assert_eq!(name.as_str(), None);
/// assert_eq!(name.to_string(), "caf\u{fffd}");
/// assert_eq!(name.as_bytes(), b"caf\xe9");
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShortStr(Arc<Text>);

impl ShortStr {
    /// Takes at most 255 octets.
    fn of(octets: &[u8]) -> Self {
        Self(seen::text(octets))
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

impl Default for ShortStr {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl TryFrom<String> for ShortStr {
    type Error = TryFromIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u8::try_from(text.len())?;
        Ok(Self(Arc::new(Text::from_text(text))))
    }
}

impl TryFrom<&str> for ShortStr {
    type Error = TryFromIntError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::try_from(text.as_bytes())
    }
}

impl TryFrom<&[u8]> for ShortStr {
    type Error = TryFromIntError;

    fn try_from(octets: &[u8]) -> Result<Self, Self::Error> {
        u8::try_from(octets.len())?;
        Ok(Self::of(octets))
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl From<ShortStr> for String {
    fn from(string: ShortStr) -> Self {
        Arc::unwrap_or_clone(string.0).into_lossy()
    }
}

/// The text, with U+FFFD where the octets are not UTF-8.
impl AsRef<String> for ShortStr {
    fn as_ref(&self) -> &String {
        self.0.lossy()
    }
}

impl fmt::Display for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.lossy())
    }
}

impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromOctets for ShortStr {
    const NAME: &'static str = octets::SHORT;

    fn from_octets(octets: &[u8]) -> Result<Self> {
        Ok(Self::of(octets))
    }
}

impl<'de> Deserialize<'de> for ShortStr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        octets::deserialize(deserializer)
    }
}

impl Serialize for ShortStr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let octets = self.as_bytes();
        let length = u8::try_from(octets.len()).map_err(serde::ser::Error::custom)?;
        (length, Raw(octets)).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_255_octets_are_refused() {
        assert!(ShortStr::try_from("x".repeat(255)).is_ok());
        assert!(ShortStr::try_from("x".repeat(256)).is_err());
        assert!(ShortStr::try_from(&[0xff; 256][..]).is_err());
    }

    #[test]
    fn the_text_of_any_short_string_makes_a_short_string() {
        let string = ShortStr::try_from(&[0xff; 255][..]).expect("255 octets");
        assert!(ShortStr::try_from(String::from(string)).is_ok());
    }
}
