//! A broker that a run has to itself.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::support::broker::{Broker, own_dir, script, start_for_this_process};

pub struct Node {
    pub broker: Broker,
    dir: PathBuf,
}

impl Node {
    /// Starts it, which blocks for some seconds. It is gone when this process ends.
    pub fn start_new(release: u8, name: &str) -> Node {
        let broker = start_for_this_process(release, name);
        Node { broker, dir: own_dir(release, name) }
    }

    /// The releases that this machine can start.
    pub fn releases() -> io::Result<Vec<u8>> {
        let output = std::process::Command::new(script()).arg("releases").output()?;
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = output.lines().filter_map(|line| line.bytes().next());
        Ok(first.map(|digit| digit.wrapping_sub(b'0')).collect())
    }

    /// `scripts/broker COMMAND DIR ARGUMENTS`.
    ///
    /// # Errors
    /// What it wrote on standard error.
    pub async fn run(&self, command: &str, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(script())
            .arg(command)
            .arg(&self.dir)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("scripts/broker {command}: {text}"))
    }

    /// Copies its logs to `dir`.
    pub fn keep_logs(&self, dir: &Path) -> io::Result<()> {
        for file in std::fs::read_dir(self.dir.join("log"))? {
            let file = file?;
            std::fs::copy(file.path(), dir.join(file.file_name()))?;
        }
        Ok(())
    }
}
