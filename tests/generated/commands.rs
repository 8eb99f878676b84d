//! The commands as sections of the manual page: what clap knows of them, and what their help
//! teaches after the options.

use clap::{Arg, Command};
use clap_mangen::Man;

use crate::roff;

/// Every way to call the program, one a line.
pub(crate) fn synopsis(program: &Command) -> String {
    let mut page = String::new();
    for (number, command) in shown(program).enumerate() {
        if number > 0 {
            page.push_str(".br\n");
        }
        let words = shown_arguments(command).map(usage_of).collect::<Vec<_>>().join(" ");
        let name = roff::literal(&format!("{} {}", program.get_name(), command.get_name()));
        roff::add_line(&mut page, format!("\\fB{name}\\fR {words}").trim_end());
    }
    page
}

/// A subsection for each command.
pub(crate) fn sections(program: &Command) -> String {
    shown(program).map(|command| section(program.get_name(), command)).collect()
}

fn shown(program: &Command) -> impl Iterator<Item = &Command> {
    program
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn shown_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_help = |argument: &Arg| matches!(argument.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(move |argument| !argument.is_hide_set() && !is_help(argument))
}

fn usage_of(argument: &Arg) -> String {
    let takes_value = argument.get_num_args().is_some_and(|range| range.takes_values());
    let value = match argument.get_value_names() {
        Some(names) if takes_value => names.join(" "),
        _ => String::new(),
    };
    let is_list = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
    let value = if is_list { format!("{value}...") } else { value };
    let value = if value.is_empty() { value } else { format!("\\fI{}\\fR", roff::literal(&value)) };
    let usage = match argument.get_long() {
        // A value that may be left out has to be joined to its option.
        Some(long) if argument.is_require_equals_set() => {
            format!("\\fB\\-\\-{}\\fR[={value}]", roff::literal(long))
        }
        Some(long) => {
            format!("\\fB\\-\\-{}\\fR {value}", roff::literal(long)).trim_end().to_owned()
        }
        None => value,
    };
    // What belongs together is not torn apart at the end of a line.
    let usage = usage.replace(' ', "\\ ");
    if argument.is_required_set() { usage } else { format!("[{usage}]") }
}

fn section(program: &str, command: &Command) -> String {
    let mut page = String::new();
    let positionals: Vec<_> = command.get_positionals().map(usage_of).collect();
    let heading = format!("{program} {} {}", command.get_name(), positionals.join(" "));
    roff::add_macro(&mut page, "SS", heading.trim_end());
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        for paragraph in about.to_string().split("\n\n") {
            roff::add_paragraph(&mut page);
            roff::add_filled(
                &mut page,
                &format!("{}.", roff::text(paragraph.trim_end_matches('.'))),
            );
        }
    }
    page.push_str(&options(command));
    if let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.push_str(&taught(&help.to_string()));
    }
    page
}

/// The options as clap tells them, without the heading and without `--help`, which all have.
fn options(command: &Command) -> String {
    let command = command.clone().mut_arg("help", |help| help.hide(true));
    let mut page = Vec::new();
    Man::new(command).render_options_section(&mut page).expect("a Vec takes everything");
    let page = String::from_utf8(page).expect("roff is text");
    let body = page.lines().skip_while(|line| !line.starts_with(".SH ")).skip(1);
    // The string is one that clap_mangen defines where a page begins.
    body.flat_map(|line| [line.replace("\\*(Aq", "\\(aq"), "\n".to_owned()]).collect()
}

/// The text after the options. Paragraphs are filled anew; what is moved in and has a gap of two
/// blanks is a term and its description; else it is an example.
pub(crate) fn taught(help: &str) -> String {
    let mut page = String::new();
    for block in help.trim().split("\n\n") {
        let (heading, lines): (_, Vec<_>) = match block.split_once('\n') {
            Some((first, rest)) if rest.starts_with(' ') && first.ends_with(':') => {
                (Some(first), rest.lines().collect())
            }
            _ => (None, block.lines().collect()),
        };
        if let Some(heading) = heading {
            roff::add_paragraph(&mut page);
            page.extend([format!("\\fB{}\\fR\n", roff::text(heading))]);
        }
        if lines.first().is_some_and(|line| line.starts_with(' ')) {
            page.push_str(&terms(&lines));
        } else {
            roff::add_paragraph(&mut page);
            roff::add_filled(&mut page, &roff::help_text(&lines.join("\n")));
        }
    }
    page
}

fn terms(lines: &[&str]) -> String {
    let mut page = String::new();
    let indent = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    for line in lines {
        let line = &line[indent..];
        if line.starts_with(' ') {
            roff::add_filled(&mut page, &roff::help_text(line));
        } else if let Some((term, description)) = line.split_once("  ") {
            page.push_str(".TP\n");
            roff::add_line(&mut page, &format!("\\fB{}\\fR", roff::literal(term)));
            roff::add_filled(&mut page, &roff::help_text(description));
        } else {
            roff::add_example(&mut page, line);
        }
    }
    page
}

#[test]
fn what_help_lists_becomes_terms_and_what_it_says_becomes_paragraphs() {
    let help = "Signals:\n  SIGTERM, SIGINT   end it;\n                    twice at once.\n  SIGHUP            read again\n\n\
        A broken file\nis told.\n\nExamples:\n  amqp-agentd check\n";
    let expected = ".PP\n\\fBSignals:\\fR\n.TP\n\\fBSIGTERM, SIGINT\\fR\nend it;\ntwice at once.\n.TP\n\\fBSIGHUP\\fR\nread again\n\
        .PP\nA broken file is told.\n.PP\n\\fBExamples:\\fR\n.PP\n.RS 4\n.EX\namqp\\-agentd check\n.EE\n.RE\n";
    assert_eq!(taught(help), expected);
}
