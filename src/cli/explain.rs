//! `explain`: the requests that a message becomes, and what follows from a reply.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::task::LocalSet;

use super::{BAD_CONFIGURATION, FAILED, FINE, Files, WRONG_USAGE};
use crate::agent::rehearsal::{self, Replies, Supposed};
use crate::backend::environment_names_a_proxy;
use crate::broker::Publishers;
use crate::config::definition::{AgentDefinition, LogFormat, LogSettings};
use crate::config::{Loaded, Paths, ProcessEnvironment, Trusting, duration, load, written};
use crate::delivery::Message;
use crate::explain::peek::{self, NoMessage, Peeked};
use crate::explain::sample;
use crate::explain::shown::{Shown, Source};
use crate::explain::story::Tale;
use crate::explain::wire::{self, Sent};
use crate::{logging, tls};

/// The most octets of a message in a file.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent whose message it is
    #[arg(value_name = "AGENT")]
    agent: String,
    /// The message, as JSON; - is standard input [default: a small sample]
    #[arg(long, value_name = "FILE", conflicts_with = "peek")]
    message: Option<PathBuf>,
    /// Take the first message of the agent's queue, and give it back
    #[arg(long)]
    peek: bool,
    /// What the backends reply, try by try; the last one repeats
    #[arg(long = "reply", value_name = "REPLY", value_parser = reply)]
    replies: Vec<(Option<String>, Supposed)>,
    /// Retry-After of replies that are no success: seconds, or a duration such as 2m
    #[arg(long, value_name = "TIME", value_parser = retry_after, requires = "replies")]
    retry_after: Option<Duration>,
    /// Print one JSON object in place of the text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    files: Files,
}

pub(super) const HELP: &str = "\
Nothing is sent, and without --peek nobody is asked. What is secret shows as <secret>: what was put in
by ${…}, a login of a host's URL, and headers whose names tell of a credential.

A message is written as RabbitMQ's management interface shows it under \"Get messages\", alone or as a
list of one. Only `payload` is needed:
  {\"payload\": \"{\\\"id\\\":1}\", \"payload_encoding\": \"string\", \"exchange\": \"shop\",
   \"routing_key\": \"order.created\", \"redelivered\": false,
   \"properties\": {\"content_type\": \"application/json\", \"message_id\": \"1\", \"headers\": {\"n\": 1}}}

A REPLY is a status, or one of timeout, reset (after the request was sent), refused, dns, tls.
NAME=REPLY speaks of the backend NAME alone; backends that are not named answer as those without a
name say, else 204.

--peek takes the first message that waits (basic.get) and gives it back to its place. That sets its
redelivered flag, and for that moment no consumer has it. A quorum queue before RabbitMQ 4.3 counts it
as a delivery, and may put it at its end; for one that it would end the next time a copy takes its
place. A limit that only a policy sets is not known here. A stream cannot be looked at.

Examples:
  amqp-agentd explain orders                                    what the backends would be sent
  amqp-agentd explain orders --reply 503 --retry-after 30       and what follows from that reply
  amqp-agentd explain orders --reply 503 --reply 503 --reply 200
  amqp-agentd explain orders --peek --reply timeout --json | jq .story.summary
  rabbitmqadmin -f raw_json get queue=orders | amqp-agentd explain orders --message -

Exit codes: 0 shown, 1 no message could be had, 64 wrong usage or no such agent, 78 bad configuration
or message.";

/// Why there is nothing to show: the exit code, and what to say.
type Refusal = (u8, Vec<String>);

/// Does what the command line says; returns the exit code.
pub(super) fn explain(arguments: Arguments) -> u8 {
    match explained(arguments) {
        Ok(text) => {
            // Where nobody reads, the exit code still tells.
            writeln!(io::stdout(), "{}", text.trim_end()).ok();
            FINE
        }
        Err((code, problems)) => {
            for problem in problems {
                writeln!(io::stderr(), "{problem}").ok();
            }
            code
        }
    }
}

fn explained(arguments: Arguments) -> Result<String, Refusal> {
    let paths = Paths::from(arguments.files);
    // Only who logs in needs the credentials.
    let loaded = if arguments.peek {
        load(&paths, &ProcessEnvironment)
    } else {
        load(&paths, &Trusting(&ProcessEnvironment))
    };
    let definition = agent(&loaded, &arguments.agent, &paths)?;
    for (name, _) in &arguments.replies {
        known_backend(definition, name.as_deref())?;
    }
    let (mut message, source, notes) = match (&arguments.message, arguments.peek) {
        (Some(file), _) => (from_file(file, definition)?, Source::File, None),
        (None, true) => {
            let peeked = peeked(definition)?;
            (peeked.message, Source::Queue, peeked.note)
        }
        (None, false) => (sample::built_in(definition), Source::Sample, None),
    };
    let original = message.clone();
    let (attempt, done) = rehearsal::first_try(definition, &mut message);
    let strings =
        |backend: usize, key: &[&str]| written::out(&paths, &definition.file, backend, key);
    let wrong = |error: &dyn std::fmt::Display| (BAD_CONFIGURATION, vec![error.to_string()]);
    let told = wire::requests(definition, &message, attempt, &done, &strings);
    let told = told.map_err(|error| wrong(&error))?;
    let is_impossible = told.iter().any(|told| matches!(told.sent, Sent::Impossible(_)));
    let story = if arguments.replies.is_empty() && !is_impossible {
        None
    } else {
        let replies = Replies::new(arguments.replies.clone(), arguments.retry_after);
        let told = rehearsal::rehearse(definition, original, replies, seconds_since_1970());
        Some(told.map_err(|error| wrong(&error))?)
    };
    let tale = story.as_ref().map(|story| Tale { definition, story });
    let mut notes: Vec<String> = notes.into_iter().collect();
    if loaded.settings.tracing.is_some() {
        notes.push("[tracing] is set: where a delivery is traced, `traceparent` and `tracestate` say which request of ours it is".to_owned());
    }
    if environment_names_a_proxy() {
        notes.push("a proxy is named in this environment; where the daemon's names one too, a request to http:// goes through it, with the whole URL in its first line".to_owned());
    }
    let shown = Shown {
        definition,
        message: &message,
        source,
        told,
        tale,
        notes,
        replies: &arguments.replies,
    };
    Ok(if arguments.json { shown.json().to_string() } else { shown.text() })
}

/// The agent named `name`.
fn agent<'l>(
    loaded: &'l Loaded,
    name: &str,
    paths: &Paths,
) -> Result<&'l AgentDefinition, Refusal> {
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
    let there = match names.as_slice() {
        [] => "there is none that is whole and enabled".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    let directory = paths.agents_directory();
    Err((WRONG_USAGE, vec![format!("no agent `{name}` in {}; {there}", directory.display())]))
}

fn known_backend(definition: &AgentDefinition, name: Option<&str>) -> Result<(), Refusal> {
    let mut backends = definition.backends.iter();
    let Some(name) = name.filter(|name| !backends.any(|backend| &*backend.name == *name)) else {
        return Ok(());
    };
    let names: Vec<&str> = definition.backends.iter().map(|backend| &*backend.name).collect();
    let problem = format!("--reply: no backend is named `{name}`; there are {}", names.join(", "));
    Err((WRONG_USAGE, vec![problem]))
}

fn from_file(file: &Path, definition: &AgentDefinition) -> Result<Message, Refusal> {
    let is_standard_input = file == Path::new("-");
    let shown = if is_standard_input { "standard input".into() } else { file.to_string_lossy() };
    let mut text = String::new();
    let read = if is_standard_input {
        if io::stdin().is_terminal() {
            writeln!(io::stderr(), "reading a message from standard input; Ctrl-D ends it").ok();
        }
        io::stdin().take(MESSAGE_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(MESSAGE_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| (BAD_CONFIGURATION, vec![format!("{shown}: {error}")]))?;
    sample::read(&text, &definition.source.queue.name).map_err(|fault| {
        let place = match fault.place {
            Some((line, column)) => format!("{shown}:{line}:{column}"),
            None => shown.into_owned(),
        };
        (BAD_CONFIGURATION, vec![format!("{place}: {}; {}", fault.problem, fault.remedy)])
    })
}

fn peeked(definition: &AgentDefinition) -> Result<Peeked, Refusal> {
    let settings = LogSettings { format: LogFormat::Text, level: "error".to_owned() };
    logging::start(&settings).map_err(|problem| (BAD_CONFIGURATION, vec![problem]))?;
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (FAILED, vec![format!("failed to start: {error}")]))?;
    let found = LocalSet::new().block_on(&runtime, async {
        let mut publishers = Publishers::default();
        let publisher = || publishers.get(&definition.source.brokers, &definition.name);
        let found = peek::peek(definition, publisher).await;
        publishers.end().await;
        found
    });
    // A name look-up that hangs must not keep it from ending.
    runtime.shutdown_background();
    found.map_err(|why: NoMessage| (FAILED, vec![format!("agent {}: {why}", definition.name)]))
}

fn reply(text: &str) -> Result<(Option<String>, Supposed), String> {
    match text.rsplit_once('=') {
        Some((name, reply)) if !name.is_empty() => Ok((Some(name.to_owned()), reply.parse()?)),
        Some(_) | None => Ok((None, text.parse()?)),
    }
}

fn retry_after(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let wrong = || "write seconds, or a duration such as 2m".to_owned();
    seconds.or_else(|| duration::parse(text)).ok_or_else(wrong)
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
