//! The loops on client libraries: what an engineer would write in an afternoon, and what the same
//! libraries give when they are used well. Like the floor they only forward.

mod client;
mod consumer;
mod plain;
mod single;

use tokio::runtime::Builder;

use crate::Failure;
use crate::contestant::Job;
use client::{Connections, Reqwest};

/// Several threads, a task for each message, which acks it.
pub fn plain(job: &Job) -> Result<(), Failure> {
    Builder::new_multi_thread().enable_all().build()?.block_on(plain::run(job))
}

/// One thread; each message is acked by itself.
pub fn each(job: &Job) -> Result<(), Failure> {
    on_one_thread(single::run(job, Reqwest::new(&job.sink_url)?, single::Acking::Each))
}

/// One thread; many messages are acked by one frame where that is possible.
pub fn coalesced(job: &Job) -> Result<(), Failure> {
    on_one_thread(single::run(job, Reqwest::new(&job.sink_url)?, single::Acking::Coalesced))
}

/// The same on hyper's own connections, without reqwest.
pub fn hyper(job: &Job) -> Result<(), Failure> {
    on_one_thread(single::run(job, Connections::new(&job.sink_url)?, single::Acking::Coalesced))
}

fn on_one_thread(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}
