//! What agents cost that have nothing to do.

use super::Ground;
use super::start::AGENTS;
use super::turns::{alternate, cases};
use crate::Failure;
use crate::broker::queue_names;
use crate::clock::{now_ns, pause_ms};
use crate::contestant::Contestant;
use crate::fleet::Fleet;
use crate::measure::usage;
use crate::receipts::{Manner, Receipts};
use crate::report::{Column, Report};

const ROUNDS: usize = 3;
/// What starting leaves to be done has this long.
const SETTLING_MS: u64 = 5_000;
const WATCHED_MS: u64 = 20_000;

const COLUMNS: [Column; 5] = [
    Column::new("one", "RSS MiB with one", 1),
    Column::new("all", "RSS MiB with all", 1),
    Column::new("each", "KiB for each more", 1).drawn("KiB resident for each agent more"),
    Column::new("own_share", "CPU, % of a core", 2),
    Column::new("broker_share", "broker CPU, %", 2),
];

struct Rest {
    resident_kib: f64,
    own_share: f64,
    broker_share: f64,
}

/// One agent, and many.
pub fn idle(ground: &Ground) -> Result<Report, Failure> {
    let agents = ground.options.agents.unwrap_or(AGENTS).max(2);
    let rounds = ground.options.rounds(ROUNDS);
    let contestants = cases(ground.contestants(&["daemon"])?);
    let watched_ms = if ground.options.quick { WATCHED_MS / 4 } else { WATCHED_MS };
    let rows = alternate("idle", rounds, &contestants, |contestant, row| {
        let one = rest(ground, contestant, 1, 0)?;
        let all = rest(ground, contestant, agents, watched_ms)?;
        let each_kib = (all.resident_kib - one.resident_kib) / (agents - 1) as f64;
        row.push("one", one.resident_kib / 1024.0);
        row.push("all", all.resident_kib / 1024.0);
        row.push("each", each_kib);
        row.push("own_share", all.own_share);
        row.push("broker_share", all.broker_share);
        Ok(format!("{each_kib:.1} KiB for each more, {:.2} % of a core", all.own_share))
    });
    Ok(Report {
        scenario: "idle",
        setting: format!(
            "{agents} queues with an agent and a connection each, without messages, watched for \
             {} s; {}.",
            watched_ms / 1000,
            ground.setting(rounds)
        ),
        subject: "contestant",
        columns: COLUMNS.to_vec(),
        rows,
        baseline: None,
    })
}

fn rest(
    ground: &Ground,
    contestant: &Contestant,
    agents: usize,
    watched_ms: u64,
) -> Result<Rest, Failure> {
    let sink = Receipts::start(Manner::default())?;
    let queues = queue_names(agents);
    let fleet = Fleet::start(ground.broker, contestant, &sink.url(), queues, ground.window(), 1)?;
    pause_ms(SETTLING_MS);
    let (begin_ns, own, broker) = (now_ns(), fleet.usage(), usage(ground.broker.pid));
    pause_ms(watched_ms);
    let (end_ns, own_end, broker_end) = (now_ns(), fleet.usage(), usage(ground.broker.pid));
    fleet.stop()?;
    let percent = |cpu_s: f64| cpu_s / ((end_ns - begin_ns) as f64 / 1e9) * 100.0;
    Ok(Rest {
        resident_kib: own_end.resident_kib as f64,
        own_share: percent(own_end.cpu_s - own.cpu_s),
        broker_share: percent(broker_end.cpu_s - broker.cpu_s),
    })
}
