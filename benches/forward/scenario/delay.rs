//! How long a message takes from publishing to the backend's receipt, far from saturation.

use std::time::Duration;

use super::Ground;
use super::turns::{alternate, cases};
use crate::Failure;
use crate::broker::{Broker, queue_names};
use crate::contestant::Contestant;
use crate::fleet::Fleet;
use crate::load::{self, Load};
use crate::receipts::{Manner, Receipts};
use crate::report::{Column, Report, Row};

const ROUNDS: usize = 5;
/// About a tenth of what the hand-written loop can do.
const RATE: u64 = 2000;
const SECONDS: u64 = 10;
const BODY_BYTES: usize = 256;
const ARRIVAL_MAX: Duration = Duration::from_secs(30);
const CONTESTANTS: [&str; 5] = ["daemon", "floor", "plain", "hyper", "peers"];

const COLUMNS: [Column; 5] = [
    Column::new("p50", "p50 ms", 3)
        .with_ratio()
        .drawn("milliseconds, half of all messages take less"),
    Column::new("p90", "p90 ms", 3),
    Column::new("p99", "p99 ms", 3)
        .with_ratio()
        .drawn("milliseconds, 99 of 100 messages take less"),
    Column::new("p99.9", "p99.9 ms", 3),
    Column::new("own_cpu", "CPU-s/100k", 2),
];

/// At a fixed rate.
pub fn delay(ground: &Ground) -> Result<Report, Failure> {
    let contestants = cases(ground.contestants(&CONTESTANTS)?);
    let rounds = ground.options.rounds(ROUNDS);
    let rate = ground.options.rate.unwrap_or(RATE).max(1);
    let seconds = if ground.options.quick { SECONDS / 3 } else { SECONDS };
    let messages = ground.options.messages.unwrap_or(rate * seconds);
    let load = Load { messages, body_bytes: BODY_BYTES };
    let rows = alternate("delay", rounds, &contestants, |contestant, row| {
        turn(ground.broker, contestant, ground.window(), load, rate, row)
    });
    Ok(Report {
        scenario: "delay",
        setting: format!(
            "{messages} messages of {BODY_BYTES} bytes at {rate} a second, from publishing to the \
             backend's receipt, window {}; {}.",
            ground.window(),
            ground.setting(rounds)
        ),
        subject: "contestant",
        columns: COLUMNS.to_vec(),
        rows,
        baseline: Some("floor".to_owned()),
    })
}

fn turn(
    broker: &Broker,
    contestant: &Contestant,
    window: u16,
    load: Load,
    rate: u64,
    row: &mut Row,
) -> Result<String, Failure> {
    let sink = Receipts::start(Manner { measures_delays: true, ..Manner::default() })?;
    let queues = queue_names(1);
    let fleet = Fleet::start(broker, contestant, &sink.url(), queues, window, 1)?;
    // The first second opens connections and fills caches.
    let warm_up = Load { messages: rate, ..load };
    load::stream(&broker.url, fleet.queue(), warm_up, rate)?;
    arrived(&sink, warm_up.messages)?;
    sink.forget_delays()?;
    let begin = fleet.usage();
    load::stream(&broker.url, fleet.queue(), load, rate)?;
    arrived(&sink, warm_up.messages + load.messages)?;
    let end = fleet.usage();
    let count = sink.count()?;
    fleet.stop()?;
    for quantile in ["p50", "p90", "p99", "p99.9"] {
        row.push(quantile, count.delay_ms(quantile));
    }
    row.push("own_cpu", (end.cpu_s - begin.cpu_s) / load.messages as f64 * 1e5);
    Ok(format!(
        "p50 {:.3} ms, p99 {:.3} ms, {:.2} CPU-s/100k",
        count.delay_ms("p50"),
        count.delay_ms("p99"),
        (end.cpu_s - begin.cpu_s) / load.messages as f64 * 1e5
    ))
}

fn arrived(sink: &Receipts, number: u64) -> Result<(), Failure> {
    match sink.await_number(number, ARRIVAL_MAX)? {
        Some(_) => Ok(()),
        None => Err(format!("{} of {number} messages came", sink.count()?.received).into()),
    }
}
