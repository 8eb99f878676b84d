//! From files to definitions: what the TOML says, checked, or every problem at once.
//!
//! ```text
//! paths ─▶ directory ─▶ read ─▶ interpolate ─▶ inherit ─▶ deserialize ─▶ resolve ─▶ conflicts
//!          which files  text,   ${env:…}       defaults   spec           definition  among
//!                       tree    ${file:…}      of the     or problems    or problems agents
//!                               ${cred:…}      main file
//! ```
//!
//! A broken agent file never hides the other agents, and no step hides the problems of the next.

mod admin;
mod conflicts;
mod copy_conflicts;
pub mod definition;
mod deserialize;
pub mod diff;
mod directory;
pub mod duration;
pub mod error;
mod interpolate;
mod kept;
mod main_file;
pub mod place;
mod read;
mod report;
mod resolve;
mod source_map;
mod spec;
pub(crate) mod suggest;
mod tracing;
mod tree;
mod value;
pub mod written;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use admin::ADMIN_SOCKET;
use conflicts::without_conflicts;
use definition::{AgentDefinition, DaemonSettings};
use error::{Problem, Severity};
use main_file::{Defaults, main_file, without};
use report::Report;
pub(crate) use report::quoted;
use resolve::Candidate;

/// The main file unless another is named.
pub const MAIN_FILE: &str = "/etc/amqp-agentd/amqp-agentd.toml";

/// The directory of agent files, beside the main file unless another is named.
pub const AGENTS_DIRECTORY: &str = "agents.d";

/// Where the configuration is, as the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// `--config`: must exist. `None` is [`MAIN_FILE`], which need not.
    pub main: Option<PathBuf>,
    /// `--agents`: must exist. `None` is [`AGENTS_DIRECTORY`] beside the main file, which need
    /// not where there is a main file.
    pub agents: Option<PathBuf>,
}

impl Paths {
    /// The main file.
    #[must_use]
    pub fn main_file(&self) -> PathBuf {
        self.main.clone().unwrap_or_else(|| MAIN_FILE.into())
    }

    /// The directory of agent files.
    #[must_use]
    pub fn agents_directory(&self) -> PathBuf {
        self.agents.clone().unwrap_or_else(|| {
            let main = self.main_file();
            main.parent().unwrap_or(Path::new("")).join(AGENTS_DIRECTORY)
        })
    }
}

/// What `${env:}` and `${cred:}` look into.
pub trait Environment {
    /// The value of the environment variable `name`.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The directory of systemd's credentials.
    fn credentials_directory(&self) -> Option<PathBuf>;
    /// Whether credentials that cannot be seen are taken to be there, as [`Trusting`] does.
    fn trusts_credentials(&self) -> bool {
        false
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        // `var_os` cannot be asked for a name that no variable can have.
        let possible = !name.is_empty() && !name.contains(['=', '\0']);
        possible.then(|| std::env::var_os(name)).flatten()
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }
}

/// An environment whose credentials may be out of sight.
///
/// They are for whoever checks by hand, and systemd hides them from the commands of
/// `ExecReload=`. A string with such a credential in it is looked at no further.
#[derive(Debug, Clone, Copy)]
pub struct Trusting<'e, E>(pub &'e E);

impl<E: Environment> Environment for Trusting<'_, E> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.variable(name)
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        self.0.credentials_directory()
    }

    fn trusts_credentials(&self) -> bool {
        true
    }
}

/// The configuration, as far as it is valid, and all that is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The daemon's own settings.
    pub settings: DaemonSettings,
    /// The agents that are valid and enabled, by file name.
    pub agents: Vec<Arc<AgentDefinition>>,
    /// Agent files with an error: on a reload their old agents keep running.
    pub broken: Vec<PathBuf>,
    /// Errors and warnings, by file and line.
    pub problems: Vec<Problem>,
    /// The main file has an error, or a file or directory that was named is not there: neither
    /// `settings` nor `agents` should be used.
    pub main_file_is_broken: bool,
}

impl Loaded {
    /// Whether anything keeps a file from being used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

/// Reads everything.
#[must_use]
pub fn load(paths: &Paths, environment: &impl Environment) -> Loaded {
    let mut problems = Vec::new();
    let main_path = paths.main_file();
    let main_text = main_text(paths, &main_path, &mut problems);
    let agent_paths = agent_paths(paths, main_text.is_some(), &mut problems);
    let mut main_file_is_broken = problems.iter().any(Problem::is_error);
    let mut agent_texts = Vec::new();
    let mut broken = Vec::new();
    for path in agent_paths {
        match read::read_text(&path, read::FILE_BYTES_MAX) {
            Ok(text) => agent_texts.push((path, text)),
            Err(fault) => {
                problems.push(read::unreadable(&path, &fault));
                broken.push(path);
            }
        }
    }

    let mut report = Report::default();
    for problem in problems {
        report.general(problem);
    }
    let mut defaults = Defaults::default();
    let mut main_id = None;
    let settings = if let Some(text) = &main_text {
        let (file, table) = read::parse(&main_path, text, environment, &mut report);
        main_id = Some(file);
        let (settings, inherited) = main_file(file, table, environment, &mut report);
        defaults = inherited;
        settings
    } else {
        without(environment, &mut report)
    };
    let mut candidates = Vec::new();
    let mut files = Vec::new();
    for (path, text) in &agent_texts {
        let (file, candidate) = agent(path, text, &defaults, environment, &mut report);
        files.push(file);
        candidates.extend(candidate);
    }
    let agents = without_conflicts(candidates, &mut report);
    main_file_is_broken |= main_id.is_some_and(|main| report.is_broken(main));
    let broken_files = files.iter().zip(&agent_texts).filter(|(file, _)| report.is_broken(**file));
    broken.extend(broken_files.map(|(_, (path, _))| path.clone()));
    broken.sort();
    Loaded { settings, agents, broken, problems: report.into_problems(), main_file_is_broken }
}

/// Reads the main file alone: the daemon's own settings, and all that is wrong with them.
///
/// For who has to find the running daemon, whatever is wrong with its agents' files meanwhile.
#[must_use]
pub fn load_settings(
    paths: &Paths,
    environment: &impl Environment,
) -> (DaemonSettings, Vec<Problem>) {
    let (path, mut problems) = (paths.main_file(), Vec::new());
    let Some(text) = main_text(paths, &path, &mut problems) else {
        return (DaemonSettings::default(), problems);
    };
    let mut report = Report::default();
    let (file, table) = read::parse(&path, &text, environment, &mut report);
    let (settings, _) = main_file(file, table, environment, &mut report);
    (settings, report.into_problems())
}

/// Reads `text` as the agent file at `path`, which need not exist, without a main file.
///
/// The agent, if it is valid, whether enabled or not; and every problem, each with a place.
#[must_use]
pub fn load_agent_text(
    path: &Path,
    text: &str,
    environment: &impl Environment,
) -> (Option<AgentDefinition>, Vec<Problem>) {
    let mut report = Report::default();
    let (_, candidate) = agent(path, text, &Defaults::default(), environment, &mut report);
    (candidate.map(|candidate| candidate.definition), report.into_problems())
}

/// What is wrong with agent files, each alone and all together, without a main file and without
/// reading them: `files` has their texts.
pub(crate) fn problems_of(
    files: &[(PathBuf, String)],
    environment: &impl Environment,
) -> Vec<Problem> {
    let mut report = Report::default();
    let candidates = files.iter().filter_map(|(path, text)| {
        agent(path, text, &Defaults::default(), environment, &mut report).1
    });
    let candidates = candidates.collect();
    without_conflicts(candidates, &mut report);
    report.into_problems()
}

fn agent<'t>(
    path: &Path,
    text: &'t str,
    defaults: &Defaults<'t>,
    environment: &impl Environment,
    report: &mut Report<'t>,
) -> (source_map::FileId, Option<Candidate>) {
    let (file, mut table) = read::parse(path, text, environment, report);
    defaults.apply(&mut table);
    let spec: spec::AgentSpec = deserialize::deserialize(file, &mut table, report);
    (file, resolve::resolve(&spec, file, report))
}

/// The main file's text, if there is one; it must be there if it was named.
fn main_text(paths: &Paths, path: &Path, problems: &mut Vec<Problem>) -> Option<String> {
    match read::read_text(path, read::FILE_BYTES_MAX) {
        Ok(text) => Some(text),
        Err(read::ReadFault::Io(error))
            if paths.main.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
        {
            None
        }
        Err(fault) => {
            problems.push(read::unreadable(path, &fault));
            None
        }
    }
}

/// The agent files; their directory must be there if it was named, or if nothing else is.
fn agent_paths(paths: &Paths, has_main: bool, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let directory = paths.agents_directory();
    let shown = report::quoted(&directory.to_string_lossy());
    let mut general = |severity, problem: String, remedy: &str| {
        problems.push(Problem { place: None, severity, problem, remedy: remedy.to_owned() });
    };
    let put_one = "put one there, named after the agent: orders.toml";
    match directory::agent_files(&directory) {
        Ok(files) => {
            if files.is_empty() {
                general(Severity::Warning, format!("{shown} holds no agent file"), put_one);
            }
            files
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let named = paths.agents.is_some() || (paths.main.is_none() && !has_main);
            let severity = if named { Severity::Error } else { Severity::Warning };
            general(
                severity,
                format!("the directory of agent files {shown} does not exist"),
                "create it, or name another by --agents",
            );
            Vec::new()
        }
        Err(error) => {
            general(
                Severity::Error,
                format!("the directory of agent files {shown} cannot be read: {error}"),
                "let the daemon's user read it, and ask as one who may: root, or one of its group",
            );
            Vec::new()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
