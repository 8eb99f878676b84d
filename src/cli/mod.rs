//! The command line: one file a subcommand, and the exit codes that they share.

mod ask;
pub mod check;
mod import;
mod explain;
mod online;
mod redrive;
mod run;
mod status;
mod steer;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Paths, ProcessEnvironment};

/// The program did what it was asked to.
pub const FINE: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// The command line is wrong (`EX_USAGE` of `sysexits.h`).
pub const WRONG_USAGE: u8 = 64;
/// The configuration is wrong (`EX_CONFIG` of `sysexits.h`).
pub const BAD_CONFIGURATION: u8 = 78;

/// Takes messages out of RabbitMQ queues and hands each one to HTTP backends, at least once.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  amqp-agentd check                         every problem in /etc/amqp-agentd, before it matters
  amqp-agentd check --online                the same, and what the brokers say
  amqp-agentd run --agents ./agents.d       the daemon in the foreground; Ctrl-C drains and stops it
  amqp-agentd status --watch                what the running daemon does, refreshed in place
  amqp-agentd pause orders                  finish what is in flight, hand out nothing more
  amqp-agentd redrive orders --dry-run      its dead letters, by reason
  amqp-agentd import krakend.json           agent files of KrakenD's async agents, printed
  amqp-agentd explain orders --reply 503    its request, and what becomes of a message that fails
  amqp-agentd reload                        read the files again; what is unchanged is not touched

Exit codes: 0 fine, 1 failed, 64 wrong usage, 78 bad configuration.
Log level: AMQP_AGENTD_LOG=debug, or a list such as info,amqp_agentd::agent=debug.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    #[command(after_help = SIGNALS)]
    Run(Files),
    /// Print every problem in every file; silent when there is none
    #[command(after_help = PROBLEMS)]
    Check(Checked),
    /// Show what the running daemon and its agents do
    #[command(after_help = status::HELP)]
    Status(status::Arguments),
    /// Let agents of the running daemon finish what is in flight and hand out nothing more
    #[command(after_help = steer::PAUSE_HELP)]
    Pause(steer::Named),
    /// Let paused agents go on
    #[command(after_help = steer::RESUME_HELP)]
    Resume(steer::Named),
    /// Let the running daemon read its files again
    #[command(after_help = steer::RELOAD_HELP)]
    Reload(steer::Reload),
    /// Move dead letters back to the queue that they came from
    #[command(after_help = redrive::HELP)]
    Redrive(redrive::Arguments),
    /// Make agent files of KrakenD's async agents
    #[command(after_help = import::HELP)]
    Import(import::Arguments),
    /// Show the requests that a message becomes, and what follows from a reply
    #[command(after_help = explain::HELP)]
    Explain(explain::Arguments),
}

const SIGNALS: &str = "\
Signals:
  SIGTERM, SIGINT   take no more messages, finish those in flight, give back the rest, end; a second
                    one ends at once. Nothing is lost either way.
  SIGHUP            read the files again: what is new starts, what changed is replaced, what is gone
                    stops, and a broken file leaves its agent as it runs.

A broken agent file is told in the log and does not keep the others from running. Where no file that
is there can be used, or the main file is broken, it ends at once, with 78.";

const PROBLEMS: &str = "\
Each problem is a line on standard error, file:line:column: problem; remedy. The exit code is 78 if
any is an error, and 0 if there are none or only warnings. No broker and no backend is asked.

With --online each broker of each agent is asked as well, and nothing is changed there: whether it
can be reached and takes the login, whether queue and exchanges are there as the file says and may be
used, and what the audit of the queue finds. Then the exit code is 78 also for what can't work at the
broker, such as a refused login, and 1 for a broker that can't be reached.";

#[derive(Debug, Args)]
struct Checked {
    #[command(flatten)]
    files: Files,
    /// Ask the brokers too: each agent logs in and asks for its queue, and nothing is changed
    #[arg(long)]
    online: bool,
}

#[derive(Debug, Args)]
struct Files {
    /// The main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of agent files, one agent a *.toml [default: agents.d beside the main file]
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
}

impl From<Files> for Paths {
    fn from(files: Files) -> Self {
        Self { main: files.config, agents: files.agents }
    }
}

/// The command line as clap knows it: the manual page and the completions are made of it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let code = match arguments.command {
        Command::Run(files) => run::run(&files.into()),
        Command::Check(Checked { files, online }) => {
            let (paths, mut out) = (files.into(), std::io::stderr());
            let checked = if online {
                online::check(&paths, &ProcessEnvironment, &mut out)
            } else {
                check::check(&paths, &ProcessEnvironment, &mut out)
            };
            // Where nobody can be told, the exit code still tells.
            checked.unwrap_or(FAILED)
        }
        Command::Status(arguments) => status::status(&arguments),
        Command::Pause(arguments) => steer::pause(&arguments, true),
        Command::Resume(arguments) => steer::pause(&arguments, false),
        Command::Reload(arguments) => steer::reload(&arguments),
        Command::Redrive(arguments) => redrive::redrive(arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Explain(arguments) => explain::explain(arguments),
    };
    ExitCode::from(code)
}

fn usage(error: &clap::Error) -> ExitCode {
    // Printing can only fail where nobody reads.
    error.print().ok();
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    ExitCode::from(if asked_for { FINE } else { WRONG_USAGE })
}

fn say(text: &str) {
    // Where standard error is closed nobody can be told.
    writeln!(std::io::stderr(), "{text}").ok();
}
