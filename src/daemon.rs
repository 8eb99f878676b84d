//! The story of the daemon: load, supervise, ready, reload, drain, stop.

mod running;

use std::future::pending;
use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::agent;
use crate::config::definition::DaemonSettings;
use crate::config::diff::diff;
use crate::config::{Loaded, Paths};
use crate::desk::{self, Question};
use crate::open_files;
use crate::signals::{Signal, Signals};
use crate::spans::{Exporter, Tracer};
use crate::supervisor::Supervisor;
use crate::systemd::Notifier;
use crate::threads::Threads;
use running::{Running, tell_of_files, tell_problems};

/// How often the status line is looked at.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How long an agent has to give back what it holds, once it no longer waits for replies.
const GIVE_BACK_MAX: Duration = Duration::from_secs(8);

/// How long the last spans have to leave.
const FLUSH_MAX: Duration = Duration::from_secs(5);

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
/// When the system gives no thread, or the admin interface cannot be opened where the main file
/// says.
pub async fn run(paths: &Paths, loaded: Loaded, mut signals: Signals) -> io::Result<Exit> {
    let files_max = open_files::raise();
    let Loaded { settings, agents, broken, problems, main_file_is_broken: _ } = loaded;
    let (asker, mut questions) = desk::open();
    let admin = Admin::open(&settings.admin, &asker)?;
    let threads = settings.threads.unwrap_or_else(default_threads);
    let (tracer, exporter) = spans(&settings);
    let (threads, endings) = Threads::start(threads, tracer.as_ref(), |definition, context| {
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
        admin = %admin.places().join(", "),
        "started"
    );
    if agents.is_empty() {
        warn!("no agents: put a file into {} and reload", paths.agents_directory().display());
    }
    tell_of_files(files_max, agents.len());
    supervisor.apply(diff(&[], &agents)).await;
    // The supervisor has those that run; what a reload replaces is to be gone.
    drop(agents);

    let mut running = Running::new(paths, settings, supervisor, &problems, broken.len());
    let mut status = interval(STATUS_INTERVAL);
    let mut watchdog = Notifier::watchdog_interval().map(interval);
    if let Some(watchdog) = &mut watchdog {
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => running.reload().await,
                Signal::Stop => break,
            },
            Some(question) = questions.recv() => running.answer(question).await,
            () = running.supervisor.next() => {}
            _ = status.tick() => running.look(),
            () = due(&mut watchdog) => {
                // From this loop and only with a sign of life from every thread: a daemon that
                // hangs must not look alive.
                running.supervisor.signs_of_life().await;
                running.notifier.watchdog();
            }
        }
    }
    let exit = stop(&mut running, &mut signals, &mut questions).await;
    admin.end().await;
    running.supervisor.end();
    if let Some(exporter) = exporter {
        exporter.stop(FLUSH_MAX).await;
    }
    Ok(exit)
}

/// What spans are made with and how they leave, where somebody collects them. To be without is no
/// reason not to deliver.
fn spans(settings: &DaemonSettings) -> (Option<Tracer>, Option<Exporter>) {
    match settings.tracing.as_ref().map(Exporter::start) {
        Some(Ok((tracer, exporter))) => (Some(tracer), Some(exporter)),
        Some(Err(problem)) => {
            error!("no spans are sent: {problem}");
            (None, None)
        }
        None => (None, None),
    }
}

/// Drains all agents; a second signal ends them at once.
///
/// Each agent keeps its own deadline. The one here is for an agent that cannot, because its
/// broker takes nothing any more, say.
async fn stop(
    running: &mut Running<'_>,
    signals: &mut Signals,
    questions: &mut mpsc::Receiver<Question>,
) -> Exit {
    info!("stopping: taking no more messages, finishing those in flight");
    let began = Instant::now();
    let mut exit = Exit::Fine;
    let mut give_up_at = began + running.settings.drain_timeout + GIVE_BACK_MAX;
    running.stop();
    while !running.supervisor.is_empty() {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => {
                    warn!("stopping at once: giving back what is in flight, it may arrive twice");
                    exit = Exit::CutShort;
                    give_up_at = give_up_at.min(Instant::now() + GIVE_BACK_MAX);
                    running.supervisor.abort();
                }
                Signal::Reload => warn!("not reloading: the daemon is stopping"),
            },
            Some(question) = questions.recv() => running.answer(question).await,
            () = running.supervisor.next() => {}
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
