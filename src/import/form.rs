//! What form a KrakenD file has, and the tree that it is: JSON or TOML. Templates and YAML are
//! refused with advice.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::foreign::canonical;
use super::json;
use super::notes::Notes;
use super::tree::{Member, Node, Span, Value};

/// The tree of `text`, or an error in `notes`.
pub(super) fn read(path: &Path, text: &str, notes: &mut Notes<'_>) -> Option<Node> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let (tree, fault) = match extension.as_str() {
        "toml" => match DeTable::parse(text) {
            Ok(table) => (Some(of_table(table.span(), table.get_ref())), None),
            Err(error) => {
                (None, Some((error.span().unwrap_or_default(), error.message().to_owned())))
            }
        },
        _ => match json::parse(text) {
            Ok(node) => (Some(node), None),
            Err(fault) => (None, Some((fault.at..fault.at, fault.problem.to_owned()))),
        },
    };
    // A template can be JSON too, as long as all that it fills in stands in strings.
    if let Some(tree) = tree {
        return no_template(&tree, text, notes).then_some(tree);
    }
    let (span, problem) = fault.unwrap_or_default();
    if let Some(at) = text.find("{{") {
        template(&(at..at), notes);
    } else if matches!(extension.as_str(), "yaml" | "yml") || looks_like_yaml(text) {
        let problem = "YAML is not read";
        notes.error(&(0..0), problem, "convert it first, such as by `yq -o=json . krakend.yaml`");
    } else {
        let remedy = "mend it; `krakend check -c` on it has to pass first";
        notes.error(&span, problem, remedy);
    }
    None
}

fn looks_like_yaml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| line == "---" || line.starts_with("version:") || line == "async_agent:")
}

/// Whether nothing that agents are made of is still to be filled in. What middlewares fill in
/// themselves, message by message, is theirs.
fn no_template(node: &Node, text: &str, notes: &mut Notes<'_>) -> bool {
    let Value::Table(members) = &node.value else { return true };
    let own =
        |member: &&Member| matches!(&*member.name, "async_agent" | "timeout" | "host" | "$ref");
    members.iter().filter(own).all(|member| is_whole(member, text, notes))
}

fn is_whole(member: &Member, text: &str, notes: &mut Notes<'_>) -> bool {
    if member.name == "$ref" {
        notes.error(
            &member.key,
            "`$ref` takes in another file, by KrakenD Enterprise's extended flexible configuration",
            "let KrakenD write the whole (`out` in its flexible_config.json), and import that",
        );
        return false;
    }
    if member.name == "extra_config" {
        return of_extra(&member.node, text, notes);
    }
    is_whole_node(&member.node, text, notes)
}

/// Of other components than the driver, only `$ref` matters.
fn of_extra(node: &Node, text: &str, notes: &mut Notes<'_>) -> bool {
    let Value::Table(members) = &node.value else { return true };
    let read =
        |member: &&Member| member.name == "$ref" || canonical(&member.name).starts_with("async/");
    members.iter().filter(read).all(|member| is_whole(member, text, notes))
}

fn is_whole_node(node: &Node, file: &str, notes: &mut Notes<'_>) -> bool {
    match &node.value {
        Value::Text(value) if value.contains("{{") => {
            let at = file.get(node.span.clone()).and_then(|written| written.find("{{"));
            let start = node.span.start + at.unwrap_or(0);
            template(&(start..start), notes);
            false
        }
        Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) => true,
        Value::List(entries) => entries.iter().all(|entry| is_whole_node(entry, file, notes)),
        Value::Table(members) => members.iter().all(|member| is_whole(member, file, notes)),
    }
}

fn template(span: &Span, notes: &mut Notes<'_>) {
    notes.error(
        span,
        "this is a template of KrakenD's flexible configuration",
        "render it first: `FC_ENABLE=1 FC_OUT=out.json krakend check -t -d -c FILE`, with the FC_SETTINGS, FC_PARTIALS and FC_TEMPLATES that KrakenD runs with; then import out.json",
    );
}

fn of_table(span: Span, table: &DeTable<'_>) -> Node {
    let members = table.iter().map(|(key, entry)| Member {
        name: key.get_ref().to_string(),
        key: key.span(),
        node: of_value(entry.span(), entry.get_ref()),
    });
    Node { span, value: Value::Table(members.collect()) }
}

/// What JSON has no word for, such as infinity, is nothing.
fn of_value(span: Span, value: &DeValue<'_>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix()).ok();
            whole.map_or(Value::Null, |whole| Value::Number(whole.into()))
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            number.map_or(Value::Null, Value::Number)
        }
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(entries) => {
            let entries = entries.iter().map(|entry| of_value(entry.span(), entry.get_ref()));
            Value::List(entries.collect())
        }
        DeValue::Table(table) => return of_table(span, table),
    };
    Node { span, value }
}
