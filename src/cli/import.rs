//! `import`: KrakenD's async agents as agent files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{BAD_CONFIGURATION, FAILED, FINE};
use crate::import::{self, AgentFile, FILE_BYTES_MAX, Imported};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// KrakenD's configuration, as JSON or, named *.toml, as TOML; `-` reads JSON from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory to write to, made if need be [default: none; the files are printed]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite agent files that are there
    #[arg(long, requires = "out")]
    force: bool,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
}

pub(super) const HELP: &str = "\
Each entry of `async_agent` with `async/amqp` becomes an agent file that `check` accepts and that keeps
the values KrakenD gives it, also where KrakenD's default is another than the one here; a comment says
so. What has no equal here is left out, and told on standard error as file:line:column: warning:
problem; remedy. An agent that would tell its backends something else without it is written with
`enabled = false`. Agents on something else than RabbitMQ are skipped. Without --out the files are
printed and nothing is written.

A template (flexible configuration) has to be rendered first, and YAML to be converted. KRAKEND_…
variables, which override values at the top of the file, are not looked at: write what they set into
the file.

All files are written or none, and none that is there is overwritten without --force.

Examples:
  amqp-agentd import krakend.json                    what it would come to
  amqp-agentd import krakend.json --out agents.d     one file an agent
  amqp-agentd check --agents agents.d                what is left to do
  FC_ENABLE=1 FC_OUT=out.json krakend check -t -d -c krakend.tmpl && amqp-agentd import out.json

Exit codes: 0 done, also with warnings; 1 no agent to import, or files could not be written; 64 wrong
usage; 78 FILE cannot be read, or has to be mended first, and nothing was written.";

/// Does what the command line says; returns the exit code.
pub(super) fn import(arguments: &Arguments) -> u8 {
    let text = match text(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            say(&format!("{}: {error}", arguments.file.display()));
            return BAD_CONFIGURATION;
        }
    };
    let imported = import::import(&arguments.file, &text);
    for problem in &imported.problems {
        say(&problem.to_string());
    }
    let mut written = false;
    let code = if imported.has_errors() {
        BAD_CONFIGURATION
    } else if imported.agents.is_empty() {
        say(&nothing(&imported));
        FAILED
    } else if let Some(directory) = &arguments.out {
        match write(directory, &imported.agents, arguments.force) {
            Ok(()) => {
                written = true;
                FINE
            }
            Err(problem) => {
                say(&format!("nothing was written: {problem}"));
                FAILED
            }
        }
    } else {
        FINE
    };
    let out = arguments.out.as_deref().filter(|_| written);
    if arguments.json {
        print(&format!("{:#}\n", object(&imported, out)));
    } else if code == FINE {
        tell(&imported, out);
    }
    code
}

/// The file's text, within a limit.
fn text(path: &Path) -> io::Result<String> {
    let source: Box<dyn io::Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn nothing(imported: &Imported) -> String {
    let why = match imported.skipped {
        0 => "the file has no `async_agent`; endpoints stay with KrakenD".to_owned(),
        skipped => format!("{skipped} skipped"),
    };
    format!("no agent to import: {why}")
}

/// Says what was done, or prints the files.
fn tell(imported: &Imported, out: Option<&Path>) {
    let warnings = imported.problems.len();
    let count = imported.agents.len();
    let off = imported.agents.iter().filter(|agent| !agent.is_enabled).count();
    let mut parts = vec![counted(count, "agent"), counted(warnings, "warning")];
    if off > 0 {
        parts.push(format!("{off} switched off"));
    }
    if imported.skipped > 0 {
        parts.push(format!("{} skipped", imported.skipped));
    }
    if imported.endpoints > 0 {
        parts.push(format!("{} left to KrakenD", counted(imported.endpoints, "endpoint")));
    }
    let summary = parts.join(", ");
    let Some(directory) = out else {
        let files = imported.agents.iter();
        let texts: Vec<String> =
            files.map(|agent| format!("# {}.toml\n{}", agent.name, agent.text)).collect();
        print(&texts.join("\n"));
        return say(&format!("{summary}; nothing was written, --out DIR does"));
    };
    let files: Vec<String> = imported
        .agents
        .iter()
        .map(|agent| format!("{}\n", path(directory, agent).display()))
        .collect();
    let next = format!("next: amqp-agentd check --agents {}", directory.display());
    print(&format!("{}{summary}\n{next}\n", files.concat()));
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// For programs: what was written, or would be, and all that was said.
fn object(imported: &Imported, out: Option<&Path>) -> Value {
    let agents = imported.agents.iter().map(|agent| {
        let file = out.map(|directory| path(directory, agent));
        json!({
            "name": agent.name,
            "enabled": agent.is_enabled,
            "file": file.as_ref().map(|file| file.display().to_string()),
            "text": file.is_none().then_some(&agent.text),
        })
    });
    let problems = imported.problems.iter().map(|problem| {
        let place = problem.place.as_ref();
        json!({
            "severity": if problem.is_error() { "error" } else { "warning" },
            "file": place.map(|place| place.file.display().to_string()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "problem": problem.problem,
            "remedy": problem.remedy,
        })
    });
    json!({
        "agents": agents.collect::<Vec<_>>(),
        "skipped": imported.skipped,
        "endpoints": imported.endpoints,
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn path(directory: &Path, agent: &AgentFile) -> PathBuf {
    directory.join(format!("{}.toml", agent.name))
}

/// Writes all files or none: each is complete under another name before the first gets its own.
fn write(directory: &Path, agents: &[AgentFile], force: bool) -> Result<(), String> {
    let fault = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(|error| fault(directory, &error))?;
    let mut staged = Staged::default();
    for agent in agents {
        let target = path(directory, agent);
        if !force && target.symlink_metadata().is_ok() {
            return Err(format!("{} is there already; --force overwrites", target.display()));
        }
        let beside = directory.join(format!(".{}.toml.{}", agent.name, std::process::id()));
        // Whoever has a password keeps it from everybody else's eyes.
        let mode = if agent.has_secret { 0o640 } else { 0o644 };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let mut file = options.open(&beside).map_err(|error| fault(&beside, &error))?;
        staged.beside.push(beside.clone());
        let written = file.write_all(agent.text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| fault(&beside, &error))?;
    }
    for (agent, beside) in agents.iter().zip(&staged.beside) {
        let target = path(directory, agent);
        let done = if force { fs::rename(beside, &target) } else { place(beside, &target) };
        done.map_err(|error| fault(&target, &error))?;
        if !force {
            staged.made.push(target);
        }
    }
    staged.made.clear();
    Ok(())
}

/// Gives a file its own name, where nothing has it.
fn place(beside: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(beside, target) {
        // A file system without links: that nothing is there was seen a moment ago.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(beside, target),
        done => done,
    }
}

/// Files that are removed again, whatever happens.
#[derive(Debug, Default)]
struct Staged {
    /// Under their names of the meantime.
    beside: Vec<PathBuf>,
    /// Under their own, until all have theirs.
    made: Vec<PathBuf>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        for path in self.beside.iter().chain(&self.made) {
            // It has its own name by now, or cannot be helped.
            fs::remove_file(path).ok();
        }
    }
}

fn print(text: &str) {
    // Where nobody reads, the exit code still tells.
    io::stdout().write_all(text.as_bytes()).ok();
}

fn say(text: &str) {
    // Where standard error is closed nobody can be told.
    writeln!(io::stderr(), "{text}").ok();
}
