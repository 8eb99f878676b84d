//! The daemon under callgrind.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// One life of it, with a folder for its files.
pub struct Daemon {
    child: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Starts `program` with one agent on one thread.
    pub fn start(program: &Path, folder: &Path, agent: &str) -> io::Result<Self> {
        fs::create_dir_all(folder.join("agents.d"))?;
        fs::write(folder.join("agents.d/orders.toml"), agent)?;
        fs::write(
            folder.join("amqp-agentd.toml"),
            "[daemon]\nthreads = 1\n[admin]\nsocket = \"\"\n",
        )?;
        let counts = folder.join("callgrind.out");
        let log = File::create(folder.join("daemon.log"))?;
        let child = Command::new("valgrind")
            .args(["--tool=callgrind", "--collect-systime=yes", "--quiet"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(program)
            .arg("run")
            .arg("--config")
            .arg(folder.join("amqp-agentd.toml"))
            .arg("--agents")
            .arg(folder.join("agents.d"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// Does something while the daemon stands still, so that it finds all of it at once: how much
    /// it finds each time it looks decides how often it looks.
    pub fn while_stopped(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.send(Signal::STOP)?;
        let told = waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED)?;
        if !told.is_some_and(|(_, status)| status.stopped()) {
            return Err(io::Error::other("the daemon has ended early"));
        }
        act()?;
        self.send(Signal::CONT)
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) -> io::Result<()> {
        self.send(Signal::TERM)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for its end, and returns what callgrind wrote.
    pub fn counts(mut self) -> io::Result<String> {
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("the daemon ended with {status}")));
        }
        fs::read_to_string(self.folder.join("callgrind.out"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended, unless the run failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
