//! Who empties queues how fast and at what cost: the scenarios that differ in the load alone.

use super::Ground;
use super::turns::{alternate, cases};
use crate::Failure;
use crate::load::Load;
use crate::receipts::Manner;
use crate::report::{Column, Report, Row};
use crate::round::{self, Course, Lap};
use crate::stats::Figures;

const ROUNDS: usize = 5;
const MESSAGES: u64 = 60_000;
const BODY_BYTES: usize = 256;
const SECONDS_MAX: u64 = 30;
const CONTESTANTS: [&str; 6] = ["daemon", "floor", "plain", "coalesced", "hyper", "peers"];

const COLUMNS: [Column; 6] = [
    Column::new("rate", "msg/s", 0).with_ratio().drawn("messages a second (more is better)"),
    Column::new("own_cpu", "CPU-s/100k", 2)
        .with_ratio()
        .drawn("CPU seconds of its own for 100,000 messages (less is better)"),
    Column::new("broker_cpu", "broker CPU-s/100k", 2),
    Column::new("sink_cpu", "sink CPU-s/100k", 2),
    Column::new("resident", "RSS MiB", 1),
    Column::new("peak", "peak MiB", 1),
];

/// Small messages.
pub fn rate(ground: &Ground) -> Result<Report, Failure> {
    let course = usual(ground, MESSAGES, BODY_BYTES);
    compare("rate", ground, &CONTESTANTS, "floor", &course)
}

/// Larger messages.
pub fn size(ground: &Ground) -> Result<Report, Failure> {
    let course = usual(ground, MESSAGES / 2, 16 * 1024);
    compare("size", ground, &CONTESTANTS, "floor", &course)
}

/// Ten queues, which share the messages.
pub fn agents(ground: &Ground) -> Result<Report, Failure> {
    let course = Course { queues: 10, ..usual(ground, MESSAGES, BODY_BYTES) };
    compare("agents", ground, &CONTESTANTS, "floor", &course)
}

/// A backend that is late now and then: does what is slow hold up what is not?
pub fn slow(ground: &Ground) -> Result<Report, Failure> {
    let manner = Manner { late: Some("100:200ms"), ..Manner::default() };
    let course = Course { manner, ..usual(ground, MESSAGES / 2, BODY_BYTES) };
    compare("slow", ground, &["daemon", "each", "coalesced"], "each", &course)
}

fn usual(ground: &Ground, messages: u64, body_bytes: usize) -> Course {
    Course {
        load: Load { messages: ground.options.messages(messages), body_bytes },
        queues: 1,
        window: ground.window(),
        manner: Manner::default(),
        seconds_max: SECONDS_MAX,
    }
}

fn compare(
    scenario: &'static str,
    ground: &Ground,
    usual: &[&str],
    baseline: &str,
    course: &Course,
) -> Result<Report, Failure> {
    let contestants = cases(ground.contestants(usual)?);
    let rounds = ground.options.rounds(ROUNDS);
    let mut rows = alternate(scenario, rounds, &contestants, |contestant, row| {
        Ok(enter(row, &round::run(ground.broker, contestant, course)?))
    });
    rows.iter_mut().for_each(remark);
    let setting = format!(
        "{} messages of {} bytes in {}, window {}; {}{}.",
        course.load.messages,
        course.load.body_bytes,
        if course.queues == 1 {
            "one queue".to_owned()
        } else {
            format!("{} queues", course.queues)
        },
        course.window,
        ground.setting(rounds),
        course.manner.late.map(|late| format!(", late replies {late}")).unwrap_or_default(),
    );
    Ok(Report {
        scenario,
        setting,
        subject: "contestant",
        columns: COLUMNS.to_vec(),
        rows,
        baseline: Some(baseline.to_owned()),
    })
}

/// Enters a lap into its row, and says it in a line.
fn enter(row: &mut Row, lap: &Lap) -> String {
    row.push("rate", lap.messages_per_s);
    row.push("own_cpu", lap.own_cpu);
    row.push("broker_cpu", lap.broker_cpu);
    row.push("sink_cpu", lap.sink_cpu);
    row.push("resident", lap.resident_mib);
    row.push("peak", lap.peak_mib);
    row.push("repeated", lap.repeated);
    if lap.is_cut_short {
        row.note(format!("cut short after {SECONDS_MAX} s of a round"));
    } else {
        row.push("left", lap.left);
    }
    format!(
        "{:.0} msg/s, {:.2} CPU-s/100k, broker {:.2}, sink {:.2}, {:.1} MiB",
        lap.messages_per_s, lap.own_cpu, lap.broker_cpu, lap.sink_cpu, lap.resident_mib
    )
}

/// What should not be: messages that were not settled, or were told of twice.
fn remark(row: &mut Row) {
    let most = |key| row.figures(key).and_then(Figures::most).unwrap_or(0.0);
    let (left, repeated) = (most("left"), most("repeated"));
    if left > 0.0 {
        row.note(format!("left up to {left} messages in the queue after a clean stop"));
    }
    if repeated > 0.0 {
        row.note(format!("made up to {repeated} requests more than there were messages"));
    }
}
