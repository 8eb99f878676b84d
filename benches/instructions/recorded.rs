//! The figures that a change is held to.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

use serde::{Deserialize, Serialize};

const HEADING: &str = "# What one message costs, by `scripts/instructions`. After a change that is meant to change it:\n\
                       # scripts/instructions --record\n\n";

/// A figure may be this share above its record before that is a failure.
const TOLERANCE: f64 = 0.1;

/// All records.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Compiler, valgrind and C library: others count differently.
    pub made_with: String,
    pub case: BTreeMap<String, Figures>,
}

/// What one message costs.
#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    pub instructions: u32,
    pub system_calls: f64,
    pub allocations: f64,
}

/// How a figure stands to its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Within,
    Above,
    Below,
    /// It has none.
    Unknown,
}

impl Records {
    /// Those in the file; none where it is not there.
    pub fn read(file: &Path) -> io::Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => toml::from_str(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub fn write(&self, file: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        fs::write(file, format!("{HEADING}{text}"))
    }
}

impl Figures {
    /// Of all messages together, to those of one.
    pub fn of_one(instructions: u64, system_calls: u64, allocations: u64, messages: u32) -> Self {
        let whole = |all: u64| u32::try_from(all).unwrap_or(u32::MAX);
        let tenths = |all| (f64::from(whole(all)) / f64::from(messages) * 10.0).round() / 10.0;
        Self {
            instructions: whole(instructions) / messages,
            system_calls: tenths(system_calls),
            allocations: tenths(allocations),
        }
    }

    /// By name.
    pub fn each(self) -> [(&'static str, f64); 3] {
        [
            ("instructions", f64::from(self.instructions)),
            ("system calls", self.system_calls),
            ("allocations", self.allocations),
        ]
    }
}

/// How `counted` stands to `recorded`. Half a system call is never too much: how the octets of large
/// messages come in is not the same each time.
pub fn verdict(counted: f64, recorded: Option<f64>) -> Verdict {
    let Some(recorded) = recorded else { return Verdict::Unknown };
    let slack = (recorded * TOLERANCE).max(0.5);
    match counted - recorded {
        above if above > slack => Verdict::Above,
        below if below < -slack => Verdict::Below,
        _ => Verdict::Within,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Within => "",
            Self::Above => "  MORE THAN 10 % ABOVE",
            Self::Below => "  more than 10 % below",
            Self::Unknown => "  NOT RECORDED",
        })
    }
}

/// Names the tools that the figures depend on.
pub fn tools() -> String {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    };
    let tools =
        [said("rustc", "-V"), said("valgrind", "--version"), said("getconf", "GNU_LIBC_VERSION")];
    tools.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
