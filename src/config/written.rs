//! How a backend's strings stand in the files, before anything is put in the place of `${…}`.
//!
//! A definition holds values; whether one may be shown depends on where it came from.

use std::path::Path;

use toml::de::DeValue;

use super::Paths;
use super::read::{FILE_BYTES_MAX, read_text};
use super::tree::Table;

/// The string, or all the strings, at `key` of a backend, where the file has them as they are:
/// nothing was put in the place of a `${…}`.
///
/// `backend` is its place in `file`; a key that is not there is looked for among the main file's
/// defaults. `None` where it is not found. Names of headers have no case, so none is looked at.
#[must_use]
pub fn out(paths: &Paths, file: &Path, backend: usize, key: &[&str]) -> Option<Vec<String>> {
    let strings = in_file(file, backend, key).or_else(|| in_defaults(&paths.main_file(), key));
    strings.filter(|strings| strings.iter().all(|text| !text.contains("${")))
}

fn in_file(path: &Path, backend: usize, key: &[&str]) -> Option<Vec<String>> {
    read(path, |table| {
        let DeValue::Array(backends) = table.get("backend")?.get_ref() else { return None };
        let DeValue::Table(backend) = backends.get(backend)?.get_ref() else { return None };
        strings(backend, key)
    })
}

fn in_defaults(path: &Path, key: &[&str]) -> Option<Vec<String>> {
    read(path, |table| strings(table, &[&["defaults", "backend"], key].concat()))
}

fn read(path: &Path, find: impl FnOnce(&Table<'_>) -> Option<Vec<String>>) -> Option<Vec<String>> {
    let text = read_text(path, FILE_BYTES_MAX).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (table, _) = Table::parse_recoverable(text);
    find(table.get_ref())
}

fn strings(table: &Table<'_>, key: &[&str]) -> Option<Vec<String>> {
    let (first, rest) = key.split_first()?;
    let mut entries = table.iter();
    let (_, value) = entries.find(|(name, _)| name.get_ref().eq_ignore_ascii_case(first))?;
    match (value.get_ref(), rest) {
        (DeValue::Table(table), [_, ..]) => strings(table, rest),
        (DeValue::String(text), []) => Some(vec![text.to_string()]),
        (DeValue::Array(items), []) => {
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => None,
            });
            texts.collect()
        }
        (
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_told_from_what_stands_there() {
        let dir = tempfile::tempdir().unwrap();
        let (main, agent) = (dir.path().join("main.toml"), dir.path().join("one.toml"));
        let defaults = "[defaults.backend.headers]\nX-Tenant = \"acme\"\nx-key = \"${cred:key}\"\n";
        std::fs::write(&main, defaults).unwrap();
        let text = "[[backend]]\nhost = [\"http://a\", \"http://${env:B}\"]\nurl_pattern = \"/a\"\n\
                    [[backend]]\nhost = \"http://a\"\nheaders = { x-a = \"$${x}\" }\n";
        std::fs::write(&agent, text).unwrap();
        let paths = Paths { main: Some(main), agents: None };
        let is_out = |backend, key: &[&str]| out(&paths, &agent, backend, key).is_some();
        assert!(is_out(0, &["url_pattern"]) && is_out(1, &["host"]));
        assert!(!is_out(0, &["host"]), "one of them is enough");
        assert!(is_out(1, &["headers", "x-tenant"]), "inherited, in other letters");
        assert!(!is_out(1, &["headers", "x-key"]));
        assert!(!is_out(1, &["headers", "x-a"]), "rather one too many than one too few");
        assert!(!is_out(2, &["host"]) && !is_out(1, &["url_pattern"]), "not there");
    }
}
