//! What is resident: with one busy agent, and with a window full of large messages.

use super::Ground;
use super::turns::{alternate, cases};
use crate::Failure;
use crate::load::Load;
use crate::receipts::Manner;
use crate::report::{Column, Report};
use crate::round::{self, Course};

const ROUNDS: usize = 3;
const SECONDS_MAX: u64 = 60;
const SMALL: Load = Load { messages: 60_000, body_bytes: 256 };
const LARGE: Load = Load { messages: 400, body_bytes: 1024 * 1024 };
/// Every reply is late, so that the window is full all the time.
const LATE: &str = "1:500ms";

const COLUMNS: [Column; 5] = [
    Column::new("busy", "RSS MiB, 256 B", 1).drawn("MiB resident, small messages"),
    Column::new("busy_peak", "peak MiB, 256 B", 1),
    Column::new("full_peak", "peak MiB, 1 MiB and slow", 1)
        .drawn("MiB at most, window full of messages of 1 MiB"),
    Column::new("bound", "base + window × message × 2", 1),
    Column::new("of_bound", "share of that", 2),
];

/// The bound is the daemon's promise; others are held to it for comparison.
pub fn memory(ground: &Ground) -> Result<Report, Failure> {
    let contestants = cases(ground.contestants(&["daemon", "floor", "plain"])?);
    let rounds = ground.options.rounds(ROUNDS);
    let window = ground.window();
    let small = Course {
        load: Load { messages: ground.options.messages(SMALL.messages), ..SMALL },
        queues: 1,
        window,
        manner: Manner::default(),
        seconds_max: SECONDS_MAX,
    };
    let manner = Manner { late: Some(LATE), ..Manner::default() };
    let large = Course { load: LARGE, manner, ..small.clone() };
    let window_mib = f64::from(window) * LARGE.body_bytes as f64 / 1024.0 / 1024.0;
    let mut rows = alternate("memory", rounds, &contestants, |contestant, row| {
        let busy = round::run(ground.broker, contestant, &small)?;
        let full = round::run(ground.broker, contestant, &large)?;
        let bound = busy.resident_mib + window_mib * 2.0;
        row.push("busy", busy.resident_mib);
        row.push("busy_peak", busy.peak_mib);
        row.push("full_peak", full.peak_mib);
        row.push("bound", bound);
        row.push("of_bound", full.peak_mib / bound);
        Ok(format!("{:.1} MiB, full {:.1} of {bound:.1}", busy.resident_mib, full.peak_mib))
    });
    for row in &mut rows {
        let most = row.figures("of_bound").and_then(crate::stats::Figures::most);
        if most.is_some_and(|share| share > 1.0) {
            row.note("above the bound");
            row.has_failed |= row.name == "daemon";
        }
    }
    Ok(Report {
        scenario: "memory",
        setting: format!(
            "One queue, window {window}: {} messages of 256 bytes; then {} of 1 MiB to a backend \
             whose every reply takes 500 ms, base being what is resident with small ones; {}.",
            small.load.messages,
            LARGE.messages,
            ground.setting(rounds)
        ),
        subject: "contestant",
        columns: COLUMNS.to_vec(),
        rows,
        baseline: None,
    })
}
