//! The daemon: the real binary, with a directory of its own.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use toml::Table;

use super::admin::Admin;
use super::agent::Agent;
use super::log::Log;
use super::notify::Notify;
use super::wait::within;

/// The daemon, its files, and all that it has said; it can be started more than once.
pub struct Daemon {
    dir: TempDir,
    main: Table,
    environment: Vec<(String, String)>,
    finds_agents: bool,
    /// How many files it may open when it starts, and how many at most.
    open_files: Option<(u32, u32)>,
    log: Log,
    notify: Notify,
    child: Option<Child>,
    readers: JoinSet<()>,
    stutter: Option<AbortHandle>,
}

impl Daemon {
    /// A daemon that is not running yet, and has no agents.
    pub fn new() -> Daemon {
        let dir = tempfile::Builder::new().prefix("agentd-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("agents.d")).unwrap();
        let mut daemon = Daemon {
            notify: Notify::in_dir(dir.path()),
            dir,
            main: Table::new(),
            environment: Vec::new(),
            finds_agents: false,
            open_files: None,
            log: Log::default(),
            child: None,
            readers: JoinSet::new(),
            stutter: None,
        };
        let mut log = Table::new();
        log.insert("format".to_owned(), "json".into());
        log.insert("level".to_owned(), "info".into());
        daemon.set_main("log", log);
        let mut admin = Table::new();
        let socket = daemon.admin_socket().display().to_string();
        admin.insert("socket".to_owned(), socket.into());
        daemon.set_main("admin", admin);
        daemon
    }

    /// A daemon that runs `agents` and has said that it is ready.
    pub async fn running<'a>(agents: impl IntoIterator<Item = &'a Agent>) -> Daemon {
        let mut daemon = Daemon::new();
        for agent in agents {
            daemon.write(agent);
        }
        daemon.start().await;
        daemon
    }

    /// Sets a key of the main file.
    pub fn set_main(&mut self, key: &str, value: impl Into<toml::Value>) {
        self.main.insert(key.to_owned(), value.into());
        self.write_file("../amqp-agentd.toml", &toml::to_string(&self.main).unwrap());
    }

    /// Sets a variable of the environment that it is started in.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes an agent's file, or replaces it.
    pub fn write(&self, agent: &Agent) {
        self.write_file(&format!("{}.toml", agent.name), &agent.to_string());
    }

    /// Writes a file beside the agents' in one step, as an editor does.
    pub fn write_file(&self, name: &str, text: &str) {
        let path = self.agents_dir().join(name);
        let beside = self.agents_dir().join(".new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    /// Removes an agent's file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.agents_dir().join(format!("{name}.toml"))).unwrap();
    }

    /// Lets it find the agents' directory beside the main file, in place of being told.
    pub fn let_find_agents(&mut self) {
        self.finds_agents = true;
    }

    /// Starts it with this limit of open files, which it may raise to `most`.
    pub fn limit_open_files(&mut self, limit: u32, most: u32) {
        self.open_files = Some((limit, most));
    }

    /// Where the agents' files are.
    pub fn agents_dir(&self) -> PathBuf {
        self.dir.path().join("agents.d")
    }

    /// Its main file.
    pub fn main_file(&self) -> PathBuf {
        self.dir.path().join("amqp-agentd.toml")
    }

    /// Where it answers.
    pub fn admin_socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// Whoever asks there.
    pub fn admin(&self) -> Admin {
        Admin::at(self.admin_socket())
    }

    /// Starts it and waits until it says that it is ready.
    pub async fn start(&mut self) {
        let from = self.notify.messages.lines().len();
        self.spawn();
        let messages = self.notify.messages.clone();
        tokio::select! {
            _ = messages.wait_for(from, &["READY=1"]) => {}
            status = self.wait_for_exit() => panic!("the daemon ended in place of starting: {status}"),
        }
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let mut command = self.command();
        command.arg("run").arg("--config").arg(self.dir.path().join("amqp-agentd.toml"));
        if !self.finds_agents {
            command.arg("--agents").arg(self.agents_dir());
        }
        command.current_dir(self.dir.path());
        // The machine's own settings are no part of a test.
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.env_remove("AMQP_AGENTD_LOG").env("NOTIFY_SOCKET", &self.notify.path);
        command.envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("the daemon was built");
        self.readers.spawn(self.log.clone().read(child.stdout.take().unwrap()));
        self.readers.spawn(self.log.clone().read(child.stderr.take().unwrap()));
        self.stutter = stutter(child.id().unwrap()).map(|stutter| self.readers.spawn(stutter));
        self.child = Some(child);
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_amqp-agentd");
        let Some((limit, most)) = self.open_files else { return Command::new(program) };
        let mut shell = Command::new("sh");
        let script = format!("ulimit -S -n {limit} && ulimit -H -n {most} && exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(program);
        shell
    }

    /// Sends a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        // Who stops it himself wants it to stay so.
        if let (Some(stutter), "STOP") = (&self.stutter, name) {
            stutter.abort();
        }
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success(), "cannot send {name} to the daemon");
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the daemon runs")
    }

    /// Waits for its end, and for the last line of its log.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("the daemon was started");
        let status = within("the daemon's end", child.wait()).await.unwrap();
        while self.readers.join_next().await.is_some() {}
        self.child = None;
        status
    }

    /// Ends it in good order: it must leave with success.
    pub async fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait_for_exit().await;
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// Ends it as the kernel does when memory is short.
    pub async fn kill(&mut self) {
        self.signal("KILL");
        self.wait_for_exit().await;
    }

    /// Lets it read its files again, and waits until it has.
    pub async fn reload(&self) {
        let from = self.notify.messages.lines().len();
        self.signal("HUP");
        self.notify.messages.wait_for(from, &["RELOADING=1"]).await;
        self.notify.messages.wait_for(from, &["READY=1"]).await;
    }

    /// What it has written.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for a line of the log that holds each of `fragments`.
    pub async fn wait_for_log(&self, fragments: &[&str]) -> String {
        self.log.wait_for(0, fragments).await
    }

    /// What it has told the service manager.
    pub fn notifications(&self) -> &Log {
        &self.notify.messages
    }
}

/// `AMQP_AGENTD_TEST_STUTTER` (milliseconds) stops the daemon again and again, each time for up to
/// that long, as a busy machine does: what a test takes for simultaneous then is not.
fn stutter(pid: u32) -> Option<impl Future<Output = ()> + Send> {
    let longest: u64 = std::env::var("AMQP_AGENTD_TEST_STUTTER").ok()?.parse().unwrap();
    Some(async move {
        let send = |name: &'static str| {
            let status = std::process::Command::new("kill")
                .args(["-s", name, &pid.to_string()])
                .stderr(Stdio::null())
                .status();
            status.unwrap().success()
        };
        while send("STOP") {
            sleep(Duration::from_millis(fastrand::u64(..=longest))).await;
            if !send("CONT") {
                return;
            }
            sleep(Duration::from_millis(fastrand::u64(..=longest))).await;
        }
    })
}

impl Drop for Daemon {
    /// The child is killed as it is dropped.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (what, log) in [("the daemon said", &self.log), ("it notified", &self.notify.messages)]
        {
            eprintln!("{what}:");
            for line in log.lines() {
                eprintln!("  {line}");
            }
        }
    }
}
