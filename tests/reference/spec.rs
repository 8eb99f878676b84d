//! The keys as the code has them.

use super::text;

/// Each Rust type of a key, without what wraps it, in words.
const TYPES: [(&str, &str); 13] = [
    ("i64", "integer"),
    ("f64", "number"),
    ("bool", "boolean"),
    ("String", "string"),
    ("Strings", "string or list"),
    ("Period", "duration"),
    ("Vec<Spanned<Period>>", "list of durations"),
    ("Vec<Spanned<StatusEntry>>", "list of codes and classes"),
    ("BTreeMap<Spanned<String>, Spanned<Scalar>>", "table of strings, integers and booleans"),
    ("BTreeMap<Spanned<String>, Spanned<String>>", "table of strings"),
    ("Section<BrokerTlsSpec>", "table"),
    ("Section<StatusSpec>", "table"),
    ("Section<BackendTlsSpec>", "table"),
];

/// A key as `src/config/spec.rs` has it.
pub(crate) struct Key {
    pub(crate) spec: String,
    pub(crate) name: String,
    rust_type: String,
    comment: String,
}

impl Key {
    /// It is a table with a heading of its own.
    pub(crate) fn is_section(&self) -> bool {
        let top = matches!(self.spec.as_str(), "MainSpec" | "DefaultsSpec" | "AgentSpec");
        let words = ["Table", "List of tables", "One table"];
        top && words.iter().any(|words| self.comment.starts_with(words))
    }

    pub(crate) fn default(&self) -> String {
        if self.comment.contains(", required: ") {
            return "required".to_owned();
        }
        let default = self.comment.split_once("Default: ").map_or("", |(_, default)| default);
        default.trim_end_matches('.').replace('`', "")
    }

    pub(crate) fn kind(&self) -> &str {
        let inner = self.rust_type.strip_prefix("Key<").and_then(|rest| rest.strip_suffix(">,"));
        let known = TYPES.iter().find(|(rust, _)| Some(*rust) == inner);
        known.map_or_else(|| panic!("no word for {}", self.rust_type), |(_, word)| word)
    }
}

pub(crate) fn keys() -> Vec<Key> {
    let source = text("src/config/spec.rs");
    let (mut spec, mut comment, mut renamed) = (String::new(), String::new(), None);
    let mut keys = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            comment = if comment.is_empty() { words.to_owned() } else { comment + " " + words };
        } else if let Some(rename) = line.strip_prefix("#[serde(rename = \"") {
            renamed = rename.strip_suffix("\")]").map(str::to_owned);
        } else if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            let end = rest.find([' ', '<']).unwrap_or(rest.len());
            spec = rest[..end].into();
            comment.clear();
        } else if let Some((name, rust_type)) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
        {
            let name = renamed.take().unwrap_or_else(|| name.to_owned());
            let comment = std::mem::take(&mut comment);
            keys.push(Key { spec: spec.clone(), name, rust_type: rust_type.to_owned(), comment });
        } else if line.is_empty() || line == "}" {
            comment.clear();
        }
    }
    assert!(keys.len() > 60, "spec.rs is no longer read right: {} keys", keys.len());
    keys
}
