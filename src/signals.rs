//! The only place that hears signals: turns them into words that the daemon understands.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish and end; a second one: end now.
    Stop,
    /// SIGHUP: read the files again.
    Reload,
}

/// Hears signals from its making on.
pub struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    /// Starts to hear.
    ///
    /// # Errors
    /// When the system gives no socket or takes no handler.
    pub fn hear() -> io::Result<Self> {
        Ok(Self { stop: socket(&[SIGTERM, SIGINT])?, reload: socket(&[SIGHUP])? })
    }

    /// The next signal. Cancel-safe. Reloads that come while one is under way are one.
    pub async fn next(&mut self) -> Signal {
        let (mut one, mut many) = ([0; 1], [0; 64]);
        tokio::select! {
            biased;
            _ = self.stop.read(&mut one) => Signal::Stop,
            _ = self.reload.read(&mut many) => Signal::Reload,
        }
    }
}

/// Each signal writes a byte into a socket, which is all that a handler may do.
fn socket(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = std::os::unix::net::UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in signals {
        pipe::register(*signal, write.try_clone()?)?;
    }
    UnixStream::from_std(read)
}
