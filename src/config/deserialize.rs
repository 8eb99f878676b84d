//! From a tree to a spec, with every key that is wrong reported at once.
//!
//! serde stops at the first error. So the entry that it complains about is reported, cut out
//! of the tree, and the rest is read again, until nothing is wrong any more.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::report::Report;
use super::source_map::{FileId, Span};
use super::suggest::unknown_key;
use super::tree::{Table, cut};

/// The most entries that are cut out of one file.
const CUTS_MAX: usize = 100;

/// What `table`, of `file`, says; entries that are wrong are reported and taken out of it.
pub(super) fn deserialize<T: DeserializeOwned + Default>(
    file: FileId,
    table: &mut Table<'_>,
    report: &mut Report<'_>,
) -> T {
    let base = report.sources.base(file);
    for _ in 0..CUTS_MAX {
        let root = Spanned::new(base..base, table.clone());
        let error = match T::deserialize(toml::de::Deserializer::from(root)) {
            Ok(spec) => return spec,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(base..base);
        let Some(path) = cut(table, &span) else {
            report.error(&span, wrong_type(error.message()).0, "write what the manual says");
            break;
        };
        describe(error.message(), &span, &path, file, report);
    }
    report.broken_without_more(file);
    T::default()
}

fn describe(message: &str, span: &Span, path: &str, file: FileId, report: &mut Report<'_>) {
    if let Some((key, known)) = unknown_field(message) {
        let unknown = unknown_key(key, &known, path);
        report.error(span, unknown.problem, unknown.remedy);
        if let Some(meant) = unknown.meant {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            let meant = if parent.is_empty() { meant } else { format!("{parent}.{meant}") };
            report.remove(file, meant);
        }
        return;
    }
    let key = path.rsplit('.').find(|part| part.parse::<usize>().is_err()).unwrap_or(path);
    let (found, wanted) = wrong_type(message);
    let remedy = match (key, found.as_str()) {
        ("backend", "a table") if path == "backend" => "write `[[backend]]`".to_owned(),
        ("backend", "a list") => "write `[defaults.backend]`, one table for all".to_owned(),
        _ => format!("write {wanted}"),
    };
    report.error(span, format!("`{key}` is {found}"), remedy);
    report.remove(file, path.to_owned());
}

/// The key and the known ones in serde's message for an unknown field.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, known) = rest.rsplit_once("`, expected ")?;
    Some((key, known.split('`').skip(1).step_by(2).collect()))
}

/// What was found and what is wanted, in a user's words and without the value itself.
fn wrong_type(message: &str) -> (String, String) {
    let fault = ["invalid type: ", "invalid value: ", "invalid length: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix));
    let Some((found, wanted)) = fault.and_then(|rest| rest.split_once(", expected ")) else {
        return ("out of range".to_owned(), "a smaller number".to_owned());
    };
    if found.starts_with("integer") && wanted == "i64" {
        return ("out of range".to_owned(), "a smaller number".to_owned());
    }
    let kinds = [
        ("string", "a string"),
        ("integer", "an integer"),
        ("floating point", "a number with a fraction"),
        ("boolean", "a boolean"),
        ("sequence", "a list"),
        ("map", "a table"),
        ("no ", found),
    ];
    let found = kinds.iter().find(|(kind, _)| found.starts_with(kind));
    let found = found.map_or("of another type", |(_, words)| words);
    let wanted = match wanted {
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "a string" => "a string in quotes",
        _ if wanted.starts_with("struct ") => "a table",
        _ => wanted,
    };
    (found.to_owned(), wanted.to_owned())
}

/// The keys of the table that `T` is.
pub(super) fn keys_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The deserializer has nothing to give: it only hears which fields it is asked for.
    if T::deserialize(KeyListener { keys: &mut keys }).is_ok() {
        return &[];
    }
    keys
}

struct KeyListener<'k> {
    keys: &'k mut &'static [&'static str],
}

impl<'de> serde::Deserializer<'de> for KeyListener<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.keys = fields;
        Err(serde::de::Error::custom("only the keys were wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}
