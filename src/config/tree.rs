//! Trees of TOML values with their spans: moved to a file's base, merged, cut.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::source_map::Span;

/// A table; keys and values know where they stand.
pub(super) type Table<'t> = DeTable<'t>;

/// `table` with every span moved by `base`.
pub(super) fn shifted(table: Table<'_>, base: usize) -> Table<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = moved(&key.span(), base);
        (Spanned::new(span, key.into_inner()), shifted_value(value, base))
    });
    entries.collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = moved(&value.span(), base);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, base)),
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|item| shifted_value(item, base)).collect())
        }
        scalar @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => scalar,
    };
    Spanned::new(span, value)
}

fn moved(span: &Span, base: usize) -> Span {
    span.start + base..span.end + base
}

/// Calls `change` with every string in `table` and its span.
pub(super) fn for_each_string<'t>(
    table: &mut Table<'t>,
    change: &mut impl FnMut(&Span, &mut Cow<'t, str>),
) {
    for (_, value) in table {
        for_each_string_of(value, change);
    }
}

fn for_each_string_of<'t>(
    value: &mut Spanned<DeValue<'t>>,
    change: &mut impl FnMut(&Span, &mut Cow<'t, str>),
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => change(&span, text),
        DeValue::Table(table) => for_each_string(table, change),
        DeValue::Array(items) => items.iter_mut().for_each(|item| for_each_string_of(item, change)),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Puts into `table` what it lacks of `defaults`: tables are merged, everything else is overridden.
pub(super) fn inherit<'t>(table: &mut Table<'t>, defaults: &Table<'t>) {
    for (key, default) in defaults {
        match (table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), default.get_ref()) {
            (Some(DeValue::Table(own)), DeValue::Table(default)) => inherit(own, default),
            (Some(_), _) => {}
            (None, _) => {
                table.insert(key.clone(), default.clone());
            }
        }
    }
}

/// Puts into each table of the list `key` in `table` what it lacks of `defaults`.
pub(super) fn inherit_each<'t>(table: &mut Table<'t>, key: &str, defaults: &Table<'t>) {
    if let Some(DeValue::Array(items)) = table.get_mut(key).map(Spanned::get_mut) {
        for item in items.iter_mut() {
            if let DeValue::Table(own) = item.get_mut() {
                inherit(own, defaults);
            }
        }
    }
}

/// Takes the entry or list item at `span` out of `table`; the keys that lead to it, if it was there.
pub(super) fn cut(table: &mut Table<'_>, span: &Span) -> Option<String> {
    let exact = |key: &Span, value: &Span| key == span || value == span;
    let around = |key: &Span, value: &Span| contains(key, span) || contains(value, span);
    cut_where(table, &exact).or_else(|| cut_where(table, &around))
}

fn cut_where(table: &mut Table<'_>, wanted: &impl Fn(&Span, &Span) -> bool) -> Option<String> {
    let found = table.iter().find(|(key, value)| wanted(&key.span(), &value.span()));
    if let Some(key) = found.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(key.as_str());
        return Some(key);
    }
    table.iter_mut().find_map(|(key, value)| {
        let rest = match value.get_mut() {
            DeValue::Table(inner) => cut_where(inner, wanted),
            DeValue::Array(items) => cut_item_where(items, wanted),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        rest.map(|rest| format!("{}.{rest}", key.get_ref()))
    })
}

fn cut_item_where(
    items: &mut DeArray<'_>,
    wanted: &impl Fn(&Span, &Span) -> bool,
) -> Option<String> {
    if let Some(index) = items.iter().position(|item| wanted(&item.span(), &item.span())) {
        let kept = std::mem::replace(items, DeArray::new()).into_iter().enumerate();
        *items = kept.filter(|(at, _)| *at != index).map(|(_, item)| item).collect();
        return Some(index.to_string());
    }
    items.iter_mut().enumerate().find_map(|(index, item)| {
        let rest = match item.get_mut() {
            DeValue::Table(inner) => cut_where(inner, wanted),
            DeValue::Array(inner) => cut_item_where(inner, wanted),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        rest.map(|rest| format!("{index}.{rest}"))
    })
}

fn contains(outer: &Span, inner: &Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
