//! Where the log goes and in which form: set once, when the program starts.

mod journal;

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::panic;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use self::journal::Journal;
use crate::config::definition::{LogFormat, LogSettings};

/// Wins over the main file's `log.level`.
pub const LEVEL_VARIABLE: &str = "AMQP_AGENTD_LOG";

/// Starts logging to standard error, or to the journal, and has panics logged too.
///
/// # Errors
/// When the level cannot be read; nothing is logged then.
pub fn start(settings: &LogSettings) -> Result<(), String> {
    let filter = match env::var(LEVEL_VARIABLE) {
        Ok(level) if !level.is_empty() => {
            filter(&level).map_err(|problem| format!("{LEVEL_VARIABLE}: {problem}"))?
        }
        Ok(_) | Err(_) => filter(&settings.level)?,
    };
    let plain = fmt::layer().with_writer(io::stderr).with_target(false);
    let form: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => {
            let json = fmt::layer().with_writer(io::stderr).json().flatten_event(true);
            json.with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Journal => journal()?,
        LogFormat::Auto if stderr_is_journal() => match journal() {
            Ok(journal) => journal,
            Err(_) => plain.with_ansi(false).without_time().boxed(),
        },
        LogFormat::Text | LogFormat::Auto => plain.with_ansi(wants_colours()).boxed(),
    };
    tracing_subscriber::registry()
        .with(form.with_filter(filter))
        .try_init()
        .map_err(|error| error.to_string())?;
    log_panics();
    Ok(())
}

/// Reads a level, or a list of levels and `target=level`.
///
/// # Errors
/// What is wrong with it.
pub fn filter(level: &str) -> Result<Targets, String> {
    // A word alone would be taken as a target, and a slip of the pen silence everything else.
    let is_level = |part: &str| {
        part.contains('=') || (!part.is_empty() && LevelFilter::from_str(part).is_ok())
    };
    let targets = level.split(',').map(str::trim).all(is_level);
    let targets = targets.then(|| Targets::from_str(level).ok()).flatten().ok_or_else(|| {
        format!("`{level}` is no level of logging; use `error`, `warn`, `info`, `debug` or `trace`, or a list: \"info,amqprs=warn\"")
    })?;
    // The client library calls an error what for us is an ordinary end of a session, told with
    // its reason by the agent; its trace shows message bodies. Only who names it gets it.
    let names_it = level.contains("amqprs");
    Ok(if names_it { targets } else { targets.with_target("amqprs", LevelFilter::OFF) })
}

fn journal() -> Result<Box<dyn Layer<Registry> + Send + Sync>, String> {
    let journal =
        Journal::open().map_err(|error| format!("failed to open the journal's socket: {error}"))?;
    Ok(journal.boxed())
}

/// systemd names the device and inode of the stream that it made (`systemd.exec(5)`).
fn stderr_is_journal() -> bool {
    let stream = std::fs::metadata("/proc/self/fd/2").ok();
    let ours = stream.map(|stream| format!("{}:{}", stream.dev(), stream.ino()));
    ours.is_some() && env::var("JOURNAL_STREAM").ok() == ours
}

/// Colours only where a person reads, and not where that person said no (`no-color.org`).
fn wants_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A panic is a line of the log like any other.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no text");
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), place, "panic: {text}");
    }));
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_or_a_list_is_understood() {
        for level in ["info", "WARN", "off", "info,amqp_agentd::agent=debug", "a=off, error"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_told_and_does_not_silence_the_log() {
        for level in ["", "inof", "loud", "info,", "info,loud", "amqp_agentd=loud", "a b"] {
            assert!(filter(level).unwrap_err().contains("no level of logging"), "{level}");
        }
    }

    #[test]
    fn the_client_library_is_heard_only_where_it_is_named() {
        assert!(!filter("trace").unwrap().would_enable("amqprs::net", &Level::ERROR));
        assert!(filter("trace").unwrap().would_enable("amqp_agentd", &Level::TRACE));
        assert!(filter("info,amqprs=warn").unwrap().would_enable("amqprs::net", &Level::WARN));
    }
}
