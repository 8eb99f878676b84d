//! What a KrakenD file says, with the place of each value; JSON and TOML alike.

use std::ops::Range;
use std::time::Duration;

use super::notes::Notes;
use crate::config::duration;

/// Bytes of the file.
pub(super) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// As if it were not there.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// Whole or not.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values.
    Table(Vec<Member>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The key.
    pub name: String,
    /// Where it stands.
    pub key: Span,
    /// The value.
    pub node: Node,
}

/// A table at a path.
#[derive(Debug, Clone)]
pub(super) struct Table<'n> {
    /// Such as `async_agent[0].consumer`; empty for the file itself.
    pub path: String,
    /// Where it stands.
    pub span: Span,
    members: &'n [Member],
}

/// A value at a path.
#[derive(Debug, Clone)]
pub(super) struct Item<'n> {
    /// Such as `async_agent[0].consumer.topic`.
    pub path: String,
    /// The key, without the path; of a list's entry, nothing.
    pub name: &'n str,
    /// Where the key stands, or the entry of a list.
    pub place: Span,
    /// The value.
    pub node: &'n Node,
}

impl<'n> Table<'n> {
    /// The whole file.
    pub(super) fn root(node: &'n Node) -> Option<Self> {
        let Value::Table(members) = &node.value else { return None };
        Some(Self { path: String::new(), span: node.span.clone(), members })
    }

    /// One that is not there, for what would stand at `span`.
    pub(super) fn empty(span: &Span) -> Self {
        Self { path: String::new(), span: span.clone(), members: &[] }
    }

    /// What is at `key`, as Go finds it: its case matters only where that tells two apart, and of
    /// two that are the same the last counts. `null` is nothing.
    pub(super) fn get(&self, key: &str) -> Option<Item<'n>> {
        let mut from_last = self.members.iter().rev();
        let exact = from_last.clone().find(|member| member.name == key);
        let found = exact.or_else(|| from_last.find(|one| one.name.eq_ignore_ascii_case(key)))?;
        (!matches!(found.node.value, Value::Null)).then(|| self.item(found))
    }

    /// Every key in it that `known` has not.
    pub(super) fn unknown(&self, known: &[&str], notes: &mut Notes<'_>) {
        for item in self.items() {
            if !known.iter().any(|key| key.eq_ignore_ascii_case(item.name)) {
                notes.unknown(&item, known);
            }
        }
    }

    /// Everything in it but comments, which begin with `@`, `$`, `_` or `#`.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'n>> {
        let members = self.members.iter();
        let meant = members.filter(|member| !member.name.starts_with(['@', '$', '_', '#']));
        meant.map(|member| self.item(member))
    }

    fn item(&self, member: &'n Member) -> Item<'n> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Item {
            path: format!("{}{dot}{}", self.path, member.name),
            name: &member.name,
            place: member.key.clone(),
            node: &member.node,
        }
    }
}

impl<'n> Item<'n> {
    /// A table, or an error.
    pub(super) fn table(&self, notes: &mut Notes<'_>) -> Option<Table<'n>> {
        let Value::Table(members) = &self.node.value else {
            return notes.wrong_type(self, "an object");
        };
        Some(Table { path: self.path.clone(), span: self.node.span.clone(), members })
    }

    /// The entries of a list, or an error.
    pub(super) fn list(&self, notes: &mut Notes<'_>) -> Vec<Self> {
        let Value::List(entries) = &self.node.value else {
            return notes.wrong_type(self, "a list").unwrap_or_default();
        };
        let entry = |(index, node): (usize, &'n Node)| Self {
            path: format!("{}[{index}]", self.path),
            name: "",
            place: node.span.clone(),
            node,
        };
        entries.iter().enumerate().map(entry).collect()
    }

    /// How many entries a list has; anything else has none.
    pub(super) fn length(&self) -> usize {
        if let Value::List(entries) = &self.node.value { entries.len() } else { 0 }
    }

    /// A text, or an error.
    pub(super) fn text(&self, notes: &mut Notes<'_>) -> Option<&'n str> {
        let Value::Text(text) = &self.node.value else {
            return notes.wrong_type(self, "a string");
        };
        Some(text)
    }

    /// Texts; one alone is split at its commas, as KrakenD's parser does.
    pub(super) fn texts(&self, notes: &mut Notes<'_>) -> Vec<(Span, &'n str)> {
        if let Value::Text(text) = &self.node.value {
            return text.split(',').map(|text| (self.node.span.clone(), text)).collect();
        }
        let entries = self.list(notes).into_iter();
        entries.filter_map(|entry| Some((entry.place.clone(), entry.text(notes)?))).collect()
    }

    /// `true` or `false`, or an error.
    pub(super) fn flag(&self, notes: &mut Notes<'_>) -> Option<bool> {
        let Value::Flag(flag) = self.node.value else {
            return notes.wrong_type(self, "true or false");
        };
        Some(flag)
    }

    /// A number, also one in quotes, which KrakenD's parser takes too; or an error.
    pub(super) fn number(&self, notes: &mut Notes<'_>) -> Option<f64> {
        let number = match &self.node.value {
            Value::Number(number) => number.as_f64(),
            Value::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Value::Null | Value::Flag(_) | Value::List(_) | Value::Table(_) => None,
        };
        number.or_else(|| notes.wrong_type(self, "a number"))
    }

    /// A whole number, or an error.
    pub(super) fn whole(&self, notes: &mut Notes<'_>) -> Option<i64> {
        let number = match &self.node.value {
            Value::Number(number) => number.as_i64().or_else(|| without_fraction(number)),
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::Flag(_) | Value::List(_) | Value::Table(_) => None,
        };
        number.or_else(|| notes.wrong_type(self, "a whole number"))
    }

    /// A duration as Go writes it, or in nanoseconds; or an error.
    pub(super) fn period(&self, notes: &mut Notes<'_>) -> Option<Duration> {
        let period = match &self.node.value {
            Value::Number(number) => number.as_u64().map(Duration::from_nanos),
            Value::Text(text) => duration::parse(text),
            Value::Null | Value::Flag(_) | Value::List(_) | Value::Table(_) => None,
        };
        period.or_else(|| notes.wrong_type(self, "a duration such as \"2s\" or \"150ms\""))
    }
}

/// `10.0` as the 10 that KrakenD's parser takes it for.
fn without_fraction(number: &serde_json::Number) -> Option<i64> {
    let whole = number.as_f64().filter(|number| number.fract() == 0.0)?;
    // As text, since a number too large for an integer is none.
    format!("{whole:.0}").parse().ok()
}
