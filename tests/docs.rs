//! What the documents say is true: the reference names every key with its default and no other,
//! the examples pass `check`, links lead somewhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::config::{Environment, Paths, load, load_agent_text};

/// All documents that people read.
fn documents() -> Vec<String> {
    let mut documents: Vec<_> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(str::to_owned)
        .into();
    documents.push("crates/amqp_serde/README.md".to_owned());
    let pages = fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|end| end == "md"));
    documents.extend(pages.map(|path| path.to_str().unwrap().to_owned()));
    assert!(documents.len() > 6, "no page in docs/");
    documents
}

/// Where the keys of each spec stand in the README: part of a heading, and what goes before a key.
const SECTIONS: [(&str, &str, &str); 15] = [
    ("DaemonSpec", "The main file", ""),
    ("LogSpec", "The main file", ""),
    ("AdminSpec", "The main file", ""),
    ("AgentSpec", "Top of the file", ""),
    ("AmqpSpec", "async/amqp", ""),
    ("BrokerTlsSpec", "async/amqp", "tls."),
    ("ConsumerSpec", "[consumer]", ""),
    ("ConnectionSpec", "[connection]", ""),
    ("RetrySpec", "[retry]", ""),
    ("DeadLetterSpec", "[dead_letter]", ""),
    ("HoldSpec", "[hold]", ""),
    ("DispatchSpec", "[dispatch]", ""),
    ("BackendSpec", "[[backend]]", ""),
    ("StatusSpec", "[[backend]]", "status."),
    ("BackendTlsSpec", "[[backend]]", "tls."),
];

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A key as `src/config/spec.rs` describes it.
struct Key {
    spec: String,
    name: String,
    comment: String,
}

impl Key {
    /// It is a table with a heading of its own.
    fn is_section(&self) -> bool {
        let top = matches!(self.spec.as_str(), "MainSpec" | "DefaultsSpec" | "AgentSpec");
        let words = ["Table", "List of tables", "One table"];
        top && words.iter().any(|words| self.comment.starts_with(words))
    }

    /// As the README's second column has it.
    fn default(&self) -> String {
        if self.comment.contains(", required: ") {
            return "required".to_owned();
        }
        let default = self.comment.split_once("Default: ").map_or("", |(_, default)| default);
        default.trim_end_matches('.').replace('`', "")
    }
}

fn keys() -> Vec<Key> {
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
        } else if let Some((name, _)) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(':'))
        {
            let name = renamed.take().unwrap_or_else(|| name.to_owned());
            keys.push(Key { spec: spec.clone(), name, comment: std::mem::take(&mut comment) });
        } else if line.is_empty() || line == "}" {
            comment.clear();
        }
    }
    assert!(keys.len() > 60, "spec.rs is no longer read right: {} keys", keys.len());
    keys
}

/// Heading, then each key's default in the tables below it whose first column is `key`.
fn reference() -> BTreeMap<String, BTreeMap<String, String>> {
    let readme = text("README.md");
    let (mut heading, mut is_reference) = (String::new(), false);
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in readme.lines() {
        // One hash begins a comment in an example.
        if line.starts_with("##") {
            heading = line.trim_start_matches('#').trim().replace('`', "");
            is_reference = false;
        }
        is_reference |= line.starts_with("| key | default |");
        let mut cells = line.split('|').skip(1).map(str::trim);
        if let (true, Some(key), Some(default)) = (is_reference, cells.next(), cells.next()) {
            let Some(key) = key.strip_prefix('`').and_then(|key| key.split('`').next()) else {
                continue;
            };
            let known = sections.entry(heading.clone()).or_default();
            let is_new = known.insert(key.to_owned(), default.replace('`', "")).is_none();
            assert!(is_new, "`{key}` is told of twice under {heading}");
        }
    }
    sections
}

#[test]
fn the_reference_names_every_key_with_its_default_and_no_other() {
    let readme = text("README.md");
    let mut reference = reference();
    let mut wrong = Vec::new();
    for key in keys() {
        if key.is_section() {
            let table = [format!("[{}]", key.name), format!("[\"{}\"]", key.name)];
            if !table.iter().any(|table| readme.contains(table)) {
                wrong.push(format!("the table {} is not told of", key.name));
            }
            continue;
        }
        let mut sections = SECTIONS.iter();
        let Some((_, heading, prefix)) = sections.find(|(spec, ..)| *spec == key.spec) else {
            wrong.push(format!("{} has no place in SECTIONS", key.spec));
            continue;
        };
        let section = reference.iter_mut().find(|(known, _)| known.contains(heading));
        let Some((_, section)) = section else {
            wrong.push(format!("no heading has {heading}"));
            continue;
        };
        let name = format!("{prefix}{}", key.name);
        match section.remove(&name) {
            None => wrong.push(format!("`{name}` is missing under {heading}")),
            Some(told) if told != key.default() => wrong.push(format!(
                "`{name}` under {heading} has the default {:?}, told is {told:?}",
                key.default()
            )),
            Some(_) => {}
        }
    }
    let stale = reference.values().flat_map(BTreeMap::keys);
    wrong.extend(stale.map(|name| format!("`{name}` is told of and no key")));
    assert!(wrong.is_empty(), "README.md: {wrong:#?}");
}

/// A machine that has the credentials of the examples in this directory, and nothing else.
struct Machine(PathBuf);

impl Environment for Machine {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        Some(self.0.clone())
    }
}

/// The README's TOML examples: the file named in the first line, and the text.
fn examples() -> Vec<(String, String)> {
    let readme = text("README.md");
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let named = blocks.map(|block| {
        let name = block.lines().next().and_then(|line| line.strip_prefix("# "));
        let name = name.unwrap_or_else(|| panic!("an example without its file's name:\n{block}"));
        (name.to_owned(), block.to_owned())
    });
    named.collect()
}

#[test]
fn the_examples_pass_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("agents.d")).unwrap();
    fs::write(folder.path().join("amqp-password"), "secret\n").unwrap();
    let machine = Machine(folder.path().to_owned());
    let mut agents = 0;
    for (name, text) in examples() {
        if name.starts_with("agents.d/") {
            let (definition, problems) = load_agent_text(Path::new(&name), &text, &machine);
            assert!(definition.is_some() && problems.is_empty(), "{name}: {problems:#?}");
            agents += 1;
        }
        fs::write(folder.path().join(name), text).unwrap();
    }
    let main = folder.path().join("amqp-agentd.toml");
    assert!(agents > 0 && main.is_file(), "README.md shows no agent file, or no main file");
    let loaded = load(&Paths { main: Some(main), agents: None }, &machine);
    assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
    assert_eq!(loaded.agents.len(), agents);
}

/// A document's lines without its blocks of code.
fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

/// The anchors that GitHub makes of headings.
fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept =
            kept.replace(|c: char| !c.is_alphanumeric() && !matches!(c, ' ' | '-' | '_'), "");
        kept.replace(' ', "-")
    };
    headings.map(slug).collect()
}

#[test]
fn relative_links_lead_somewhere() {
    let mut links = 0;
    for path in &documents() {
        let prose = prose(&text(path));
        for rest in prose.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(path).parent().unwrap();
            let file = if file.is_empty() { PathBuf::from(path) } else { folder.join(file) };
            assert!(file.exists(), "{path}: {target} leads nowhere");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&file).unwrap());
                assert!(anchors.iter().any(|known| known == anchor), "{path}: no heading {target}");
            }
        }
    }
    assert!(links > 0, "no document has a link");
}

/// Joining two branches keeps the lines of both, also those that one of them only moved.
#[test]
fn the_changelog_says_nothing_twice() {
    let changelog = text("CHANGELOG.md");
    let mut lines: Vec<_> = changelog.lines().filter(|line| line.starts_with("- ")).collect();
    lines.sort_unstable();
    assert!(!lines.is_empty());
    for pair in lines.windows(2) {
        assert_ne!(pair[0], pair[1], "keep one of them");
    }
}

#[test]
fn every_room_of_the_architecture_is_there() {
    let architecture = text("ARCHITECTURE.md");
    let rooms = architecture.split("## The rooms").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut told = Vec::new();
    for cell in rooms.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()) {
        let names = cell.split('`').skip(1).step_by(2);
        told.extend(names.map(|name| name.trim_end_matches('/').to_owned()));
    }
    for name in &told {
        let is_there = Path::new("src").join(name).exists() || Path::new(name).exists();
        assert!(is_there, "ARCHITECTURE.md tells of {name}, which is not there");
    }
    for entry in fs::read_dir("src").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_told = name == "lib.rs" || told.contains(&name);
        assert!(is_told, "ARCHITECTURE.md does not tell of src/{name}");
    }
}
