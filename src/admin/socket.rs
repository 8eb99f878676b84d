//! The Unix socket: made with its permissions, taken over from the dead, and removed at the end.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::UnixListener;

use crate::config::definition::AdminSocket;

/// The socket's file; removed when this is dropped, where it is still ours.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|now| now == self.id) {
            // It may be gone, with the directory that systemd removes.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Opens the socket; what a daemon left there that is dead is replaced.
///
/// # Errors
/// Why not, and what to do.
pub(super) fn bind(wanted: &AdminSocket) -> Result<(UnixListener, SocketFile), String> {
    let path = &wanted.path;
    let shown = path.display();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let choose = "name another by `socket` in [admin] of the main file, or set it to \"\" for none";
    // Held until the end, so that of two daemons that start at once only one takes over.
    let lock = File::open(directory).and_then(|directory| directory.lock().map(|()| directory));
    let lock = lock.map_err(|error| {
        format!("the socket {shown} cannot be opened, its directory: {error}; create that for the daemon's user, as RuntimeDirectory= of the unit does, or {choose}")
    })?;
    make_way(path)
        .map_err(|why| format!("the socket {shown} cannot be opened: {why}; {choose}"))?;
    let made = listen(path, wanted.mode).map_err(|error| {
        format!("the socket {shown} cannot be opened: {error}; let the daemon's user write to {}, or {choose}", directory.display())
    });
    drop(lock);
    made
}

/// Removes the socket of a daemon that is dead.
fn make_way(path: &Path) -> Result<(), String> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !kind.is_socket() {
        return Err("something else is there, and no socket".to_owned());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another daemon answers there".to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| format!("a dead daemon's is in the way: {error}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The permissions are there from the first moment, so that nobody else slips in before them. A
/// mask is the whole process's: hence its one thread.
fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let before = umask(Mode::from_raw_mode(!mode & 0o777));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    Ok((listener, SocketFile { path: path.to_owned(), id: id(path)? }))
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
