//! A port of our own that can refuse connections and take them again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket};

use super::wait::{DEADLINE, POLL};

/// A port of the loopback interface that nobody else is given while this value lives.
///
/// The socket that holds it never listens, so that with no [`listener`](Port::listen) beside it
/// connections are refused.
pub struct Port {
    holder: TcpSocket,
}

impl Port {
    /// Takes any free port.
    pub fn take() -> Port {
        let holder = socket(0).expect("a port is free");
        Port { holder }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.holder.local_addr().expect("it is bound").port()
    }

    /// Listens on it.
    ///
    /// A connection that somebody tried to make while nobody listened may have been given the very
    /// same port to come from, for the moment that it lasts.
    #[expect(
        clippy::disallowed_methods,
        reason = "a moment that seldom comes; each test has its thread to itself"
    )]
    pub fn listen(&self) -> TcpListener {
        let end = Instant::now() + DEADLINE;
        loop {
            match socket(self.number()).and_then(|socket| socket.listen(1024)) {
                Ok(listener) => return listener,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                    std::thread::sleep(POLL);
                }
                Err(error) => panic!("port {} is ours: {error}", self.number()),
            }
        }
    }
}

fn socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}
