//! A port of our own that can refuse connections and take them again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

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
    pub fn listen(&self) -> TcpListener {
        socket(self.number()).and_then(|socket| socket.listen(1024)).expect("the port is ours")
    }
}

fn socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}
