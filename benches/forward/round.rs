//! One round of one contestant with queues that were filled before.

use std::time::Duration;

use crate::Failure;
use crate::broker::{Broker, queue_names};
use crate::clock::pause_ms;
use crate::contestant::{Contestant, Job, Running};
use crate::load::{self, Load};
use crate::measure::{Usage, usage};
use crate::receipts::{Count, Manner, Receipts};

/// Before this share of the messages nothing is measured: connections are opened, caches filled.
const WARM_UP_SHARE: f64 = 0.1;
/// Nor behind this one: queues run out one after the other.
const END_SHARE: f64 = 0.98;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a contestant may take before the first message.
const START_S_MAX: u64 = 60;
const EMPTY_MS_MAX: u64 = 5_000;
const EMPTY_LOOK_MS: u64 = 50;

/// What a round is made of.
#[derive(Debug, Clone)]
pub struct Course {
    pub load: Load,
    pub queues: usize,
    pub window: u16,
    pub manner: Manner,
    /// After so long a slow contestant is judged by what it has done.
    pub seconds_max: u64,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    pub messages_per_s: f64,
    /// CPU seconds for 100,000 messages: the contestant with its children, the broker, the sink.
    pub own_cpu: f64,
    pub broker_cpu: f64,
    pub sink_cpu: f64,
    pub resident_mib: f64,
    pub peak_mib: f64,
    /// Requests beyond one a message.
    pub repeated: f64,
    /// Messages that were still in the queues after a clean stop.
    pub left: f64,
    /// It was too slow to come to the end.
    pub is_cut_short: bool,
}

struct Sample {
    count: Count,
    own: Usage,
    broker: Usage,
    sink: Usage,
}

/// Fills the queues, lets the contestant empty them, and measures it on the way.
pub fn run(broker: &Broker, contestant: &Contestant, course: &Course) -> Result<Lap, Failure> {
    let queues = queue_names(course.queues);
    load::fill(&broker.url, &queues, course.load)?;
    let sink = Receipts::start(course.manner)?;
    let job = Job {
        broker_url: broker.url.clone(),
        sink_url: sink.url(),
        window: course.window,
        queues: queues.clone(),
        backends: 1,
    };
    let running = contestant.start(&job)?;
    let lap = measure(broker, course, &queues, &sink, running);
    let left = load::left(&broker.url, &queues);
    load::clear(&broker.url, &queues)?;
    Ok(Lap { left: left? as f64, ..lap? })
}

fn measure(
    broker: &Broker,
    course: &Course,
    queues: &[String],
    sink: &Receipts,
    mut running: Running,
) -> Result<Lap, Failure> {
    let requests = course.load.messages;
    let share = |share: f64| (requests as f64 * share) as u64;
    let sample = |count: Count, running: &Running| Sample {
        count,
        own: running.usage(),
        broker: usage(broker.pid),
        sink: usage(sink.pid()),
    };
    let warm_up = share(WARM_UP_SHARE).max(1);
    let Some(count) = wait_for(sink, &mut running, warm_up, START_S_MAX)? else {
        return Err(format!("it does not get going:\n{}", running.last_words()).into());
    };
    let begin = sample(count, &running);
    let at_end = wait_for(sink, &mut running, share(END_SHARE), course.seconds_max)?;
    let is_cut_short = at_end.is_none();
    let end = sample(at_end.map_or_else(|| sink.count(), Ok)?, &running);
    if !is_cut_short && wait_for(sink, &mut running, requests, course.seconds_max)?.is_none() {
        return Err(format!("the last messages do not come:\n{}", running.last_words()).into());
    }
    if !is_cut_short {
        wait_until_empty(broker, queues)?;
    }
    let last_words = running.last_words();
    if !running.stop()? {
        return Err(format!("it does not end in good order:\n{last_words}").into());
    }
    let received = sink.count()?.received;
    let messages = (end.count.received - begin.count.received) as f64;
    let per_100k = |begin: Usage, end: Usage| (end.cpu_s - begin.cpu_s) / messages * 1e5;
    Ok(Lap {
        messages_per_s: messages / ((end.count.at_ns - begin.count.at_ns) as f64 / 1e9),
        own_cpu: per_100k(begin.own, end.own),
        broker_cpu: per_100k(begin.broker, end.broker),
        sink_cpu: per_100k(begin.sink, end.sink),
        resident_mib: end.own.resident_kib as f64 / 1024.0,
        peak_mib: end.own.peak_kib as f64 / 1024.0,
        repeated: received.saturating_sub(requests) as f64,
        left: 0.0,
        is_cut_short,
    })
}

/// As many requests as messages may be fewer messages, where one came twice.
fn wait_until_empty(broker: &Broker, queues: &[String]) -> Result<(), Failure> {
    for _ in 0..EMPTY_MS_MAX / EMPTY_LOOK_MS {
        if load::left(&broker.url, queues)? == 0 {
            break;
        }
        pause_ms(EMPTY_LOOK_MS);
    }
    Ok(())
}

/// Waits for so many requests, as long as the contestant lives.
fn wait_for(
    sink: &Receipts,
    running: &mut Running,
    number: u64,
    seconds_max: u64,
) -> Result<Option<Count>, Failure> {
    for _ in 0..seconds_max {
        if let Some(count) = sink.await_number(number, LOOK_AGAIN)? {
            return Ok(Some(count));
        }
        if let Some(status) = running.ended()? {
            return Err(format!("it ended ({status}):\n{}", running.last_words()).into());
        }
    }
    Ok(None)
}
