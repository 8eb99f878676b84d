//! `redrive`: dead letters back to where they came from.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;

use super::{BAD_CONFIGURATION, FAILED, FINE, Files, WRONG_USAGE};
use crate::broker::{Ended, Publishers};
use crate::config::definition::{AgentDefinition, LogFormat, LogSettings, QueueType};
use crate::config::suggest::nearest;
use crate::config::{self, Loaded, Paths, ProcessEnvironment, duration};
use crate::redrive::{self, Plan, Progress, Report, Selection};
use crate::signals::Signals;
use crate::{logging, tls};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent whose dead letters they are
    #[arg(value_name = "AGENT")]
    agent: String,
    /// Only those dead-lettered for this
    #[arg(long, value_name = "REASON", help = REASONS)]
    reason: Option<String>,
    /// Only those that failed last at least so long ago, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = period)]
    older_than: Option<Duration>,
    /// Only those that failed last less than so long ago, such as 2d
    #[arg(long, value_name = "DURATION", value_parser = period)]
    newer_than: Option<Duration>,
    /// Only those with this header; may be given more than once
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// At most so many a second, evenly spaced
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    rate: Option<f64>,
    /// Tell those backends too that have a message already
    #[arg(long)]
    all_backends: bool,
    /// Only count, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// The queue that the dead letters are in [default: the agent's dead-letter queue]
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    #[command(flatten)]
    files: Files,
}

const REASONS: &str = "Only those dead-lettered for this: refused, impossible, attempts, max_age, or a word of the broker's";

pub(super) const HELP: &str = "\
Each message that is in the queue at the beginning is looked at once. One that goes back is acked only
when the broker has confirmed its copy: whatever ends this, nothing is lost, and at most 50 messages
come twice. What is passed over stays where it is; the queue shows it as unacked meanwhile.

SIGTERM, SIGINT end it in good order, a second one at once. The daemon may run meanwhile. Exit codes:
0 done, 1 failed or cut short, 64 wrong usage or no such agent, 78 bad configuration.";

/// Does what the command line says; returns the exit code.
pub(super) fn redrive(arguments: Arguments) -> u8 {
    let json = arguments.json;
    let plan = match plan(arguments) {
        Ok(plan) => plan,
        Err((code, problems)) => {
            for problem in problems {
                say(&problem);
            }
            return code;
        }
    };
    let settings = LogSettings { format: LogFormat::Text, level: "warn".to_owned() };
    if let Err(problem) = logging::start(&settings) {
        say(&problem);
        return BAD_CONFIGURATION;
    }
    tls::install_provider();
    match work(&plan) {
        Ok(Ok(report)) => tell(&plan, &report, json),
        Ok(Err(refusals)) => {
            if refusals.is_empty() {
                say("nothing was changed: cut short by a signal");
            }
            for (broker, reason) in refusals {
                say(&format!("nothing was changed: {broker}: {}", why(&reason, &plan.from)));
            }
            FAILED
        }
        Err(error) => {
            say(&format!("failed to start: {error}"));
            FAILED
        }
    }
}

fn plan(arguments: Arguments) -> Result<Plan, (u8, Vec<String>)> {
    let paths = Paths::from(arguments.files);
    let loaded = config::load(&paths, &ProcessEnvironment);
    let definition = agent(&loaded, &arguments.agent, &paths)?;
    let from = redrive::dead_letter_queue(definition, arguments.queue.as_deref());
    let from = from.map_err(|problem| (WRONG_USAGE, vec![problem]))?;
    Ok(Plan {
        agent: Arc::clone(&definition.name),
        brokers: definition.source.brokers.clone(),
        from,
        from_quorum: arguments.queue.is_none()
            && definition.source.copy_kind() == QueueType::Quorum,
        to: definition.source.queue.name.clone(),
        selection: Selection {
            reason: arguments.reason,
            older_than: arguments.older_than,
            newer_than: arguments.newer_than,
            headers: arguments.headers,
        },
        limit: arguments.limit,
        rate: arguments.rate,
        dry_run: arguments.dry_run,
        to_all: arguments.all_backends,
        finish_max: loaded.settings.drain_timeout,
    })
}

/// The agent named `name`; else the exit code, and what to say.
fn agent<'l>(
    loaded: &'l Loaded,
    name: &str,
    paths: &Paths,
) -> Result<&'l AgentDefinition, (u8, Vec<String>)> {
    let known = loaded.agents.iter().find(|agent| &*agent.name == name);
    if let Some(agent) = known.filter(|_| !loaded.main_file_is_broken) {
        return Ok(agent);
    }
    let is_named = |file: &Path| file.file_stem().is_some_and(|stem| stem == name);
    if loaded.main_file_is_broken || loaded.broken.iter().any(|file| is_named(file)) {
        let errors = loaded.problems.iter().filter(|problem| problem.is_error());
        return Err((BAD_CONFIGURATION, errors.map(ToString::to_string).collect()));
    }
    let names: Vec<&str> = loaded.agents.iter().map(|agent| &*agent.name).collect();
    let remedy = match nearest(name, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "name one that `--agents` has, and that is enabled".to_owned(),
    };
    let directory = paths.agents_directory();
    let problem = format!("no agent `{name}` in {}; {remedy}", directory.display());
    Err((WRONG_USAGE, vec![problem]))
}

/// Runs on this thread alone.
fn work(plan: &Plan) -> io::Result<Result<Report, Vec<(String, Ended)>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = LocalSet::new().block_on(&runtime, async {
        let mut signals = Signals::hear()?;
        let mut publishers = Publishers::default();
        let publisher = publishers.get(&plan.brokers, &plan.agent);
        let report = redrive::run(plan, publisher, &mut signals, &mut Progress::new()).await;
        publishers.end().await;
        Ok(report)
    });
    // A name look-up that hangs must not keep it from ending.
    runtime.shutdown_background();
    done
}

/// Why nothing could be taken of `from`. A dead-letter queue of ours comes with its first dead letter.
fn why(reason: &Ended, from: &str) -> String {
    if matches!(reason, Ended::ChannelClosed { code: 404, .. }) {
        return format!(
            "there is no queue `{from}` (404); nothing was dead-lettered yet, or --queue has to name another"
        );
    }
    reason.to_string()
}

/// Prints what was done; the exit code.
fn tell(plan: &Plan, report: &Report, json: bool) -> u8 {
    let text = if json { report.json(plan).to_string() } else { report.text(plan) };
    // Where nobody reads, the exit code still tells.
    writeln!(io::stdout(), "{text}").ok();
    if report.twice_max > 0 {
        let most = report.twice_max;
        say(&format!(
            "at most {most} messages may come twice: in {} and in {}",
            plan.from, plan.to
        ));
    }
    if report.stop.is_fine() {
        return FINE;
    }
    say(&report.stop.to_string());
    FAILED
}

fn period(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "write a duration such as 30m, 1h or 2d".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| "write it as NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "write a number above 0".to_owned())
}

fn say(text: &str) {
    // Where standard error is closed nobody can be told.
    writeln!(io::stderr(), "{text}").ok();
}
