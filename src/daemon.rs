//! The story of the daemon: load, supervise, ready, reload, drain, stop.

use std::future::pending;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use crate::agent;
use crate::config::definition::{AgentDefinition, DaemonSettings};
use crate::config::diff::{diff, keeping_broken};
use crate::config::error::Problem;
use crate::config::{self, Loaded, Paths, ProcessEnvironment};
use crate::open_files;
use crate::signals::{Signal, Signals};
use crate::supervisor::Supervisor;
use crate::systemd::Notifier;
use crate::threads::Threads;

/// How often the status line is looked at.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How long an agent has to give back what it holds, once it no longer waits for replies.
const GIVE_BACK_MAX: Duration = Duration::from_secs(8);

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked; what was not finished in time is back in its queue.
    Fine,
    /// It had to be cut short.
    CutShort,
}

/// Runs agents from `loaded`, and from `paths` again at each reload, until told to stop.
///
/// # Errors
/// When the system gives no thread.
pub async fn run(paths: &Paths, loaded: Loaded, mut signals: Signals) -> io::Result<Exit> {
    let files_max = open_files::raise();
    let Loaded { settings, agents, broken, problems, main_file_is_broken: _ } = loaded;
    let threads = settings.threads.unwrap_or_else(default_threads);
    let (threads, endings) = Threads::start(threads, |definition, context| {
        agent::run(definition, context).boxed_local()
    })?;
    let mut supervisor = Supervisor::new(threads, endings, settings.drain_timeout);
    tell_problems(&problems);
    info!(
        version = %env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        agents = agents.len(),
        open_files_max = files_max,
        config = %paths.main_file().display(),
        agents_dir = %paths.agents_directory().display(),
        "started"
    );
    if agents.is_empty() {
        warn!("no agents: put a file into {} and reload", paths.agents_directory().display());
    }
    tell_of_files(files_max, agents.len());
    supervisor.apply(diff(&[], &agents)).await;
    // The supervisor has those that run; what a reload replaces is to be gone.
    drop(agents);

    let mut notifier = Notifier::default();
    notifier.trouble(broken_files("start", broken.len()));
    notifier.ready(&supervisor.status());
    let mut status = interval(STATUS_INTERVAL);
    let mut watchdog = Notifier::watchdog_interval().map(interval);
    if let Some(watchdog) = &mut watchdog {
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => reload(paths, &settings, &mut supervisor, &mut notifier).await,
                Signal::Stop => break,
            },
            () = supervisor.next() => {}
            _ = status.tick() => notifier.status(&supervisor.status()),
            () = due(&mut watchdog) => {
                // From this loop and only with a sign of life from every thread: a daemon that
                // hangs must not look alive.
                supervisor.signs_of_life().await;
                notifier.watchdog();
            }
        }
    }
    let exit = stop(settings.drain_timeout, &mut supervisor, &mut signals, &mut notifier).await;
    supervisor.end();
    Ok(exit)
}

/// Reads the files again and applies the difference; a broken file leaves its agent as it runs.
async fn reload(
    paths: &Paths,
    settings: &DaemonSettings,
    supervisor: &mut Supervisor,
    notifier: &mut Notifier,
) {
    notifier.reloading();
    let loaded = config::load(paths, &ProcessEnvironment);
    tell_problems(&loaded.problems);
    let running = supervisor.definitions();
    if let Some(why) = refusal(paths, &loaded, &running) {
        error!("reload refused: {why}, everything runs on as it is");
        notifier.trouble(Some(format!("reload refused, {why}")));
        notifier.ready(&supervisor.status());
        return;
    }
    if loaded.settings != *settings {
        warn!(
            "the main file's [daemon] or [log] changed: that takes a restart, only agents are reloaded"
        );
    }
    let wanted = keeping_broken(&running, loaded.agents, &loaded.broken);
    for agent in running.iter().filter(|agent| loaded.broken.contains(&agent.file)) {
        warn!(agent = %agent.name, file = %agent.file.display(), "its file is broken, the agent runs on as it was");
    }
    tell_of_files(open_files::raise(), wanted.len());
    let difference = diff(&running, &wanted);
    info!(
        started = difference.started.len(),
        changed = difference.changed.len(),
        stopped = difference.stopped.len(),
        unchanged = difference.unchanged.len(),
        broken_files = loaded.broken.len(),
        "reloaded"
    );
    supervisor.apply(difference).await;
    notifier.trouble(broken_files("reload", loaded.broken.len()));
    notifier.ready(&supervisor.status());
}

/// What `systemctl status` shows of files that could not be used, until a reload can.
fn broken_files(when: &str, count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("at the {when}: 1 file broken")),
        _ => Some(format!("at the {when}: {count} files broken")),
    }
}

/// Why a reload is not to be done at all. A directory that is gone, for a moment of a deploy
/// or because its file system is not mounted, is nobody's wish to stop every agent.
fn refusal(paths: &Paths, loaded: &Loaded, running: &[Arc<AgentDefinition>]) -> Option<String> {
    if loaded.main_file_is_broken {
        return Some("the main file is broken".to_owned());
    }
    let directory = paths.agents_directory();
    (!running.is_empty() && !directory.is_dir()).then(|| format!("{} is gone", directory.display()))
}

/// Drains all agents; a second signal ends them at once.
///
/// Each agent keeps its own deadline. The one here is for an agent that cannot, because its
/// broker takes nothing any more, say.
async fn stop(
    drain_timeout: Duration,
    supervisor: &mut Supervisor,
    signals: &mut Signals,
    notifier: &mut Notifier,
) -> Exit {
    info!("stopping: taking no more messages, finishing those in flight");
    notifier.stopping("draining");
    let began = Instant::now();
    let mut exit = Exit::Fine;
    let mut give_up_at = began + drain_timeout + GIVE_BACK_MAX;
    supervisor.drain();
    while !supervisor.is_empty() {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => {
                    warn!("stopping at once: giving back what is in flight, it may arrive twice");
                    exit = Exit::CutShort;
                    give_up_at = give_up_at.min(Instant::now() + GIVE_BACK_MAX);
                    supervisor.abort();
                }
                Signal::Reload => warn!("not reloading: the daemon is stopping"),
            },
            () = supervisor.next() => {}
            () = sleep_until(give_up_at) => {
                warn!("some agents did not end in time; the broker hands out again what they held");
                return Exit::CutShort;
            }
        }
    }
    let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(after_ms, "stopped, every agent has ended");
    exit
}

/// Each problem is a line, as `check` would print it.
fn tell_problems(problems: &[Problem]) {
    for problem in problems {
        if problem.is_error() {
            error!("{problem}");
        } else {
            warn!("{problem}");
        }
    }
}

/// More agents than connections can be open would fail in turn, each for a while.
fn tell_of_files(files_max: Option<u64>, agents: usize) {
    if open_files::is_short(files_max, agents) {
        warn!(
            open_files_max = files_max,
            agents, "too few files may be open for a connection of each agent: raise LimitNOFILE="
        );
    }
}

async fn due(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(watchdog) => {
            watchdog.tick().await;
        }
        None => pending().await,
    }
}

/// A thread a core, as far as agents profit from it.
fn default_threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cores.min(NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN))
}
