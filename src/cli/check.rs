//! `check`: every problem in every file at once, without a broker.

use std::io::{self, Write};

use crate::config::{Environment, Paths, load};

/// The exit code for a configuration with errors, `EX_CONFIG` of sysexits.
pub const EXIT_CONFIG: u8 = 78;

/// Writes every error and warning to `out`, one a line; the exit code, 0 or [`EXIT_CONFIG`].
///
/// Nothing is written where nothing is wrong. Warnings alone are written and end in 0.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn check(
    paths: &Paths,
    environment: &impl Environment,
    out: &mut impl Write,
) -> io::Result<u8> {
    let loaded = load(paths, environment);
    for problem in &loaded.problems {
        writeln!(out, "{problem}")?;
    }
    Ok(if loaded.has_errors() { EXIT_CONFIG } else { 0 })
}
