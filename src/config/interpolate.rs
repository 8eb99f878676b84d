//! `${env:NAME}`, `${file:PATH}` and `${cred:NAME}` in any string.
//!
//! A file's one trailing newline is left out. `$${` stands for `${`; any other `$` for itself.
//! What is put in is not looked at again, and is never shown. Who only checks may not see the
//! credentials: a string with an unseen one is looked at no further.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use super::Environment;
use super::read::{ReadFault, read_text};
use super::report::{Report, quoted};
use super::source_map::Span;
use super::tree::{Table, for_each_string};

/// The longest file that `${file:}` and `${cred:}` put in.
const INSERTED_BYTES_MAX: u64 = 64 * 1024;

const KINDS: [&str; 3] = ["env", "file", "cred"];

/// Replaces every reference in the strings of `table`, which was read from a file in `directory`.
pub(super) fn interpolate(
    table: &mut Table<'_>,
    directory: &Path,
    environment: &impl Environment,
    report: &mut Report<'_>,
) {
    for_each_string(table, &mut |span, text| {
        if !text.contains("${") {
            return;
        }
        let parts = split(text);
        if parts.iter().any(|part| matches!(part, Part::Reference(_))) {
            report.conceal(span.clone());
        }
        let mut whole = String::new();
        for part in parts {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Unclosed => report.spoil(
                    span,
                    "`${` is never closed",
                    "close it with `}`, or write `$${` for a literal `${`",
                ),
                Part::Reference(inside) => match look_up(inside, directory, environment) {
                    Ok(Some(value)) => whole.push_str(&value),
                    Ok(None) => report.spoil_silently(span),
                    Err((problem, remedy)) => {
                        let place = reference_place(span, inside, report);
                        report.error(&place, problem, remedy);
                        report.spoil_silently(span);
                    }
                },
            }
        }
        *text = Cow::Owned(whole);
    });
}

enum Part<'s> {
    Text(&'s str),
    /// What stands between `${` and `}`.
    Reference(&'s str),
    Unclosed,
}

fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            parts.push(Part::Text(&rest[..at - 1]));
            parts.push(Part::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        parts.push(Part::Text(&rest[..at]));
        let Some(length) = rest[at + 2..].find('}') else {
            parts.push(Part::Unclosed);
            return parts;
        };
        parts.push(Part::Reference(&rest[at + 2..at + 2 + length]));
        rest = &rest[at + 2 + length + 1..];
    }
    parts.push(Part::Text(rest));
    parts
}

/// Where in the file the reference stands: within the string if it is written there as it is.
fn reference_place(span: &Span, inside: &str, report: &Report<'_>) -> Span {
    let reference = format!("${{{inside}}}");
    match report.sources.excerpt(span).find(&reference) {
        Some(at) => span.start + at..span.start + at + reference.len(),
        None => span.clone(),
    }
}

type Fault = (String, String);

/// The value of a reference; `None` if it is out of sight and taken to be there.
fn look_up(
    inside: &str,
    directory: &Path,
    environment: &impl Environment,
) -> Result<Option<String>, Fault> {
    match inside.split_once(':') {
        Some(("env", name)) => variable(name, environment),
        Some(("file", "")) => {
            Err(("`${file:}` names no file".into(), "write `${file:PATH}`".into()))
        }
        Some(("file", path)) => {
            let path = directory.join(path);
            read_text(&path, INSERTED_BYTES_MAX)
                .map(|text| Some(without_newline(text)))
                .map_err(|fault| unreadable(&path, &fault))
        }
        Some(("cred", name)) => credential(name, environment),
        Some((kind, name)) => {
            let nearest = KINDS.into_iter().max_by(|a, b| {
                strsim::jaro_winkler(a, kind).total_cmp(&strsim::jaro_winkler(b, kind))
            });
            let remedy = format!(
                "write `${{{}:{}}}`, or `$${{` for a literal `${{`",
                nearest.unwrap_or("env"),
                name.escape_debug()
            );
            Err((format!("{} is not `env`, `file` or `cred`", quoted(kind)), remedy))
        }
        None => Err((
            format!("{} says not where the value is", quoted(&format!("${{{inside}}}"))),
            format!("write `${{env:{}}}`, or `$${{` for a literal `${{`", inside.escape_debug()),
        )),
    }
}

fn variable(name: &str, environment: &impl Environment) -> Result<Option<String>, Fault> {
    // The way to the credential as a file, for certificates and keys.
    if name == "CREDENTIALS_DIRECTORY" && environment.trusts_credentials() {
        let directory = environment.credentials_directory();
        if directory.is_none_or(|directory| directory.read_dir().is_err()) {
            return Ok(None);
        }
    }
    let Some(value) = environment.variable(name) else {
        return Err((
            format!("the environment has no variable {}", quoted(name)),
            "set it for the daemon, as with Environment= or EnvironmentFile= in its unit".into(),
        ));
    };
    value.into_string().map(Some).map_err(|_| {
        (format!("the variable {} is not UTF-8", quoted(name)), "give it a value that is".into())
    })
}

fn credential(name: &str, environment: &impl Environment) -> Result<Option<String>, Fault> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err((
            format!("{} is no name of a credential", quoted(name)),
            "write `${cred:NAME}` with the name that LoadCredential= gives it".into(),
        ));
    }
    let Some(directory) = environment.credentials_directory() else {
        if environment.trusts_credentials() {
            return Ok(None);
        }
        return Err((
            "there are no credentials: CREDENTIALS_DIRECTORY is not set".into(),
            format!(
                "run the daemon by systemd with LoadCredential={0}:PATH, in a shell name the folder of the file {0} \
                 in CREDENTIALS_DIRECTORY, or use `${{file:PATH}}`",
                name.escape_debug()
            ),
        ));
    };
    let path = directory.join(name);
    match read_text(&path, INSERTED_BYTES_MAX) {
        Ok(text) => Ok(Some(without_newline(text))),
        Err(ReadFault::Io(error))
            if error.kind() == io::ErrorKind::PermissionDenied
                && environment.trusts_credentials() =>
        {
            Ok(None)
        }
        Err(fault) => Err(unreadable(&path, &fault)),
    }
}

fn unreadable(path: &Path, fault: &ReadFault) -> Fault {
    let remedy = match fault {
        ReadFault::Io(_) => "create it, and let the daemon's user read it".to_owned(),
        ReadFault::NotAFile => "name a file".to_owned(),
        ReadFault::TooLong { bytes_max } => format!("keep it to {bytes_max} bytes"),
        ReadFault::NotUtf8 { .. } => "save it as UTF-8".to_owned(),
    };
    (format!("{} {fault}", quoted(&path.to_string_lossy())), remedy)
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        let parts = split(text).into_iter().map(|part| match part {
            Part::Text(text) => text.to_owned(),
            Part::Reference(inside) => format!("<{inside}>"),
            Part::Unclosed => "<!>".to_owned(),
        });
        parts.collect()
    }

    #[test]
    fn references_are_found_and_a_doubled_dollar_escapes_one() {
        assert_eq!(joined("a${env:X}b${cred:y}"), "a<env:X>b<cred:y>");
        assert_eq!(joined("cost $5 $$ $"), "cost $5 $$ $");
        assert_eq!(joined("$${env:X} ${env:Y}"), "${env:X} <env:Y>");
        assert_eq!(joined("x${env:"), "x<!>");
        assert_eq!(joined("${${env:X}}"), "<${env:X>}");
        assert_eq!(joined("\u{fc}${}"), "\u{fc}<>");
    }
}
