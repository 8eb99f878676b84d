//! A backend that answers when it is told to: a thread a connection, and nothing decided there.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use crate::case::PATIENCE;

/// A connection that waits for its reply, and its number.
type Waiting = (usize, TcpStream);

pub struct Backend {
    address: SocketAddr,
    requests: Receiver<io::Result<Waiting>>,
}

impl Backend {
    /// Takes connections from now on. Its threads end with the program.
    pub fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (sender, requests) = sync_channel(1024);
        thread::spawn(move || accept(&listener, &sender));
        Ok(Self { address, requests })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for `count` requests; by the number of their connections.
    pub fn requests(&self, count: u32) -> io::Result<Vec<Waiting>> {
        let mut waiting = Vec::new();
        for _ in 0..count {
            let request = self.requests.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => io::Error::other("the daemon sends no request"),
                RecvTimeoutError::Disconnected => io::Error::other("the backend has ended"),
            })?;
            waiting.push(request?);
        }
        waiting.sort_by_key(|(number, _)| *number);
        Ok(waiting)
    }
}

/// Answers each with `status`, in order.
pub fn reply(waiting: Vec<Waiting>, status: u16) -> io::Result<()> {
    let length = if status == 204 { "" } else { "Content-Length: 0\r\n" };
    let reply = format!(
        "HTTP/1.1 {status} A\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: bench\r\n{length}\r\n"
    );
    for (_, mut stream) in waiting {
        stream.write_all(reply.as_bytes())?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, sender: &SyncSender<io::Result<Waiting>>) {
    for (number, stream) in listener.incoming().enumerate() {
        let sender = sender.clone();
        thread::spawn(move || {
            let ended = stream.and_then(|stream| serve(number, stream, &sender));
            if let Err(error) = ended {
                // Nobody listens any more at the end of a run.
                sender.send(Err(error)).ok();
            }
        });
    }
}

fn serve(
    number: usize,
    stream: TcpStream,
    sender: &SyncSender<io::Result<Waiting>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while read_request(&mut stream)? {
        let answered = stream.get_ref().try_clone()?;
        if sender.send(Ok((number, answered))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads one request with its body; `false` where the client has left.
fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut stream.take(length), &mut io::sink())?;
    Ok(true)
}
