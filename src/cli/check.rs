//! `check`: every problem in every file at once, without a broker.

use std::io::{self, Write};

use super::{BAD_CONFIGURATION, FINE};
use crate::config::{Environment, Paths, Trusting, load};

/// Writes every error and warning to `out`, one a line; the exit code, 0 or [`BAD_CONFIGURATION`].
///
/// Nothing is written where nothing is wrong. Warnings alone are written and end in 0.
/// Credentials that cannot be seen from here are taken to be there: only the daemon sees them.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn check(
    paths: &Paths,
    environment: &impl Environment,
    out: &mut impl Write,
) -> io::Result<u8> {
    let loaded = load(paths, &Trusting(environment));
    for problem in &loaded.problems {
        writeln!(out, "{problem}")?;
    }
    Ok(if loaded.has_errors() { BAD_CONFIGURATION } else { FINE })
}
