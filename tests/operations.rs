//! The operations page explains every line of the log, and no line that is not there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::fs;
use std::path::Path;

/// What a person needs to hear of: debug and trace are for developers.
const EVENTS: [&str; 3] = ["info!(", "warn!(", "error!("];

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Tests of a file stand at its end.
            into.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
        }
    }
}

/// The string literals of the code from here on up to the end of the macro's arguments.
fn literals(arguments: &str) -> Vec<String> {
    let (mut depth, mut literals, mut literal) = (1, Vec::new(), None::<String>);
    let mut characters = arguments.chars();
    while let Some(character) = characters.next() {
        match (&mut literal, character) {
            (Some(text), '\\') => text.extend(characters.next()),
            (Some(_), '"') => literals.extend(literal.take()),
            (Some(text), other) => text.push(other),
            (None, '"') => literal = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 {
            return literals;
        }
    }
    panic!("a macro without end: {arguments:.80}");
}

/// The words of every event: what a line of the log begins with, without what is put in.
fn events() -> Vec<String> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut events = Vec::new();
    for file in files {
        for event in EVENTS {
            for arguments in file.split(event).skip(1) {
                // The words are the last of the arguments that has a space in it, or the last.
                let literals = literals(arguments);
                let words = literals.iter().rfind(|literal| literal.contains(' '));
                events.extend(words.or(literals.last()).cloned());
            }
        }
    }
    assert!(events.len() > 40, "the source is no longer read right: {}", events.len());
    events
}

/// What of a line's words is always the same, where it is long enough to be known by.
fn fixed(words: &str) -> Vec<String> {
    let parts = words.split('{').enumerate().map(|(place, part)| {
        if place == 0 { part } else { part.split_once('}').map_or(part, |(_, rest)| rest) }
    });
    let parts = parts.map(|part| part.trim_matches([' ', ':', ';', ','].as_slice()).to_owned());
    parts.filter(|part| part.len() > 3).collect()
}

fn page() -> String {
    fs::read_to_string("docs/operations.md").unwrap()
}

#[test]
fn every_line_of_the_log_is_explained() {
    let page = page();
    let missing: Vec<_> = events()
        .into_iter()
        .filter(|words| fixed(words).iter().any(|part| !page.contains(part.as_str())))
        .collect();
    assert!(missing.is_empty(), "docs/operations.md does not explain {missing:#?}");
}

#[test]
fn no_line_is_explained_that_is_not_there() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let code = files.concat();
    let page = page();
    let tables = page.split("## Every line").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut told = 0;
    for row in tables.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()) {
        for level in ["INFO `", "WARN `", "ERROR `"] {
            for line in row.split(level).skip(1) {
                let line = line.split('`').next().unwrap();
                told += 1;
                for part in line.split('…').flat_map(|part| part.split(": ")) {
                    let part = part.trim_matches([' ', ':', ';', ','].as_slice());
                    let is_known = part.is_empty() || code.contains(part);
                    // The words that come before a colon may be put in.
                    let is_put_in =
                        code.contains(&format!("\"{part}\"")) || part.contains(" again");
                    assert!(
                        is_known || is_put_in || part.starts_with("FILE"),
                        "no line has {part:?}"
                    );
                }
            }
        }
    }
    assert!(told > 40, "the page is no longer read right: {told}");
}
