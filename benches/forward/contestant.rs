//! Who takes part: the daemon, the loops of this program, and the peers that are found.

use std::env::{self, current_exe};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Failure;
use crate::children;
use crate::clock::pause_ms;
use crate::daemon;
use crate::measure::{Usage, usage};

/// How long a contestant may take to end in good order.
const STOP_MS_MAX: u64 = 20_000;
const LOOK_AGAIN_MS: u64 = 20;
/// What a peer says when it is not to be had here.
const NOT_AVAILABLE: i32 = 3;

/// What a contestant is to do.
#[derive(Debug, Clone)]
pub struct Job {
    pub broker_url: String,
    pub sink_url: String,
    pub window: u16,
    pub queues: Vec<String>,
    /// Requests for each message. Only the daemon can do more than one.
    pub backends: usize,
}

impl Job {
    /// As a loop or a peer is told it: broker, sink, window, and a queue or more.
    pub fn from_arguments(arguments: &[String]) -> Result<Job, Failure> {
        match arguments {
            [broker_url, sink_url, window, queues @ ..] if !queues.is_empty() => Ok(Job {
                broker_url: broker_url.clone(),
                sink_url: sink_url.clone(),
                window: window.parse()?,
                queues: queues.to_vec(),
                backends: 1,
            }),
            _ => Err("AMQP_URL SINK_URL WINDOW QUEUE...".into()),
        }
    }

    fn to_arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.broker_url.clone(), self.sink_url.clone(), self.window.to_string()];
        arguments.extend(self.queues.iter().cloned());
        arguments
    }
}

/// One that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contestant {
    /// This project's program, with a configuration as a user would write it.
    Daemon(PathBuf),
    /// A loop of this program, by its name.
    Loop(&'static str),
    /// A folder with the programs `provision` and `run`.
    Peer { name: String, directory: PathBuf },
}

impl Contestant {
    pub fn name(&self) -> &str {
        match self {
            Contestant::Daemon(_) => "daemon",
            Contestant::Loop(name) => name,
            Contestant::Peer { name, .. } => name,
        }
    }

    /// Lets a peer get what it needs; why it cannot take part, if it cannot.
    pub fn provision(&self) -> Result<Option<String>, Failure> {
        let Contestant::Peer { directory, .. } = self else {
            return Ok(None);
        };
        let output = peer(directory, "provision").stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = format!("{}{said}", String::from_utf8_lossy(&output.stdout));
        let why = said.lines().last().unwrap_or("it does not say why").to_owned();
        if output.status.code() == Some(NOT_AVAILABLE) {
            return Ok(Some(why));
        }
        Ok(Some(format!("provision failed ({}): {why}", output.status)))
    }

    /// Starts it. What it says goes to a file in a folder that lives as long as it.
    pub fn start(&self, job: &Job) -> Result<Running, Failure> {
        let directory = tempfile::Builder::new().prefix("forward-").tempdir()?;
        let mut command = match self {
            Contestant::Daemon(program) => daemon::command(program, job, directory.path())?,
            Contestant::Loop(name) => {
                let mut command = Command::new(current_exe()?);
                command.arg(name).args(job.to_arguments());
                command
            }
            Contestant::Peer { directory, .. } => {
                let mut command = peer(directory, "run");
                command.args(job.to_arguments());
                command
            }
        };
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        let log = File::create(directory.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn()?;
        children::started(child.id());
        Ok(Running { child, directory, has_ended: false })
    }
}

fn peer(directory: &Path, program: &str) -> Command {
    let mut command = Command::new(directory.join(program));
    command.env("PEERS_CACHE", peers_cache());
    command
}

fn peers_cache() -> PathBuf {
    let named = |name| env::var_os(name).map(PathBuf::from);
    named("PEERS_CACHE").unwrap_or_else(|| {
        let home = named("HOME").unwrap_or_else(|| "/root".into());
        named("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")).join("amqp-agentd/peers")
    })
}

/// All peers that there are folders for, whether or not they can be had here.
pub fn peers(directory: &Path) -> Vec<Contestant> {
    let mut peers: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("run").is_file())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(Contestant::Peer { name, directory: entry.path() })
        })
        .collect();
    peers.sort_by(|one, other| one.name().cmp(other.name()));
    peers
}

/// One that was started. It is killed with its value.
pub struct Running {
    child: Child,
    directory: TempDir,
    has_ended: bool,
}

impl Running {
    pub fn usage(&self) -> Usage {
        usage(self.child.id())
    }

    /// Its exit status, if it ended by itself.
    pub fn ended(&mut self) -> Result<Option<String>, Failure> {
        let status = self.child.try_wait()?;
        self.has_ended |= status.is_some();
        Ok(status.map(|status| status.to_string()))
    }

    /// The last lines that it said.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Ends it with SIGTERM; false when it had to be killed.
    pub fn stop(mut self) -> Result<bool, Failure> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM)?;
        }
        for _ in 0..STOP_MS_MAX / LOOK_AGAIN_MS {
            if self.ended()?.is_some() {
                return Ok(true);
            }
            pause_ms(LOOK_AGAIN_MS);
        }
        Ok(false)
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child of its own may have outlived it.
        children::kill(self.child.id());
        if !self.has_ended {
            self.child.wait().ok();
        }
    }
}
