//! Octets that are nearly always text.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A string of octets with a view as text.
///
/// Text is stored once, as a `String`. Only where the octets are not UTF-8 are
/// they kept beside it, and the `String` has U+FFFD in their place.
#[derive(Clone)]
pub(super) enum Text {
    Plain(String),
    Other(Box<Lossy>),
}

/// Octets that are not UTF-8, and what is shown for them.
#[derive(Clone)]
pub(super) struct Lossy {
    text: String,
    octets: Box<[u8]>,
}

impl Text {
    /// Takes text as it is.
    pub(super) fn from_text(text: String) -> Self {
        Self::Plain(text)
    }

    /// Takes octets. The view as text of octets that are not text is cut to
    /// `lossy_bytes_max`, since U+FFFD is three times as long as what it stands
    /// for.
    pub(super) fn from_octets(octets: &[u8], lossy_bytes_max: usize) -> Self {
        if let Ok(text) = std::str::from_utf8(octets) {
            return Self::from_text(text.to_owned());
        }
        let mut text = String::from_utf8_lossy(octets).into_owned();
        text.truncate(text.floor_char_boundary(lossy_bytes_max));
        Self::Other(Box::new(Lossy { text, octets: octets.into() }))
    }

    /// The octets.
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Plain(text) => text.as_bytes(),
            Self::Other(lossy) => &lossy.octets,
        }
    }

    /// The text, if the octets are UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    /// The text, with U+FFFD where the octets are not UTF-8.
    pub(super) fn lossy(&self) -> &String {
        match self {
            Self::Plain(text) => text,
            Self::Other(lossy) => &lossy.text,
        }
    }

    /// The text, with U+FFFD where the octets are not UTF-8.
    pub(super) fn into_lossy(self) -> String {
        match self {
            Self::Plain(text) => text,
            Self::Other(lossy) => lossy.text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "{text:?}"),
            Self::Other(lossy) => write!(f, "b\"{}\"", lossy.octets.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_stored_once() {
        let text = Text::from_octets("größe".as_bytes(), 255);
        assert_eq!(text.text(), Some("größe"));
        assert!(matches!(text, Text::Plain(_)));
    }

    #[test]
    fn octets_that_are_not_text_are_kept_beside_their_view() {
        let text = Text::from_octets(b"caf\xe9", 255);
        assert_eq!(text.text(), None);
        assert_eq!(text.lossy(), "caf\u{fffd}");
        assert_eq!(text.octets(), b"caf\xe9");
        assert_eq!(format!("{text:?}"), r#"b"caf\xe9""#);
    }

    #[test]
    fn a_view_is_cut_between_characters() {
        let text = Text::from_octets(&[0xff; 255], 255);
        assert_eq!(text.lossy().len(), 255);
        let text = Text::from_octets(&[b"a", &[0xff; 254][..]].concat(), 255);
        assert_eq!(text.lossy().len(), 253);
    }

    #[test]
    fn equality_is_of_octets_not_of_their_view() {
        let one = Text::from_octets(b"\xfe", 255);
        let other = Text::from_octets(b"\xff", 255);
        assert_eq!(one.lossy(), other.lossy());
        assert_ne!(one, other);
        assert_ne!(one, Text::from_text("\u{fffd}".to_owned()));
    }
}
