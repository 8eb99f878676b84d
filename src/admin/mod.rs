//! The admin interface: HTTP over a Unix socket, and over TCP where the main file says so.
//!
//! ```text
//! socket, listen ─▶ guests ─▶ door ─▶ routes ─▶ desk ─▶ the daemon's loop
//! who may connect   how many  what    which     a       a View
//!                             they    answer    question
//!                             may
//! ```
//!
//! It runs beside the daemon's loop and asks it like anybody else: whatever its guests do, however
//! slow or many they are, the loop, the agents and the watchdog do not wait for them.

pub(crate) mod client;
mod door;
mod guests;
mod listen;
pub(crate) mod moment;
pub(crate) mod problem;
mod routes;
pub(crate) mod shown;
mod socket;

use std::io;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use crate::config::definition::AdminSettings;
use crate::desk::Asker;
use door::Door;
use listen::Listener;
use socket::SocketFile;

/// The open interface. Dropped it is closed at once, and its socket removed.
pub struct Admin {
    /// Without an asker the desk would be closed, even where nobody can ask.
    _asker: Asker,
    stop: watch::Sender<bool>,
    doors: JoinSet<()>,
    socket: Option<SocketFile>,
    places: Vec<String>,
}

impl Admin {
    /// Opens what `settings` say, for questions to the desk of `asker`.
    ///
    /// To be called while the process has one thread only. A socket that nobody named and that
    /// cannot be had is warned of, and the daemon runs without.
    ///
    /// # Errors
    /// When what the main file names cannot be opened; the text says why and what to do.
    pub fn open(settings: &AdminSettings, asker: &Asker) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut admin = Self {
            _asker: asker.clone(),
            stop,
            doors: JoinSet::new(),
            socket: None,
            places: Vec::new(),
        };
        if let Some(wanted) = &settings.socket {
            match socket::bind(wanted) {
                Ok((listener, file)) => {
                    admin.places.push(wanted.path.display().to_string());
                    admin.socket = Some(file);
                    let router = routes::router(asker.clone(), Door::Unix);
                    admin.doors.spawn(guests::serve(
                        Listener::Unix(listener),
                        router,
                        stopped.clone(),
                    ));
                }
                Err(problem) if wanted.is_named => return Err(io::Error::other(problem)),
                Err(problem) => warn!("no admin interface: {problem}"),
            }
        }
        for address in &settings.listen {
            let (listener, address) = listen::bind(*address).map_err(io::Error::other)?;
            let loopback = address.ip().is_loopback();
            admin.places.push(address.to_string());
            if !loopback {
                warn!(
                    listen = %address, control = settings.allow_control,
                    "the admin interface is open to the network, without login and without TLS: listen on a loopback address, or let a firewall decide who may see it",
                );
            }
            let door = Door::Tcp { loopback, allow_control: settings.allow_control };
            let router = routes::router(asker.clone(), door);
            admin.doors.spawn(guests::serve(Listener::Tcp(listener), router, stopped.clone()));
        }
        Ok(admin)
    }

    /// Where it answers: the socket's path, the addresses with their ports.
    #[must_use]
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// Closes it: nobody is let in any more, and answers that are under way are finished, for a
    /// second at most.
    pub async fn end(mut self) {
        self.stop.send_replace(true);
        while self.doors.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::definition::AdminSocket;
    use crate::desk;

    fn settings(path: PathBuf, is_named: bool) -> AdminSettings {
        let socket = Some(AdminSocket { path, mode: 0o660, is_named });
        AdminSettings { socket, ..AdminSettings::default() }
    }

    #[tokio::test]
    async fn a_socket_that_nobody_named_is_done_without() {
        let (asker, _questions) = desk::open();
        let nowhere = PathBuf::from("/nowhere/amqp-agentd/admin.sock");
        let refused = Admin::open(&settings(nowhere.clone(), true), &asker);
        let why = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            why.contains("/nowhere/amqp-agentd/admin.sock") && why.contains("[admin]"),
            "{why}"
        );
        let admin = Admin::open(&settings(nowhere, false), &asker).unwrap();
        assert_eq!(admin.places(), [""; 0]);
        admin.end().await;
    }

    #[tokio::test]
    async fn a_socket_that_another_took_over_is_not_removed() {
        let (asker, _questions) = desk::open();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let admin = Admin::open(&settings(path.clone(), true), &asker).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another's").unwrap();
        admin.end().await;
        assert!(path.exists());
    }
}
