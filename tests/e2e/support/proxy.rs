//! A TCP proxy that stands in for the network: it passes, stalls, cuts and corrupts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::listener::Port;
use super::wait::within;

/// A proxy in front of a broker or a backend, on a port of its own.
pub struct Proxy {
    port: Port,
    target: SocketAddr,
    flows: watch::Sender<Flows>,
    ends: watch::Sender<End>,
    seen: watch::Sender<Seen>,
    server: JoinSet<()>,
}

/// A direction of the traffic.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// From the daemon to the broker or backend.
    ToServer,
    /// From the broker or backend to the daemon.
    ToClient,
}

/// What happens to the octets of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They are passed on.
    Pass,
    /// They are left unread, while the connection stays open.
    Stall,
    /// They are read and thrown away, and the receiver is told that no more will come (FIN).
    Shut,
    /// They are passed on with every bit turned over.
    Corrupt,
    /// They are passed on, at most 4 KiB every 50 ms.
    Slow,
}

#[derive(Debug, Clone, Copy)]
struct Flows {
    to_server: Flow,
    to_client: Flow,
}

impl Flows {
    fn of(self, direction: Direction) -> Flow {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// How connections are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// FIN on both sides.
    Close,
    /// RST on both sides.
    Reset,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    accepted: usize,
    open: usize,
}

impl Proxy {
    /// A proxy that passes everything to `port` of the loopback interface.
    pub fn to(port: u16) -> Proxy {
        let flows = Flows { to_server: Flow::Pass, to_client: Flow::Pass };
        let mut proxy = Proxy {
            port: Port::take(),
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            flows: watch::Sender::new(flows),
            ends: watch::Sender::new(End::Close),
            seen: watch::Sender::default(),
            server: JoinSet::new(),
        };
        proxy.listen();
        proxy
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Changes what happens to one direction, of connections that are open and of later ones.
    pub fn set(&self, direction: Direction, flow: Flow) {
        self.flows.send_modify(|flows| match direction {
            Direction::ToServer => flows.to_server = flow,
            Direction::ToClient => flows.to_client = flow,
        });
    }

    /// Passes nothing, both ways, and keeps connections open: a cable that is out.
    pub fn stall(&self) {
        self.set(Direction::ToServer, Flow::Stall);
        self.set(Direction::ToClient, Flow::Stall);
    }

    /// Passes everything again.
    pub fn pass(&self) {
        self.set(Direction::ToServer, Flow::Pass);
        self.set(Direction::ToClient, Flow::Pass);
    }

    /// Resets every open connection; later ones are welcome.
    pub fn reset(&self) {
        self.ends.send_replace(End::Reset);
    }

    /// Closes every open connection; later ones are welcome.
    pub fn close(&self) {
        self.ends.send_replace(End::Close);
    }

    /// Ends every open connection and refuses later ones.
    pub async fn refuse(&mut self) {
        self.server.shutdown().await;
    }

    /// Takes connections (again).
    pub fn listen(&mut self) {
        let (listener, target) = (self.port.listen(), self.target);
        let (flows, ends, seen) = (self.flows.clone(), self.ends.clone(), self.seen.clone());
        self.server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a listener goes on listening");
                let counted = Counted::enter(&seen);
                let carried = carry(client, target, flows.subscribe(), ends.subscribe());
                connections.spawn(async move {
                    carried.await;
                    drop(counted);
                });
                while connections.try_join_next().is_some() {}
            }
        });
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.seen.borrow().accepted
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.seen.borrow().open
    }

    /// Waits until `count` connections have been made.
    pub async fn wait_for_connections(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let what = format!("{count} connections through a proxy");
        within(&what, seen.wait_for(|seen| seen.accepted >= count)).await.unwrap();
    }
}

/// Counts a connection as open for as long as it lives.
struct Counted(watch::Sender<Seen>);

impl Counted {
    fn enter(seen: &watch::Sender<Seen>) -> Counted {
        seen.send_modify(|seen| {
            seen.accepted += 1;
            seen.open += 1;
        });
        Counted(seen.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.open -= 1);
    }
}

/// Carries one connection until both directions have ended or the test ends it.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    flows: watch::Receiver<Flows>,
    mut ends: watch::Receiver<End>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        client.set_zero_linger().unwrap();
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let to_server = pump(from_client, to_server, Direction::ToServer, flows.clone());
        let to_client = pump(from_server, to_client, Direction::ToClient, flows);
        tokio::select! {
            _ = async { tokio::join!(to_server, to_client) } => return,
            _ = ends.changed() => {}
        }
    }
    if *ends.borrow() == End::Reset {
        for stream in [&client, &server] {
            stream.set_zero_linger().unwrap();
        }
    }
}

/// Carries one direction until its sender has ended it.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    mut flows: watch::Receiver<Flows>,
) {
    let mut buffer = vec![0; 0x10000];
    loop {
        let flow = flows.borrow_and_update().of(direction);
        if flow == Flow::Shut {
            drop(to.shutdown().await);
        }
        let limit = if flow == Flow::Slow { 0x1000 } else { buffer.len() };
        let length = tokio::select! {
            changed = flows.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            length = from.read(&mut buffer[..limit]), if flow != Flow::Stall => length.unwrap_or(0),
        };
        if length == 0 {
            break;
        }
        let octets = &mut buffer[..length];
        if flow == Flow::Corrupt {
            for octet in octets.iter_mut() {
                *octet = !*octet;
            }
        }
        if flow == Flow::Slow {
            sleep(Duration::from_millis(50)).await;
        }
        if flow != Flow::Shut && to.write_all(octets).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
