//! What a run has started, so that it does not outlive a run that is cut short.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};

use crate::Failure;

/// Leaders of the process groups that are running.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A child that leads a process group of its own was started.
pub fn started(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }
}

/// It is no more, and nobody of its group either.
pub fn kill(pid: u32) {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let (gone, left) = groups.drain(..).partition(|group| group.as_raw_pid() == pid.cast_signed());
    *groups = left;
    kill_all(&gone);
}

/// From now on SIGINT and SIGTERM end the children first.
pub fn end_with_us() -> Result<(), Failure> {
    let (mut read, write) = UnixStream::pair()?;
    pipe::register(SIGINT, write.try_clone()?)?;
    pipe::register(SIGTERM, write)?;
    thread::spawn(move || {
        if read.read_exact(&mut [0]).is_ok() {
            kill_all(&GROUPS.lock().unwrap_or_else(PoisonError::into_inner));
            emulate_default_handler(SIGTERM).ok();
        }
    });
    Ok(())
}

fn kill_all(groups: &[Pid]) {
    for group in groups {
        // It may have ended by itself.
        kill_process_group(*group, Signal::KILL).ok();
    }
}
