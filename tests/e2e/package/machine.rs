//! A machine with systemd as its first process, which `scripts/test-package` has booted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::support::wait::{DEADLINE, POLL, within};

/// What a command came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: Option<i32>,
    /// Standard output, then standard error.
    pub(super) said: String,
}

/// Its network is ours; its files, processes and users are its own.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its systemd.
    leader: String,
}

impl Machine {
    /// The one that `AMQP_AGENTD_TEST_MACHINE` names.
    pub(super) fn named() -> Option<Machine> {
        std::env::var("AMQP_AGENTD_TEST_MACHINE").ok().map(|leader| Machine { leader })
    }

    /// Runs `command`, by a shell, and waits for its end.
    pub(super) async fn try_run(&self, command: &str) -> Done {
        let namespaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup"];
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.leader]).args(namespaces).args(["--", "sh", "-c", command]);
        nsenter.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        nsenter.env("DEBIAN_FRONTEND", "noninteractive").kill_on_drop(true);
        let output = within(command, nsenter.output()).await.expect("nsenter runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Done { code: output.status.code(), said }
    }

    /// The same, where it has to succeed; what it said.
    pub(super) async fn run(&self, command: &str) -> String {
        let done = self.try_run(command).await;
        assert_eq!(done.code, Some(0), "{command}: {}", done.said);
        done.said.trim_end().to_owned()
    }

    /// Waits until `command` says `fragment`.
    pub(super) async fn wait_for(&self, command: &str, fragment: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let said = self.try_run(command).await.said;
            if said.contains(fragment) {
                return said;
            }
            assert!(Instant::now() < end, "waited in vain for {fragment:?} of {command}: {said}");
            sleep(POLL).await;
        }
    }

    /// Writes a file as root, with `mode`.
    pub(super) fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }
}
