//! The daemon while it runs: how it reads its files again, and what it answers.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::definition::{AgentDefinition, DaemonSettings};
use crate::config::diff::{diff, keeping_broken};
use crate::config::error::Problem;
use crate::config::{self, Loaded, Paths, ProcessEnvironment};
use crate::desk::{Changes, Question, Reloaded, View};
use crate::open_files;
use crate::supervisor::Supervisor;
use crate::systemd::Notifier;

/// The daemon, its agents, and what it knows of its files.
pub(super) struct Running<'p> {
    paths: &'p Paths,
    pub(super) settings: DaemonSettings,
    pub(super) supervisor: Supervisor,
    pub(super) notifier: Notifier,
    started: SystemTime,
    is_stopping: bool,
    loaded: Reloaded,
    reloads: u64,
    failed_reloads: u64,
}

impl<'p> Running<'p> {
    /// Says that the daemon is ready, with agents that were started from files that have these problems.
    pub(super) fn new(
        paths: &'p Paths,
        settings: DaemonSettings,
        supervisor: Supervisor,
        problems: &[Problem],
        broken_files: usize,
    ) -> Self {
        let mut notifier = Notifier::default();
        notifier.trouble(broken("start", broken_files));
        notifier.ready(&supervisor.status());
        let now = SystemTime::now();
        let started = supervisor.definitions().len();
        let changes = Changes { started, broken_files, ..Changes::default() };
        let loaded = Reloaded { at: now, result: Ok(changes), problems: texts(problems) };
        let (reloads, failed_reloads) = (0, 0);
        Self {
            paths,
            settings,
            supervisor,
            notifier,
            started: now,
            is_stopping: false,
            loaded,
            reloads,
            failed_reloads,
        }
    }

    /// Looks at what the agents do, as it is time to.
    pub(super) fn look(&mut self) {
        self.notifier.status(&self.supervisor.status());
        self.supervisor.look(Instant::now());
    }

    /// Lets every agent drain.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.notifier.stopping("draining");
        self.supervisor.drain();
    }

    /// Answers; whoever does not wait for it any more is no trouble.
    pub(super) async fn answer(&mut self, question: Question) {
        match question {
            Question::View(asker) => asker.send(self.view()).map_err(drop).unwrap_or_default(),
            Question::Pause { agent, pause, known } => {
                let is_known = !self.is_stopping && self.supervisor.pause(&agent, pause);
                known.send(is_known).ok();
            }
            Question::Reload(asker) => {
                info!("reload, as asked by the admin interface");
                self.reload().await;
                asker.send(self.loaded.clone()).map_err(drop).unwrap_or_default();
            }
        }
    }

    fn view(&self) -> View {
        View {
            now: SystemTime::now(),
            started: self.started,
            stopping: self.is_stopping,
            loaded: self.loaded.clone(),
            reloads: (self.reloads, self.failed_reloads),
            agents: self.supervisor.view(Instant::now()),
        }
    }

    /// Reads the files again and applies the difference; a broken file leaves its agent as it runs.
    pub(super) async fn reload(&mut self) {
        self.reloads += 1;
        self.notifier.reloading();
        let loaded = config::load(self.paths, &ProcessEnvironment);
        tell_problems(&loaded.problems);
        let problems = texts(&loaded.problems);
        let result = match self.refusal(&loaded) {
            Some(why) => {
                error!("reload refused: {why}, everything runs on as it is");
                self.notifier.trouble(Some(format!("reload refused, {why}")));
                Err(why)
            }
            None => Ok(self.apply(loaded).await),
        };
        self.loaded = Reloaded { at: SystemTime::now(), result, problems };
        self.failed_reloads += u64::from(!self.loaded.is_well());
        self.notifier.ready(&self.supervisor.status());
    }

    async fn apply(&mut self, loaded: Loaded) -> Changes {
        if loaded.settings != self.settings {
            warn!(
                "the main file's own settings changed: that takes a restart, only agents are reloaded"
            );
        }
        let running = self.supervisor.definitions();
        let wanted = keeping_broken(&running, loaded.agents, &loaded.broken);
        for agent in running.iter().filter(|agent| loaded.broken.contains(&agent.file)) {
            warn!(agent = %agent.name, file = %agent.file.display(), "its file is broken, the agent runs on as it was");
        }
        tell_of_files(open_files::raise(), wanted.len());
        let difference = diff(&running, &wanted);
        let changes = Changes {
            started: difference.started.len(),
            changed: difference.changed.len(),
            stopped: difference.stopped.len(),
            unchanged: difference.unchanged.len(),
            broken_files: loaded.broken.len(),
        };
        info!(
            started = changes.started,
            changed = changes.changed,
            stopped = changes.stopped,
            unchanged = changes.unchanged,
            broken_files = changes.broken_files,
            "reloaded"
        );
        self.supervisor.apply(difference).await;
        self.notifier.trouble(broken("reload", changes.broken_files));
        changes
    }

    /// Why a reload is not to be done at all. A directory that is gone, for a moment of a deploy
    /// or because its file system is not mounted, is nobody's wish to stop every agent.
    fn refusal(&self, loaded: &Loaded) -> Option<String> {
        if self.is_stopping {
            return Some("the daemon is stopping".to_owned());
        }
        if loaded.main_file_is_broken {
            return Some("the main file is broken".to_owned());
        }
        let running: Vec<Arc<AgentDefinition>> = self.supervisor.definitions();
        let directory = self.paths.agents_directory();
        (!running.is_empty() && !directory.is_dir())
            .then(|| format!("{} is gone", directory.display()))
    }
}

/// What `systemctl status` shows of files that could not be used, until a reload can.
fn broken(when: &str, count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("at the {when}: 1 file broken")),
        _ => Some(format!("at the {when}: {count} files broken")),
    }
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Each problem is a line, as `check` would print it.
pub(super) fn tell_problems(problems: &[Problem]) {
    for problem in problems {
        if problem.is_error() {
            error!("{problem}");
        } else {
            warn!("{problem}");
        }
    }
}

/// More agents than connections can be open would fail in turn, each for a while.
pub(super) fn tell_of_files(files_max: Option<u64>, agents: usize) {
    if open_files::is_short(files_max, agents) {
        warn!(
            open_files_max = files_max,
            agents, "too few files may be open for a connection of each agent: raise LimitNOFILE="
        );
    }
}
