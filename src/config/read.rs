//! From a path to a tree of TOML values, whatever the path leads to.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::Environment;
use super::error::{Place, Problem, Severity};
use super::interpolate::interpolate;
use super::report::Report;
use super::source_map::FileId;
use super::tree::{Table, shifted};

/// The longest configuration file.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a file's text could not be had; reads after the file's name.
#[derive(Debug)]
pub(super) enum ReadFault {
    /// It is not there, or may not be read.
    Io(io::Error),
    /// It is a directory, a pipe, a device.
    NotAFile,
    /// It is longer than is read.
    TooLong {
        /// The most that is read.
        bytes_max: u64,
    },
    /// It holds something else than UTF-8.
    NotUtf8 {
        /// The line with the first wrong byte, from 1.
        line: usize,
        /// The column of that byte in characters, from 1.
        column: usize,
    },
}

impl fmt::Display for ReadFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                formatter.write_str("does not exist")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                formatter.write_str("may not be read")
            }
            Self::Io(error) => write!(formatter, "cannot be read: {error}"),
            Self::NotAFile => formatter.write_str("is not a regular file"),
            Self::TooLong { bytes_max } => write!(formatter, "is longer than {bytes_max} bytes"),
            Self::NotUtf8 { .. } => formatter.write_str("is not UTF-8"),
        }
    }
}

/// The text of `path`, at most `bytes_max` bytes of it. A pipe or a device is not opened, but for
/// `/dev/null`, by which many say that they have no file.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<String, ReadFault> {
    if path != Path::new("/dev/null") && !path.metadata().map_err(ReadFault::Io)?.is_file() {
        return Err(ReadFault::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ReadFault::Io)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(ReadFault::Io)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        return Err(ReadFault::TooLong { bytes_max });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line_start = valid.rfind('\n').map_or(0, |newline| newline + 1);
        ReadFault::NotUtf8 {
            line: valid.matches('\n').count() + 1,
            column: valid[line_start..].chars().count() + 1,
        }
    })
}

/// The problem that the file at `path` cannot be read.
pub(super) fn unreadable(path: &Path, fault: &ReadFault) -> Problem {
    let (line, column) = match fault {
        ReadFault::NotUtf8 { line, column } => (*line, *column),
        ReadFault::Io(_) | ReadFault::NotAFile | ReadFault::TooLong { .. } => (1, 1),
    };
    let remedy = match fault {
        ReadFault::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "create it, or mend the link that leads to it"
        }
        ReadFault::Io(_) => {
            "let the daemon's user read it, and ask as one who may: root, or one of its group"
        }
        ReadFault::NotAFile => "put a file there, or give it a name that does not end in .toml",
        ReadFault::TooLong { .. } => "split it: one agent a file",
        ReadFault::NotUtf8 { .. } => "save it as UTF-8",
    };
    Problem {
        place: Some(Place { file: path.to_owned(), line, column }),
        severity: Severity::Error,
        problem: format!("the file {fault}"),
        remedy: remedy.to_owned(),
    }
}

/// What `text` says, with `${…}` replaced; of a text with syntax errors, what could be made out.
pub(super) fn parse<'t>(
    path: &Path,
    text: &'t str,
    environment: &impl Environment,
    report: &mut Report<'t>,
) -> (FileId, Table<'t>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = report.sources.add(path, text);
    report.judge(file);
    let base = report.sources.base(file);
    let (table, errors) = Table::parse_recoverable(text);
    let mut table = shifted(table.into_inner(), base);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = line_of(text, span.start);
        if line.trim_start().starts_with('[') {
            // Which table the following keys are of is anyone's guess.
            table = Table::new();
        }
        let remedy = syntax_remedy(error.message(), line);
        let span = span.start + base..span.end + base;
        report.syntax_error(&span, error.message().to_owned(), remedy);
    }
    interpolate(&mut table, path.parent().unwrap_or(Path::new("")), environment, report);
    (file, table)
}

fn line_of(text: &str, offset: usize) -> &str {
    let bytes = text.as_bytes();
    let offset = offset.min(bytes.len());
    let start = bytes[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let length = bytes[offset..].iter().position(|byte| *byte == b'\n');
    text.get(start..length.map_or(bytes.len(), |length| offset + length)).unwrap_or("")
}

fn syntax_remedy(message: &str, line: &str) -> String {
    let line = line.trim();
    let remedy = if line.starts_with("[async/amqp") {
        "write `[\"async/amqp\"]`: a key with a slash is quoted"
    } else if line.starts_with('[') {
        "write `[table]`, or `[[backend]]` for each backend"
    } else if message.starts_with("string values must be quoted") {
        "put the value in double quotes"
    } else if message.starts_with("duplicate key") {
        "keep one of them"
    } else if message.contains("recurs") {
        "nest less deeply"
    } else {
        "write it as TOML: key = value"
    };
    remedy.to_owned()
}
