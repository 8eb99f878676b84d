//! The manual pages, whole.

use clap::Command;

use crate::{commands, markdown, roff};

/// Where the commands stand in the source of amqp-agentd(8).
const COMMANDS: &str = "<!-- commands -->\n";

/// amqp-agentd(8): the commands as clap knows them, within sections written by hand.
///
/// # Panics
///
/// Where `written` has no place for the commands.
pub(crate) fn program(program: &Command, written: &str) -> String {
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let (before, after) =
        written.split_once(COMMANDS).expect("the source says where the commands go");
    let mut page = title(program, "8", "System Administration");
    roff::add_macro(&mut page, "SH", "NAME");
    roff::add_line(&mut page, &format!("amqp\\-agentd \\- {}", purpose(&about)));
    roff::add_macro(&mut page, "SH", "SYNOPSIS");
    page.push_str(&commands::synopsis(program));
    page.push_str(&markdown::body(before));
    roff::add_macro(&mut page, "SH", "COMMANDS");
    page.push_str(&commands::sections(program));
    page.push_str(&markdown::body(after));
    page
}

/// amqp-agentd.toml(5): the reference of the agent file, and where the files are.
pub(crate) fn file(program: &Command, written: &str, reference: &str) -> String {
    let mut page = title(program, "5", "File Formats");
    let (before, after) =
        written.split_once("<!-- reference -->\n").expect("the source says where it goes");
    roff::add_macro(&mut page, "SH", "NAME");
    let purpose = "main file and agent files of amqp-agentd(8)";
    roff::add_line(&mut page, &format!("amqp\\-agentd.toml \\- {}", roff::text(purpose)));
    page.push_str(&markdown::body(before));
    page.push_str(&markdown::body(reference));
    page.push_str(&markdown::body(after));
    page
}

fn title(program: &Command, section: &str, manual: &str) -> String {
    let name = if section == "5" { "AMQP\\-AGENTD.TOML" } else { "AMQP\\-AGENTD" };
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    format!(
        ".\\\" Made by cargo test --test generated; see CONTRIBUTING.md.\n.TH {name} {section} \"\" \"{}\" \"{manual}\"\n.ad l\n",
        roff::literal(&source)
    )
}

/// A sentence as the line of an index has it: without a capital and a final dot.
fn purpose(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    roff::text(&first.into_iter().chain(letters).collect::<String>())
}
