//! What is made of the code and shipped as files: the manual pages and the shells' completions.
//!
//! They are committed, so that a package can be made without running anything. These tests hold
//! them to the code; `UPDATE_EXPECTED=1 cargo test --test generated` writes them anew.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may")]

mod commands;
mod markdown;
mod pages;
mod roff;
mod table;

use std::fs;
use std::path::Path;
use std::process::Command;

use clap_complete::Shell;

fn program() -> clap::Command {
    let mut program = amqp_agentd::cli::command();
    program.build();
    program
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn assert_is_in(made: &str, path: &str) {
    let mut there = fs::read_to_string(path).unwrap_or_default();
    if made != there && std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, made).unwrap();
        made.clone_into(&mut there);
    }
    let difference = made.lines().zip(there.lines()).find(|(made, there)| made != there);
    assert!(
        made == there,
        "{path} is not what the code makes ({difference:?}); renew it by \
         UPDATE_EXPECTED=1 cargo test --test generated",
    );
}

fn program_page() -> String {
    pages::program(&program(), &text("man/amqp-agentd.8.md"))
}

/// The document that tells the keys.
fn reference() -> String {
    text("docs/agent-file.md")
}

fn file_page() -> String {
    pages::file(&program(), &text("man/amqp-agentd.toml.5.md"), &reference())
}

#[test]
fn the_page_of_the_program_is_what_the_code_says() {
    assert_is_in(&program_page(), "man/amqp-agentd.8");
}

#[test]
fn the_page_of_the_files_is_what_their_reference_says() {
    assert_is_in(&file_page(), "man/amqp-agentd.toml.5");
}

#[test]
fn the_completions_are_what_the_code_says() {
    for (shell, path) in [
        (Shell::Bash, "completions/amqp-agentd.bash"),
        (Shell::Zsh, "completions/_amqp-agentd"),
        (Shell::Fish, "completions/amqp-agentd.fish"),
    ] {
        let mut made = Vec::new();
        clap_complete::generate(shell, &mut amqp_agentd::cli::command(), "amqp-agentd", &mut made);
        // clap_complete 4.6 takes the hyphen of the name for the gap before a subcommand, in one of
        // two places, and then completes no option of any.
        let made = String::from_utf8(made).unwrap().replace("amqp__subcmd__agentd", "amqp__agentd");
        assert_is_in(&made, path);
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let complete = |words: &[&str]| {
        let script = "source completions/amqp-agentd.bash; COMP_WORDS=(amqp-agentd \"$@\"); \
            COMP_CWORD=$#; _amqp__agentd amqp-agentd \"${!#}\" \"\"; echo \"${COMPREPLY[*]}\"";
        let output =
            Command::new("bash").args(["-c", script, "bash"]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(complete(&["red"]), "redrive");
    assert_eq!(complete(&["check", "--on"]), "--online");
}

#[test]
fn the_pages_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    for (name, page) in [("amqp-agentd.8", program_page()), ("amqp-agentd.toml.5", file_page())] {
        let path = dir.path().join(name);
        fs::write(&path, &page).unwrap();
        complains_of_nothing(&path);
    }
}

/// `mandoc` where there is one; it has an opinion on the date, which a page like ours has not.
fn complains_of_nothing(page: &Path) {
    let Ok(output) =
        Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output()
    else {
        eprintln!("SKIPPED: there is no mandoc here; .ci/run installs it");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints: Vec<_> = said.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
