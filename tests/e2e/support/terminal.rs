//! A terminal of a size, in which a program runs.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitStatus;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::log::Log;
use super::wait::within;

/// A program in a terminal, and all that it has written there.
pub struct Terminal {
    child: Child,
    /// Each piece that was written, as it came.
    written: Log,
    readers: JoinSet<()>,
}

impl Terminal {
    /// Starts `command` in a terminal of this many columns and rows.
    pub fn run(mut command: Command, columns: u16, rows: u16) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(ours.as_fd(), size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = File::options().read(true).write(true).open(path).unwrap();
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap());
        let child = command.stderr(theirs).kill_on_drop(true).spawn().unwrap();
        // It has copies of the terminal, which would keep it open.
        drop(command);
        let written = Log::default();
        let (mut readers, log) = (JoinSet::new(), written.clone());
        let mut ours = tokio::fs::File::from_std(File::from(ours));
        readers.spawn(async move {
            let mut piece = [0; 4096];
            // The end is an error, which says that nobody has the terminal any more.
            while let Ok(length) = ours.read(&mut piece).await {
                if length == 0 {
                    break;
                }
                log.add(String::from_utf8_lossy(&piece[..length]).into_owned());
            }
        });
        Terminal { child, written, readers }
    }

    pub fn text(&self) -> String {
        self.written.lines().concat()
    }

    /// Sends a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success(), "cannot send {name}");
    }

    /// Waits for its end: how it ended, and all that it has written.
    pub async fn end(mut self) -> (ExitStatus, String) {
        let status = within("the program's end", self.child.wait()).await.unwrap();
        within("the end of what it writes", async {
            while self.readers.join_next().await.is_some() {}
        })
        .await;
        (status, self.text())
    }
}
