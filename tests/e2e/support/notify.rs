//! The service manager's side of `sd_notify`: a socket that records what it is told.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;
use tokio::task::JoinSet;

use super::log::Log;

/// A socket for `NOTIFY_SOCKET`.
pub struct Notify {
    /// Where it is.
    pub path: PathBuf,
    /// A line for each datagram, its own lines parted by spaces.
    pub messages: Log,
    _receiver: JoinSet<()>,
}

impl Notify {
    /// Makes one in `dir`.
    pub fn in_dir(dir: &Path) -> Notify {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).expect("the directory is ours");
        let messages = Log::default();
        let mut receiver = JoinSet::new();
        let log = messages.clone();
        receiver.spawn(async move {
            let mut buffer = vec![0; 0x10000];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]);
                log.add(text.trim_end().replace('\n', " "));
            }
        });
        Notify { path, messages, _receiver: receiver }
    }
}
