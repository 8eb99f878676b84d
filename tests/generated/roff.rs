//! The language of manual pages: what has to be escaped, and the few macros that we need.

/// Text as roff: nothing in it is taken for a request or an escape, and characters beyond ASCII
/// are named, so that a page reads the same whatever the terminal's character set.
pub(crate) fn text(text: &str) -> String {
    escaped(text, false)
}

/// Text that a reader may copy into a shell or a file: its hyphens and quotes stay what they are.
pub(crate) fn literal(text: &str) -> String {
    escaped(text, true)
}

/// A literal after `before`, in bold: its words are not hyphenated.
///
/// Where it does not begin a word, the sign for that would be a place to hyphenate.
pub(crate) fn bold_literal(before: &str, text: &str) -> String {
    let is_within = before.chars().last().is_some_and(|last| !last.is_whitespace());
    let words: Vec<_> = text.split(' ').map(|word| format!("\\%{}", literal(word))).collect();
    let words = words.join(" ");
    format!("\\fB{}\\fR", if is_within { &words[2..] } else { &words })
}

/// A text in which literals stand between backticks, as in our help.
pub(crate) fn help_text(help: &str) -> String {
    let mut roff = String::new();
    for (number, part) in help.split('`').enumerate() {
        if number % 2 == 0 {
            roff.push_str(&text(part));
        } else {
            let part = bold_literal(&roff, part);
            roff.push_str(&part);
        }
    }
    roff
}

fn escaped(text: &str, literal: bool) -> String {
    let mut roff = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => roff.push_str("\\e"),
            '-' if literal => roff.push_str("\\-"),
            '\'' if literal => roff.push_str("\\(aq"),
            '~' => roff.push_str("\\(ti"),
            '^' => roff.push_str("\\(ha"),
            '`' => roff.push_str("\\(ga"),
            '→' => roff.push_str("\\(->"),
            '≤' => roff.push_str("\\(<="),
            '≥' => roff.push_str("\\(>="),
            '×' => roff.push_str("\\(mu"),
            '±' => roff.push_str("\\(+-"),
            '–' => roff.push_str("\\(en"),
            '…' => roff.push_str("..."),
            character if character.is_ascii() => roff.push(character),
            character => roff.extend([format!("\\[u{:04X}]", u32::from(character))]),
        }
    }
    roff
}

/// Adds `line` to `page`; one that begins like a request is made plain.
pub(crate) fn add_line(page: &mut String, line: &str) {
    if line.starts_with(['.', '\'']) {
        page.push_str("\\&");
    }
    page.push_str(line);
    page.push('\n');
}

/// Adds text that was escaped already as lines of a source that a person can read.
///
/// Only blanks are broken at, and none within `\f` and `\(` escapes, which have no blanks.
pub(crate) fn add_filled(page: &mut String, text: &str) {
    const COLUMNS: usize = 90;
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() > COLUMNS {
            add_line(page, &line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        add_line(page, &line);
    }
}

/// A request with one argument, which may hold blanks.
pub(crate) fn add_macro(page: &mut String, name: &str, argument: &str) {
    page.extend([format!(".{name} \"{}\"\n", argument.replace('"', "\\(dq"))]);
}

/// Begins a paragraph, where none begins already.
pub(crate) fn add_paragraph(page: &mut String) {
    let last = page.lines().last().unwrap_or_default();
    if !["PP", "SH", "SS"].iter().any(|name| last.get(1..3) == Some(name) && last.starts_with('.'))
    {
        page.push_str(".PP\n");
    }
}

/// Lines as they are, moved in.
pub(crate) fn add_example(page: &mut String, code: &str) {
    add_paragraph(page);
    page.push_str(".RS 4\n.EX\n");
    for line in code.trim_end_matches('\n').lines() {
        add_line(page, &literal(line));
    }
    page.push_str(".EE\n.RE\n");
}

#[test]
fn nothing_in_a_text_is_taken_for_roff() {
    assert_eq!(text(r"C:\n ~x → é"), r"C:\en \(tix \(-> \[u00E9]");
    assert_eq!(literal("--limit 'a'"), r"\-\-limit \(aqa\(aq");
    assert_eq!(help_text("as `check` does (`-v`)"), r"as \fB\%check\fR does (\fB\-v\fR)");
    let mut page = String::new();
    add_line(&mut page, ".toml is the ending");
    add_macro(&mut page, "SS", "the \"name\"");
    assert_eq!(page, "\\&.toml is the ending\n.SS \"the \\(dqname\\(dq\"\n");
}
