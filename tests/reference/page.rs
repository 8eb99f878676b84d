//! The keys as the reference tells them.

use std::collections::BTreeMap;

use super::{REFERENCE, text};

/// A row of the reference; backticks are left out of the cells.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) default: String,
    pub(crate) meaning: String,
    pub(crate) example: String,
}

/// The rows of each table of keys, by the heading above it.
pub(crate) fn reference() -> BTreeMap<String, Vec<Row>> {
    let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let (mut heading, mut is_table) = (String::new(), false);
    for line in text(REFERENCE).lines() {
        if line.starts_with("##") {
            heading = line.trim_start_matches('#').trim().replace('`', "");
        }
        is_table = line == "| key | type | default | meaning | example |"
            || (is_table && line.starts_with('|'));
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let ([name, kind, default, meaning, example], true) = (&*cells, is_table) {
            let Some(name) = name.strip_prefix('`').and_then(|rest| rest.split('`').next()) else {
                continue;
            };
            let plain = |cell: &str| cell.replace('`', "");
            let row = Row {
                name: name.to_owned(),
                kind: plain(kind),
                default: plain(default),
                meaning: (*meaning).to_owned(),
                example: plain(example),
            };
            sections.entry(heading.clone()).or_default().push(row);
        } else if is_table && !line.starts_with("|---") {
            panic!("{REFERENCE}: not five cells: {line}");
        }
    }
    sections
}
