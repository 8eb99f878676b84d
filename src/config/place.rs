//! Where a key stands, for those who find out later that it is to blame.

use std::path::Path;

use toml::de::DeValue;

use super::Paths;
use super::error::Place;
use super::read::{FILE_BYTES_MAX, read_text};
use super::source_map::{SourceMap, Span};
use super::tree::Table;

/// Where the value of `key` stands for the agent of `file`: there, or among the main file's
/// defaults. `None` where it has its default, or the file has changed beyond recognition.
#[must_use]
pub fn of(paths: &Paths, file: &Path, key: &[&str]) -> Option<Place> {
    let inherited = [&["defaults"], key].concat();
    in_file(file, key).or_else(|| in_file(&paths.main_file(), &inherited))
}

fn in_file(path: &Path, key: &[&str]) -> Option<Place> {
    let text = read_text(path, FILE_BYTES_MAX).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (table, _) = Table::parse_recoverable(text);
    let span = find(table.get_ref(), key)?;
    let mut sources = SourceMap::default();
    sources.add(path, text);
    Some(sources.place(&span))
}

fn find(table: &Table<'_>, key: &[&str]) -> Option<Span> {
    let (first, rest) = key.split_first()?;
    let value = table.get(*first)?;
    match (value.get_ref(), rest) {
        (_, []) => Some(value.span()),
        (DeValue::Table(table), rest) => find(table, rest),
        (_, [_, ..]) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_the_agents_file_or_among_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let (main, agent) = (dir.path().join("main.toml"), dir.path().join("one.toml"));
        std::fs::write(&main, "[defaults.retry]\nstrategy = \"native\"\nattempts = 3\n").unwrap();
        std::fs::write(&agent, "[retry]\nattempts = 4\n[\"async/amqp\"]\nname = \"one\"\n")
            .unwrap();
        let paths = Paths { main: Some(main.clone()), agents: None };
        let place = |key: &[&str]| of(&paths, &agent, key).map(|place| place.to_string());
        let own = |at| Some(format!("{}:{at}", agent.display()));
        assert_eq!(place(&["retry", "attempts"]), own("2:12"));
        assert_eq!(place(&["async/amqp", "name"]), own("4:8"));
        assert_eq!(place(&["retry", "strategy"]), Some(format!("{}:2:12", main.display())));
        assert_eq!(place(&["retry", "delays"]), None);
        assert_eq!(place(&["async/amqp", "name", "deeper"]), None);
    }
}
