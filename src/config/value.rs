//! The kinds of value that TOML and serde do not have: durations, string or list, statuses.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use toml::Spanned;

use super::definition::Argument;
use super::source_map::Span;
use crate::outcome::StatusPattern;

/// A table and nothing else: serde would take a list for a struct, value by value.
#[derive(Debug, Default)]
pub(super) struct Section<T>(T);

impl<T> Deref for Section<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SectionVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
            type Value = Section<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Section<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(entries)).map(Section)
            }
        }
        deserializer.deserialize_map(SectionVisitor(PhantomData))
    }
}

/// A string, or a list of them.
#[derive(Debug)]
pub(super) enum Strings {
    /// `key = "a"`
    One(String),
    /// `key = ["a", "b"]`
    Many(Vec<Spanned<String>>),
}

impl Strings {
    /// Each with its own span; `span` is the value's.
    pub(super) fn each(&self, span: &Span) -> Vec<(Span, &str)> {
        match self {
            Self::One(text) => vec![(span.clone(), text)],
            Self::Many(texts) => {
                texts.iter().map(|text| (text.span(), text.get_ref().as_str())).collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;
        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Strings;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Strings, E> {
                Ok(Strings::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strings, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Strings::Many(texts))
            }
        }
        deserializer.deserialize_any(StringsVisitor)
    }
}

/// A duration as Go, and so KrakenD, writes it: `"250ms"`, `"1.5s"`, `"1h30m"`; `"2d"` besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period(pub Duration);

impl Period {
    /// Reads `text`; `None` if it is no duration, or longer than 10000 days.
    pub(super) fn parse(text: &str) -> Option<Self> {
        const NANOS_MAX: f64 = 1e4 * 86_400e9;
        let mut nanos = 0.0_f64;
        let mut rest = text;
        if rest == "0" {
            return Some(Self(Duration::ZERO));
        }
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit() || c == '.');
            let (unit, next) = after.split_at(letters.unwrap_or(after.len()));
            let factor = match unit {
                "ns" => 1.0,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                "d" => 86_400e9,
                _ => return None,
            };
            nanos += number.parse::<f64>().ok()? * factor;
            rest = next;
        }
        // Nanoseconds, so that "0.1s" is 100 ms and not a float's idea of it.
        (nanos <= NANOS_MAX).then(|| Self(Duration::from_secs_f64(nanos / 1e9)))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PeriodVisitor;
        impl Visitor<'_> for PeriodVisitor {
            type Value = Period;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration such as \"250ms\", \"5s\", \"2m\" or \"1h\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
                Period::parse(text)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("no duration"), &self))
            }
        }
        deserializer.deserialize_any(PeriodVisitor)
    }
}

/// The value of an argument.
#[derive(Debug)]
pub(super) struct Scalar(pub Argument);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, an integer or a boolean")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Argument::Boolean(value)))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Argument::Integer(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Argument::Text(value.to_owned())))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A status code or a class of them: `404`, `"404"`, `"4xx"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusEntry(pub StatusPattern);

impl StatusEntry {
    fn from_code(code: i64) -> Option<Self> {
        let code = u16::try_from(code).ok().filter(|code| (100..600).contains(code));
        code.map(|code| Self(StatusPattern::Code(code)))
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().strip_suffix("xx") {
            Some(class) => {
                let class: u16 = class.parse().ok()?;
                (1..6).contains(&class).then_some(Self(StatusPattern::Class(class)))
            }
            None => Self::from_code(text.parse().ok()?),
        }
    }
}

impl fmt::Display for StatusEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StatusPattern::Code(code) => write!(formatter, "{code}"),
            StatusPattern::Class(class) => write!(formatter, "{class}xx"),
        }
    }
}

impl<'de> Deserialize<'de> for StatusEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusVisitor;
        impl Visitor<'_> for StatusVisitor {
            type Value = StatusEntry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a status from 100 to 599, or a class from \"1xx\" to \"5xx\"")
            }

            fn visit_i64<E: Error>(self, code: i64) -> Result<StatusEntry, E> {
                StatusEntry::from_code(code)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("no status"), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusEntry, E> {
                StatusEntry::from_text(text)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("no status"), &self))
            }
        }
        deserializer.deserialize_any(StatusVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("0.1s", 100),
            ("1.5s", 1500),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1000us", 1),
        ] {
            let period = Period::parse(text);
            assert_eq!(period, Some(Period(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "5x", "1.2.3s", ".", "1e3s", "99999999h", "5sm"] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn statuses_are_codes_or_classes() {
        let text = |text| StatusEntry::from_text(text).map(|entry| entry.to_string());
        assert_eq!(text("404").as_deref(), Some("404"));
        assert_eq!(text("4XX").as_deref(), Some("4xx"));
        for wrong in ["", "xx", "6xx", "0xx", "99", "600", "+4xx5", "4x", "\u{663}xx"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
