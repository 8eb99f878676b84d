//! How long many agents take until all of them consume, each with a queue and a connection.

use super::Ground;
use super::turns::{alternate, cases};
use crate::Failure;
use crate::broker::queue_names;
use crate::fleet::Fleet;
use crate::measure::usage;
use crate::receipts::{Manner, Receipts};
use crate::report::{Column, Report};

const ROUNDS: usize = 5;
pub const AGENTS: usize = 1000;

const COLUMNS: [Column; 4] = [
    Column::new("start", "until all consume, s", 2).drawn("seconds until all consume"),
    Column::new("own_cpu", "CPU-s", 2),
    Column::new("broker_cpu", "broker CPU-s", 2),
    Column::new("peak", "peak MiB", 1),
];

/// From the start of the process to the last consumer.
pub fn start(ground: &Ground) -> Result<Report, Failure> {
    let agents = ground.options.agents.unwrap_or(AGENTS);
    let rounds = ground.options.rounds(ROUNDS);
    let contestants = cases(ground.contestants(&["daemon"])?);
    let rows = alternate("start", rounds, &contestants, |contestant, row| {
        let sink = Receipts::start(Manner::default())?;
        let queues = queue_names(agents);
        let before = usage(ground.broker.pid);
        let fleet =
            Fleet::start(ground.broker, contestant, &sink.url(), queues, ground.window(), 1)?;
        let (own, broker) = (fleet.usage(), usage(ground.broker.pid));
        let start_s = fleet.start_s;
        fleet.stop()?;
        row.push("start", start_s);
        row.push("own_cpu", own.cpu_s);
        row.push("broker_cpu", broker.cpu_s - before.cpu_s);
        row.push("peak", own.peak_kib as f64 / 1024.0);
        Ok(format!("{start_s:.2} s, {:.2} CPU-s, {} KiB", own.cpu_s, own.peak_kib))
    });
    Ok(Report {
        scenario: "start",
        setting: format!(
            "{agents} queues with an agent and a connection each; {}.",
            ground.setting(rounds)
        ),
        subject: "contestant",
        columns: COLUMNS.to_vec(),
        rows,
        baseline: None,
    })
}
