//! Every configuration file of the project, right ones and wrong ones, with the exact words
//! that a user reads. `UPDATE_EXPECTED=1 cargo test --test config` writes them anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amqp_agentd::cli::BAD_CONFIGURATION;
use amqp_agentd::cli::check::check;
use amqp_agentd::config::{Environment, Loaded, Paths, load, load_agent_text};

/// What no problem may ever show.
const SECRET: &str = "hunter2";

/// Another such.
const DELAY: &str = "4321ms";

struct Fixtures;

impl Environment for Fixtures {
    fn variable(&self, name: &str) -> Option<OsString> {
        match name {
            "SECRET" => Some(SECRET.into()),
            "DELAY" => Some(DELAY.into()),
            _ => None,
        }
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        Some("tests/fixtures/credentials".into())
    }
}

fn listed(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().unwrap_or_default() == extension)
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{directory} holds no .{extension}");
    paths
}

#[track_caller]
fn assert_expected(expected: &Path, output: &str) {
    assert!(
        ![SECRET, DELAY].iter().any(|secret| output.contains(secret)),
        "a secret is shown:\n{output}"
    );
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected, output).unwrap();
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    assert_eq!(output, wanted, "{} differs", expected.display());
}

#[test]
fn every_invalid_agent_file_is_explained() {
    let files = listed("tests/fixtures/invalid", "toml");
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let (definition, problems) = load_agent_text(path, &text, &Fixtures);
        assert!(definition.is_none(), "{} is taken as valid", path.display());
        for problem in &problems {
            let place = problem.place.as_ref().expect("every problem of a file has a place");
            assert_eq!(&place.file, path);
            assert!(place.line <= text.lines().count() + 1, "{problem}");
            assert!(!problem.problem.ends_with('.') && !problem.remedy.ends_with('.'), "{problem}");
        }
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let output = lines.join("\n") + "\n";
        assert_expected(&path.with_extension("stderr"), &output);
    }
    for expected in listed("tests/fixtures/invalid", "stderr") {
        assert!(expected.with_extension("toml").is_file(), "{} is orphaned", expected.display());
    }
}

#[test]
fn every_directory_is_checked_as_a_whole() {
    let cases: Vec<PathBuf> = fs::read_dir("tests/fixtures/directories")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!cases.is_empty());
    for case in cases {
        let mut output = Vec::new();
        let paths = Paths { main: Some(case.join("amqp-agentd.toml")), agents: None };
        let code = check(&paths, &Fixtures, &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let errors = output.lines().any(|line| !line.contains(": warning: "));
        assert_eq!(code, if errors { BAD_CONFIGURATION } else { 0 }, "{}", case.display());
        assert_expected(&case.join("expected.stderr"), &output);
    }
}

fn loaded(case: &str) -> Loaded {
    let main = Path::new("tests/fixtures/directories").join(case).join("amqp-agentd.toml");
    load(&Paths { main: Some(main), agents: None }, &Fixtures)
}

#[test]
fn of_two_agents_in_conflict_the_first_by_file_name_is_kept() {
    let loaded = loaded("conflicts");
    let names: Vec<&str> = loaded.agents.iter().map(|agent| &*agent.name).collect();
    assert_eq!(names, ["10-first", "20-same", "60-passive", "90-elsewhere"]);
    let broken: Vec<_> = loaded.broken.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(
        broken,
        ["30-transient.toml", "40-quorum.toml", "50-exclusive.toml", "70-name.toml"]
    );
    assert!(!loaded.main_file_is_broken);
}

#[test]
fn a_broken_main_file_is_told_from_broken_agents() {
    let loaded = loaded("main_file");
    assert!(loaded.main_file_is_broken);
    assert_eq!(loaded.broken.len(), 2, "both inherit a value that is out of range");
}

#[test]
fn valid_files_have_no_problems() {
    for path in listed("tests/fixtures/valid", "toml") {
        let text = fs::read_to_string(&path).unwrap();
        let (definition, problems) = load_agent_text(&path, &text, &Fixtures);
        assert!(problems.is_empty(), "{problems:#?}");
        assert!(definition.is_some());
    }
}

#[test]
fn shipped_files_are_valid() {
    for path in listed("agents.d", "toml") {
        let text = fs::read_to_string(&path).unwrap();
        let (definition, problems) = load_agent_text(&path, &text, &Fixtures);
        assert!(problems.is_empty(), "{problems:#?}");
        assert!(definition.is_some());
    }
    let main = PathBuf::from("systemd/amqp-agentd.toml");
    let loaded = load(&Paths { main: Some(main), agents: Some("agents.d".into()) }, &Fixtures);
    assert_eq!(loaded.problems, []);
    assert!(!loaded.agents.is_empty());
    assert_eq!(loaded.settings, amqp_agentd::config::definition::DaemonSettings::default());
}

#[test]
fn the_shipped_main_file_shows_the_values_that_hold_without_it() {
    let shipped = fs::read_to_string("systemd/amqp-agentd.toml").unwrap();
    let (settings, _defaults) = shipped.split_once("# What every agent inherits").unwrap();
    let is_key = |line: &str| line.starts_with('#') && line.contains(" = ");
    // What is an example, and not the value that holds without it.
    let is_example = |line: &str| {
        ["threads", "socket", "listen"].iter().any(|key| line.starts_with(&format!("#{key} = ")))
    };
    let (chosen, fixed): (Vec<_>, Vec<_>) =
        settings.lines().filter(|line| is_key(line)).partition(|line| is_example(line));
    assert!(chosen.len() == 3 && fixed.len() >= 5, "{settings}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let uncommented: String = settings
        .lines()
        .filter(|line| !chosen.contains(line))
        .flat_map(|line| [if is_key(line) { &line[1..] } else { line }, "\n"])
        .collect();
    fs::write(file.path(), uncommented).unwrap();
    let paths = Paths { main: Some(file.path().into()), agents: Some("agents.d".into()) };
    let loaded = load(&paths, &Fixtures);
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.settings, amqp_agentd::config::definition::DaemonSettings::default());
}
