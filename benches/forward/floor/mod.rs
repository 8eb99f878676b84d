//! The hand-written loop: what the job costs when nothing but the job is done.
//!
//! One thread, one epoll, AMQP and HTTP/1.1 by hand. It is honest: each message is a request of
//! its own on a kept-alive connection with one request in flight, and it is acked after the 2xx.
//! What finished without a gap is acked in one frame, what finished behind a gap singly once it
//! has become many. It takes nothing else upon itself: no reconnecting, no retries, no timeouts,
//! no log.

mod outlet;
mod source;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::Failure;
use crate::contestant::Job;
use outlet::{Outlets, Reply};
use source::Source;

const STOP: u64 = u64::MAX;
/// Tokens from here on are the queues'; those below are places among the outlets.
const FIRST_SOURCE: u64 = 1 << 32;
const EVENTS_MAX: usize = 256;

/// Which message of which queue.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    source: usize,
    tag: u64,
}

/// Forwards until SIGTERM, then finishes what it has.
pub fn run(job: &Job) -> Result<(), Failure> {
    let (stop, handler) = UnixStream::pair()?;
    pipe::register(SIGTERM, handler.try_clone()?)?;
    pipe::register(SIGINT, handler)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
    let outlets = Outlets::new(&job.sink_url)?;
    let mut sources = Vec::new();
    for (token, queue) in (FIRST_SOURCE..).zip(&job.queues) {
        let source = Source::open(&job.broker_url, queue, job.window, outlets.head())?;
        let data = epoll::EventData::new_u64(token);
        epoll::add(&epoll, source.stream(), data, epoll::EventFlags::IN)?;
        sources.push(source);
    }
    let mut floor = Floor { epoll, stop, sources, outlets, is_stopping: false };
    floor.forward()
}

struct Floor {
    epoll: OwnedFd,
    stop: UnixStream,
    sources: Vec<Source>,
    outlets: Outlets,
    is_stopping: bool,
}

impl Floor {
    fn forward(&mut self) -> Result<(), Failure> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        // What came together with the answer to the consumer.
        for index in 0..self.sources.len() {
            self.hand_out(index)?;
        }
        loop {
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                match event.data.u64() {
                    STOP => self.begin_to_stop()?,
                    token if token >= FIRST_SOURCE => {
                        let index = usize::try_from(token - FIRST_SOURCE)?;
                        self.sources[index].read()?;
                        self.hand_out(index)?;
                    }
                    token => self.take_reply(usize::try_from(token)?)?,
                }
            }
            for (token, source) in (FIRST_SOURCE..).zip(&mut self.sources) {
                source.settle(&self.epoll, token)?;
            }
            if self.is_stopping && self.sources.iter_mut().all(Source::is_finished) {
                return self.sources.drain(..).try_for_each(Source::close);
            }
        }
    }

    fn hand_out(&mut self, index: usize) -> Result<(), Failure> {
        let Floor { epoll, sources, outlets, .. } = self;
        sources[index]
            .deliveries(|tag, request| outlets.send(epoll, Ticket { source: index, tag }, request))
    }

    fn take_reply(&mut self, place: usize) -> Result<(), Failure> {
        match self.outlets.read(&self.epoll, place)? {
            Reply::None => {}
            Reply::Success(ticket) => self.sources[ticket.source].done(ticket.tag),
            Reply::Failure(ticket) => self.sources[ticket.source].give_back(ticket.tag),
        }
        Ok(())
    }

    fn begin_to_stop(&mut self) -> Result<(), Failure> {
        self.stop.read_exact(&mut [0])?;
        self.is_stopping = true;
        self.sources.iter_mut().for_each(Source::cancel);
        Ok(())
    }
}
