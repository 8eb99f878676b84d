//! Whether a message costs the same when there is more of everything.
//!
//! Messages are published once all agents consume, and measured once they have opened the
//! connections that they need, so that no start is measured with them. All agents are busy then.

use std::thread;
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
/// Behind this share of the messages nothing is measured: queues run out one after the other.
const END_SHARE: f64 = 0.98;
/// The least that is published before anything is measured, and windows of all agents.
const WARM_UP_MESSAGES: u64 = 6_000;
const WARM_UP_WINDOWS: u64 = 2;
/// Of each of many agents. A thousand times 50 would be more connections than a process may have.
const AGENTS_WINDOW: u16 = 10;
const ARRIVAL_MAX: Duration = Duration::from_mins(2);

const COLUMNS: [Column; 3] = [
    Column::new("own_cpu", "CPU-s per 100k requests", 2)
        .with_ratio()
        .drawn("CPU seconds of its own for 100,000 requests"),
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
    let agents = [1, 10, 100, 1000].map(|agents| {
        (number_of(agents, "agent"), Size { agents, window: AGENTS_WINDOW, backends: 1 })
    });
    let windows = [10, 50, 200, 1000]
        .map(|window| (format!("window {window}"), Size { agents: 1, window, backends: 1 }));
    let backends = [1, 2, 4, 8]
        .map(|backends| (number_of(backends, "backend"), Size { agents: 1, window, backends }));
    Ok(vec![
        grow(ground, "growth-agents", &format!("window {AGENTS_WINDOW} for each agent"), agents)?,
        grow(ground, "growth-window", "one agent", windows)?,
        grow(ground, "growth-backends", &format!("one agent of window {window}"), backends)?,
    ])
}

fn number_of(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn grow(
    ground: &Ground,
    scenario: &'static str,
    what: &str,
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
            "The daemon, {what}: {messages} requests of {BODY_BYTES} bytes in all; {}.",
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
    let per_message = size.backends as u64;
    let all_windows = size.agents as u64 * u64::from(size.window);
    let warm_up = Load { messages: WARM_UP_MESSAGES.max(all_windows * WARM_UP_WINDOWS), ..load };
    load::publish(&broker.url, fleet.queues(), warm_up)?;
    let before = warm_up.messages * per_message;
    if sink.await_number(before, ARRIVAL_MAX)?.is_none() {
        return Err("the first messages do not come".into());
    }
    let begin = fleet.usage();
    let requests = load.messages * per_message;
    let nearly = before + (requests as f64 * END_SHARE) as u64;
    let end = thread::scope(|scope| {
        let publishing = scope.spawn(|| load::publish(&broker.url, fleet.queues(), load));
        let count = sink.await_number(nearly, ARRIVAL_MAX)?;
        let end = count.map(|count| (count, fleet.usage()));
        publishing.join().map_err(|_| "the publisher failed")??;
        Ok::<_, Failure>(end)
    })?;
    let all = sink.await_number(before + requests, ARRIVAL_MAX)?;
    fleet.stop()?;
    let (Some((count, end)), Some(_)) = (end, all) else {
        return Err("not all messages came in time".into());
    };
    let own_cpu = (end.cpu_s - begin.cpu_s) / (count.received - before) as f64 * 1e5;
    row.push("own_cpu", own_cpu);
    row.push("resident", end.resident_kib as f64 / 1024.0);
    row.push("connections", count.connections as f64);
    Ok(format!("{own_cpu:.2} CPU-s per 100k requests"))
}
