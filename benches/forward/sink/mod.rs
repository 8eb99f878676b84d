//! The backend of a run: one thread that answers every request at once, or late where it is told
//! to, and counts. As lean as can be, since it shares the machine with what is measured.
//!
//! `GET /await/N` is answered once N requests have come in, `GET /stats` at once, `GET /forget`
//! too and empties the histogram of delays.

mod connection;
mod late;

use std::io::{ErrorKind, Read, Write, stdout};
use std::net::{Ipv4Addr, TcpListener};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::clock::{now_ns, timespec};
pub use connection::value_of;
use connection::{Connection, Request};
pub use late::Late;
use late::LateReplies;

const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 256 * 1024;
/// What takes longer counts as this long.
const DELAY_NS_MAX: u64 = 60_000_000_000;
const EVENTS_MAX: usize = 256;
/// Not 204, which one of the peers takes for a failure.
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Serves until the process is ended. Prints the port first.
pub fn serve(late: Option<Late>, measures_delays: bool) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    writeln!(stdout(), "{}", listener.local_addr()?.port())?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut sink = Sink {
        epoll,
        listener,
        connections: Vec::new(),
        late: LateReplies::new(late),
        counts: Counts::new(measures_delays)?,
    };
    sink.run()
}

struct Sink {
    epoll: std::os::fd::OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    late: LateReplies,
    counts: Counts,
}

/// What has come in, and who wants to know.
struct Counts {
    received: u64,
    opened: u64,
    delays: Option<Histogram<u64>>,
    /// Who waits for how many: place and number of the connection.
    awaited: Vec<(u64, usize, u64)>,
}

impl Sink {
    fn run(&mut self) -> Result<(), Failure> {
        let mut shared = vec![0; READ_BYTES];
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let wait = self.late.next_due().map(|due| timespec(due.saturating_sub(now_ns())));
            epoll::wait(&self.epoll, spare_capacity(&mut events), wait.as_ref())?;
            for event in events.drain(..) {
                let token = event.data.u64();
                if token == LISTENER {
                    self.accept()?;
                } else if let Ok(index) = usize::try_from(token) {
                    self.serve_one(index, &mut shared);
                }
            }
            self.answer_late();
            self.tell_awaited();
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.connections.iter().position(Option::is_none).unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            self.counts.opened += 1;
            self.connections[index] = Some(Connection::new(stream, self.counts.opened));
        }
    }

    /// Reads what there is and answers it; a connection that is at its end is dropped.
    fn serve_one(&mut self, index: usize, shared: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let alive = match connection.stream.read(shared) {
            Ok(0) => false,
            Ok(length) => {
                let (late, counts) = (&mut self.late, &mut self.counts);
                connection.take(&shared[..length], |connection, request| {
                    answer(connection, index, &request, late, counts);
                });
                connection.write(&self.epoll, index)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.write(&self.epoll, index)
            }
            Err(_) => false,
        };
        if !alive {
            self.connections[index] = None;
        }
    }

    fn answer_late(&mut self) {
        while let Some((index, number)) = self.late.pop_due() {
            let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            if connection.number != number {
                continue;
            }
            connection.out.extend_from_slice(REPLY);
            connection.is_late = false;
            let (late, counts) = (&mut self.late, &mut self.counts);
            connection.take(&[], |connection, request| {
                answer(connection, index, &request, late, counts);
            });
            if !connection.write(&self.epoll, index) {
                self.connections[index] = None;
            }
        }
    }

    fn tell_awaited(&mut self) {
        let received = self.counts.received;
        if self.counts.awaited.iter().all(|(awaited, ..)| *awaited > received) {
            return;
        }
        let text = self.counts.tell();
        let (connections, epoll) = (&mut self.connections, &self.epoll);
        self.counts.awaited.retain(|(awaited, index, number)| {
            if *awaited > received {
                return true;
            }
            let connection = connections.get_mut(*index).and_then(Option::as_mut);
            // Who asked may have gone, and another taken the place.
            if let Some(connection) = connection.filter(|asker| asker.number == *number) {
                put_json(&mut connection.out, &text);
                connection.write(epoll, *index);
            }
            false
        });
    }
}

fn answer(
    connection: &mut Connection,
    index: usize,
    request: &Request,
    late: &mut LateReplies,
    counts: &mut Counts,
) {
    match request {
        Request::Message { stamp } => {
            counts.receive(*stamp);
            if late.takes(index, connection.number) {
                connection.is_late = true;
            } else {
                connection.out.extend_from_slice(REPLY);
            }
        }
        Request::Await(awaited) => counts.awaited.push((*awaited, index, connection.number)),
        Request::Forget => {
            if let Some(delays) = &mut counts.delays {
                delays.reset();
            }
            put_json(&mut connection.out, &counts.tell());
        }
        Request::Stats => put_json(&mut connection.out, &counts.tell()),
        Request::Other => connection.out.extend_from_slice(REPLY),
    }
}

fn put_json(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    out.extend_from_slice(
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}").as_bytes(),
    );
}

impl Counts {
    fn new(measures_delays: bool) -> Result<Counts, Failure> {
        let delays = if measures_delays {
            Some(Histogram::new_with_bounds(1, DELAY_NS_MAX, 3)?)
        } else {
            None
        };
        Ok(Counts { received: 0, opened: 0, delays, awaited: Vec::new() })
    }

    fn receive(&mut self, stamp: Option<u64>) {
        self.received += 1;
        if let (Some(delays), Some(stamp)) = (&mut self.delays, stamp) {
            delays.saturating_record(now_ns().saturating_sub(stamp));
        }
    }

    fn tell(&self) -> String {
        let mut delays = Map::new();
        if let Some(histogram) = &self.delays {
            for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
                let delay_ns = histogram.value_at_quantile(quantile);
                delays.insert(name.to_owned(), Value::from(delay_ns));
            }
            delays.insert("count".to_owned(), Value::from(histogram.len()));
        }
        json!({
            "at_ns": now_ns(),
            "received": self.received,
            "connections": self.opened,
            "delays_ns": delays,
        })
        .to_string()
    }
}
