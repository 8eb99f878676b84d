//! Whether a message costs the same when there is more of everything.
//!
//! Messages are published once all agents consume, so that no start is measured with them.

use std::time::Duration;

use super::Ground;
use super::turns::{Case, alternate};
use crate::Failure;
use crate::broker::{Broker, queue_names};
use crate::contestant::Contestant;
use crate::fleet::Fleet;
use crate::load::{self, Load};
use crate::receipts::{Manner, Receipts};
use crate::report::{Column, Report, Row};

const ROUNDS: usize = 3;
const MESSAGES: u64 = 60_000;
const BODY_BYTES: usize = 256;
/// Before this share of the messages nothing is measured, and nothing behind the other.
const WARM_UP_SHARE: f64 = 0.1;
const END_SHARE: f64 = 0.98;
const ARRIVAL_MAX: Duration = Duration::from_mins(2);

const COLUMNS: [Column; 3] = [
    Column::new("own_cpu", "CPU-s per 100k requests", 2).with_ratio().drawn(),
    Column::new("resident", "RSS MiB", 1),
    Column::new("connections", "connections to the sink", 0),
];

struct Size {
    agents: usize,
    window: u16,
    backends: usize,
}

/// More agents, larger windows, more backends for each message: a table for each.
pub fn growth(ground: &Ground) -> Result<Vec<Report>, Failure> {
    let window = ground.window();
    let agents = [1, 10, 100, 1000]
        .map(|agents| (format!("{agents} agents"), Size { agents, window, backends: 1 }));
    let windows = [10, 50, 200, 1000]
        .map(|window| (format!("window {window}"), Size { agents: 1, window, backends: 1 }));
    let backends = [1, 2, 4, 8]
        .map(|backends| (format!("{backends} backends"), Size { agents: 1, window, backends }));
    Ok(vec![
        grow(ground, "growth-agents", agents)?,
        grow(ground, "growth-window", windows)?,
        grow(ground, "growth-backends", backends)?,
    ])
}

fn grow(
    ground: &Ground,
    scenario: &'static str,
    sizes: [(String, Size); 4],
) -> Result<Report, Failure> {
    let daemon = ground.daemon()?;
    let rounds = ground.options.rounds(ROUNDS);
    let messages = ground.options.messages(MESSAGES);
    let cases = sizes.map(|(name, size)| Case { name, what: size, may_fail: false });
    let rows = alternate(scenario, rounds, &cases, |size, row| {
        // As many requests, however many a message makes.
        let messages = messages / size.backends as u64;
        turn(ground.broker, &daemon, size, Load { messages, body_bytes: BODY_BYTES }, row)
    });
    Ok(Report {
        scenario,
        setting: format!(
            "The daemon alone, {messages} requests of {BODY_BYTES} bytes over all agents, window \
             {} for each of them unless another is named; {}.",
            ground.window(),
            ground.setting(rounds)
        ),
        subject: "case",
        columns: COLUMNS.to_vec(),
        baseline: cases.first().map(|case| case.name.clone()),
        rows,
    })
}

fn turn(
    broker: &Broker,
    daemon: &Contestant,
    size: &Size,
    load: Load,
    row: &mut Row,
) -> Result<String, Failure> {
    let sink = Receipts::start(Manner::default())?;
    let queues = queue_names(size.agents);
    let fleet = Fleet::start(broker, daemon, &sink.url(), queues, size.window, size.backends)?;
    let requests = load.messages * size.backends as u64;
    let share = |share: f64| (requests as f64 * share) as u64;
    let (begin, end) = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| load::publish(&broker.url, fleet.queues(), load));
        let begin = sink.await_number(share(WARM_UP_SHARE), ARRIVAL_MAX)?;
        let begin = begin.map(|count| (count, fleet.usage()));
        let end = sink.await_number(share(END_SHARE), ARRIVAL_MAX)?;
        let end = end.map(|count| (count, fleet.usage()));
        publishing.join().map_err(|_| "the publisher failed")??;
        Ok::<_, Failure>((begin, end))
    })?;
    let all = sink.await_number(requests, ARRIVAL_MAX)?;
    fleet.stop()?;
    let (Some(begin), Some(end), Some(_)) = (begin, end, all) else {
        return Err("not all messages came in time".into());
    };
    let received = end.0.received - begin.0.received;
    let own_cpu = (end.1.cpu_s - begin.1.cpu_s) / received as f64 * 1e5;
    row.push("own_cpu", own_cpu);
    row.push("resident", end.1.resident_kib as f64 / 1024.0);
    row.push("connections", end.0.connections as f64);
    Ok(format!("{own_cpu:.2} CPU-s per 100k requests"))
}
