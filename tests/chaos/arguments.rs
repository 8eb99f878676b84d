//! What the command line asks for.

use std::path::PathBuf;

use super::fault::Kind;

pub const HELP: &str = "\
usage: scripts/chaos [OPTION...]     (or: cargo test --test chaos -- [OPTION...])
  --release 3|4|all           RabbitMQ 3.10, 4.3, or both (default: all)
  --queue classic|quorum|all  kinds of queue (default: all); each release and kind is a run of its
                              own, and all runs go on at the same time
  --faults N                  in each run (default: 9)
  --seed S                    the same seed draws the same faults (default: 1; scripts/chaos: a new one)
  --only WORD                 only faults whose name holds WORD; may be given more than once
  --rate N                    messages a second in each run (default: 60)
  --daemon FILE               the daemon to test (default: the one that cargo has built)
  --json FILE                 writes the report there too
  --keep                      keeps the logs in target/chaos of runs that pass, too";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Run like this.
    Run(Options),
    /// Say how to call it.
    Help,
    /// Nothing of ours is asked for.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub releases: Vec<u8>,
    pub queues: Vec<Queue>,
    pub faults: usize,
    pub seed: u64,
    pub only: Vec<String>,
    pub rate: u32,
    pub daemon: PathBuf,
    pub json: Option<PathBuf>,
    pub keep: bool,
}

/// A kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Classic,
    Quorum,
}

impl Queue {
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// Reads the arguments. Those of the standard test harness are understood as far as they decide
/// whether this test is meant: `cargo test NAME` passes them to every test program.
///
/// # Errors
/// What cannot be understood.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Wish, String> {
    let mut options = Options {
        releases: vec![3, 4],
        queues: vec![Queue::Classic, Queue::Quorum],
        faults: 9,
        seed: 1,
        only: Vec::new(),
        rate: 60,
        daemon: env!("CARGO_BIN_EXE_amqp-agentd").into(),
        json: None,
        keep: false,
    };
    let (mut names, mut is_meant) = (Vec::new(), true);
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let (key, inline) = match argument.split_once('=') {
            Some((key, value)) if key.starts_with("--") => (key, Some(value.to_owned())),
            Some(_) | None => (argument.as_str(), None),
        };
        let mut value =
            || inline.clone().or_else(|| rest.next()).ok_or(format!("{key} needs a value"));
        match key {
            "--help" | "-h" => return Ok(Wish::Help),
            "--release" => {
                options.releases = match value()?.as_str() {
                    "3" => vec![3],
                    "4" => vec![4],
                    "all" => vec![3, 4],
                    other => return Err(format!("no such release: {other} (3, 4 or all)")),
                }
            }
            "--queue" => {
                options.queues = match value()?.as_str() {
                    "classic" => vec![Queue::Classic],
                    "quorum" => vec![Queue::Quorum],
                    "all" => vec![Queue::Classic, Queue::Quorum],
                    other => {
                        return Err(format!("no such queue: {other} (classic, quorum or all)"));
                    }
                }
            }
            "--faults" => options.faults = number(key, &value()?)?,
            "--seed" => options.seed = number(key, &value()?)?,
            "--rate" => options.rate = number::<u32>(key, &value()?)?.clamp(1, 1000),
            "--only" => {
                let word = value()?;
                if !Kind::ALL.iter().any(|kind| kind.name().contains(&word)) {
                    return Err(format!("no fault has a name with {word}"));
                }
                options.only.push(word);
            }
            "--daemon" => options.daemon = value()?.into(),
            "--json" => options.json = Some(value()?.into()),
            "--keep" => options.keep = true,
            "--list" | "--ignored" => is_meant = false,
            "--skip" => is_meant &= !"chaos".contains(&value()?),
            "--test-threads" | "--format" | "--color" => drop(value()?),
            "--nocapture" | "--no-capture" | "--exact" | "--quiet" | "-q" | "--show-output"
            | "--include-ignored" => {}
            _ if key.starts_with('-') => return Err(format!("unknown option: {key}")),
            _ => names.push(argument),
        }
    }
    is_meant &= names.is_empty() || names.iter().any(|name| "chaos".contains(name.as_str()));
    Ok(if is_meant { Wish::Run(options) } else { Wish::Nothing })
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{key} needs a number, not {value}"))
}
