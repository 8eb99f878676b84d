//! The daemon's process, and what can be read from its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::clock::{self, Micros};
use super::support::Agent;

/// The longest that it may take to end when told to.
const EXIT_MAX: Duration = Duration::from_mins(1);

pub struct Daemon {
    program: PathBuf,
    dir: TempDir,
    pub log: PathBuf,
    child: Option<Child>,
    read_to: u64,
}

/// What one line of the log says that matters here.
#[derive(Debug)]
pub enum Line {
    /// A process began.
    Started,
    /// A session began, or a consumer did after a long hold.
    Session { agent: String, at: Micros },
    /// The counts that an agent adds to those before.
    Summary { agent: String, counts: Counts },
    /// What must never be there.
    Fault(String),
}

/// Of one summary.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub received: u64,
    /// All that became of messages.
    pub gone: u64,
    pub held: u64,
}

impl Daemon {
    pub fn new(program: &Path, log: &Path) -> io::Result<Daemon> {
        let dir = tempfile::Builder::new().prefix("chaos-").tempdir()?;
        std::fs::create_dir(dir.path().join("agents.d"))?;
        let main =
            "[daemon]\ndrain_timeout = \"5s\"\n[log]\nformat = \"json\"\n[admin]\nsocket = \"\"\n";
        std::fs::write(dir.path().join("amqp-agentd.toml"), main)?;
        File::create(log)?;
        let (program, log) = (program.to_owned(), log.to_owned());
        Ok(Daemon { program, dir, log, child: None, read_to: 0 })
    }

    pub fn write(&self, agent: &Agent) -> io::Result<()> {
        self.write_text(&agent.name, &agent.to_string())
    }

    /// Writes the file of the agent `name`, in one step as an editor does.
    pub fn write_text(&self, name: &str, text: &str) -> io::Result<()> {
        let agents = self.dir.path().join("agents.d");
        std::fs::write(agents.join(".new"), text)?;
        std::fs::rename(agents.join(".new"), agents.join(format!("{name}.toml")))
    }

    pub fn start(&mut self) -> io::Result<()> {
        let log = OpenOptions::new().append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.dir.path().join("amqp-agentd.toml"));
        command.arg("--agents").arg(self.dir.path().join("agents.d")).env_remove("AMQP_AGENTD_LOG");
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Sends a signal by its name without `SIG`.
    pub async fn signal(&self, name: &str) -> io::Result<()> {
        let Some(pid) = self.child.as_ref().and_then(Child::id) else {
            return Err(io::Error::other("the daemon has ended by itself"));
        };
        let pid = pid.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {status}"))) }
    }

    /// Waits for its end; an error when it does not come.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(mut child) = self.child.take() else {
            return Err(io::Error::other("the daemon does not run"));
        };
        match timeout(EXIT_MAX, child.wait()).await {
            Ok(status) => status,
            Err(_) => Err(io::Error::other("the daemon did not end within a minute")),
        }
    }

    /// Its end, if it ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// What the log says since the last call; a line that is not whole yet is left for the next.
    pub fn news(&mut self) -> io::Result<Vec<Line>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)?;
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        self.read_to += whole as u64;
        let text = String::from_utf8_lossy(&octets[..whole]);
        Ok(text.lines().filter_map(read).collect())
    }
}

fn read(line: &str) -> Option<Line> {
    for word in ["panic", "dropped unsettled", "assertion", "must add up"] {
        if line.contains(word) {
            return Some(Line::Fault(line.to_owned()));
        }
    }
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return Some(Line::Fault(format!("not a line of the log: {line}")));
    };
    let agent = fields.get("agent").and_then(Value::as_str).unwrap_or_default().to_owned();
    match fields.get("message")?.as_str()? {
        "started" => Some(Line::Started),
        "consuming" | "consuming again" => {
            let at = clock::parse(fields.get("timestamp")?.as_str()?)?;
            Some(Line::Session { agent, at })
        }
        "summary" => {
            let mut counts = Counts::default();
            for (key, value) in &fields {
                let Some(value) = value.as_u64() else { continue };
                match key.as_str() {
                    "received" => counts.received = value,
                    "held" => counts.held = value,
                    "in_flight" => {}
                    key if key.ends_with("_ms") => {}
                    _ => counts.gone += value,
                }
            }
            Some(Line::Summary { agent, counts })
        }
        _ => None,
    }
}
