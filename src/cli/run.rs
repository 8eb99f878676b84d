//! `run`: the daemon, in the foreground.

use std::io::{self, Write};

use super::{BAD_CONFIGURATION, FAILED, FINE};
use crate::config::{self, Paths, ProcessEnvironment};
use crate::daemon::{self, Exit};
use crate::signals::Signals;
use crate::{logging, tls};

/// Runs until told to stop; returns the exit code.
///
/// Files are read before logging starts, since they say where the log goes. One broken agent
/// file does not keep the others from running; nothing left to run, or a broken main file, does.
pub(super) fn run(paths: &Paths) -> u8 {
    let loaded = config::load(paths, &ProcessEnvironment);
    let nothing_left = loaded.agents.is_empty() && !loaded.broken.is_empty();
    if loaded.main_file_is_broken || nothing_left {
        let errors = loaded.problems.iter().filter(|problem| problem.is_error());
        for problem in errors {
            say(&problem.to_string());
        }
        return BAD_CONFIGURATION;
    }
    if let Err(problem) = logging::start(&loaded.settings.log) {
        say(&problem);
        return BAD_CONFIGURATION;
    }
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| {
        runtime.block_on(async { daemon::run(paths, loaded, Signals::hear()?).await })
    });
    match ended {
        Ok(Exit::Fine) => FINE,
        Ok(Exit::CutShort) => FAILED,
        Err(error) => {
            say(&format!("failed to start: {error}"));
            FAILED
        }
    }
}

/// Says what comes before the log, or instead of it.
fn say(text: &str) {
    // Where standard error is closed nobody can be told.
    writeln!(io::stderr(), "{text}").ok();
}
