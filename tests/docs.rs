//! What the documents say is true: the examples pass `check`, links lead somewhere, and what is told
//! of is there. `tests/reference` has the keys of the files.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::config::{Environment, Paths, load, load_agent_text};
use amqp_agentd::spans::{DELIVERY, REQUEST, RESOURCE};

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

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
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

/// A document's TOML examples: the file named in the first line, and the text.
fn examples(document: &str) -> Vec<(String, String)> {
    let document = text(document);
    let blocks = document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let named = blocks.map(|block| {
        let name = block.lines().next().and_then(|line| line.strip_prefix("# "));
        let name = name.unwrap_or_else(|| panic!("an example without its file's name:\n{block}"));
        (name.to_owned(), block.to_owned())
    });
    named.collect()
}

#[test]
fn the_examples_pass_check() {
    for document in ["README.md", "docs/agent-file.md", "docs/recipes.md"] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("agents.d")).unwrap();
        for credential in ["amqp-password", "hook-token"] {
            fs::write(folder.path().join(credential), "secret\n").unwrap();
        }
        let machine = Machine(folder.path().to_owned());
        let mut agents = 0;
        for (name, text) in examples(document) {
            if name.starts_with("agents.d/") {
                let (definition, problems) = load_agent_text(Path::new(&name), &text, &machine);
                assert!(definition.is_some() && problems.is_empty(), "{name}: {problems:#?}");
                agents += 1;
            }
            fs::write(folder.path().join(name), text).unwrap();
        }
        let main = folder.path().join("amqp-agentd.toml");
        assert!(agents > 0 && main.is_file(), "{document} shows no agent file, or no main file");
        let loaded = load(&Paths { main: Some(main), agents: None }, &machine);
        assert!(loaded.problems.is_empty(), "{document}: {:#?}", loaded.problems);
        assert_eq!(loaded.agents.len(), agents);
    }
}

/// Each command of ours that a recipe shows is one that the program takes.
#[test]
fn the_commands_of_the_recipes_are_taken() {
    let document = text("docs/recipes.md");
    let blocks = document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.split_once("amqp-agentd "));
    let mut count = 0;
    for (before, arguments) in lines {
        // Paths have the name in them too.
        if !(before.is_empty() || before.ends_with(' ')) {
            continue;
        }
        let words = std::iter::once("amqp-agentd").chain(arguments.split_whitespace());
        let parsed = amqp_agentd::cli::command().try_get_matches_from(words);
        assert!(parsed.is_ok(), "{arguments}: {parsed:?}");
        count += 1;
    }
    assert!(count > 0, "no recipe shows a command");
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

#[test]
fn each_attribute_of_a_span_is_told_of_where_it_stands() {
    let document = text("docs/tracing.md");
    let tables = document.split("| attribute | says |").skip(1).map(|rest| {
        let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
        let names = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        names.collect::<Vec<_>>()
    });
    let told: Vec<_> = tables.collect();
    assert_eq!(told, [&DELIVERY[..], &REQUEST[..], &RESOURCE[..]]);
}
