//! What is told at the end: a table for people, JSON for programs, and everything about failures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::Options;
use super::run::Outcome;
use super::world::World;

/// The most failures that are told in full.
const TOLD_MAX: usize = 20;

/// The closing line of the standard test harness, which `scripts/test` adds up.
pub fn verdict(passed: usize, failed: usize) -> String {
    let result = if failed == 0 { "ok" } else { "FAILED" };
    format!("test result: {result}. {passed} passed; {failed} failed; 0 ignored")
}

/// Prints the report, and writes it where the options say.
pub fn tell(options: &Options, outcomes: &[Outcome]) {
    println!("\n{}", faults(outcomes));
    println!("{}", figures(outcomes));
    for outcome in outcomes {
        let wrongs = &outcome.findings.wrongs;
        if wrongs.is_empty() {
            continue;
        }
        println!("{} FAILED (seed {}):", outcome.name, outcome.seed);
        for (number, what) in wrongs.iter().take(TOLD_MAX) {
            let of = number.map(|number| format!("message {number}: ")).unwrap_or_default();
            println!("  {of}{what}");
        }
        if wrongs.len() > TOLD_MAX {
            println!("  and {} more", wrongs.len() - TOLD_MAX);
        }
        if let Some(logs) = &outcome.logs {
            println!("  the messages' histories and the logs are in {}", logs.display());
        }
        let list: Vec<_> = outcome.faults.iter().map(|(name, _)| name.as_str()).collect();
        println!("  its faults: {}\n", list.join("; "));
    }
    if let Some(file) = &options.json {
        let all: Vec<_> = outcomes.iter().map(as_json).collect();
        let report = json!({ "seed": options.seed, "faults": options.faults, "runs": all });
        if let Err(error) = std::fs::write(file, format!("{report:#}\n")) {
            println!("cannot write {}: {error}", file.display());
        }
    }
}

/// Faults by kind: how many in each run, and the longest time until all was well again.
fn faults(outcomes: &[Outcome]) -> String {
    let mut kinds: BTreeMap<&str, (Vec<usize>, Duration)> = BTreeMap::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        for (name, recovery) in &outcome.faults {
            // Two at once are counted each.
            for name in name.split(" + ") {
                let fresh = || (vec![0; outcomes.len()], Duration::ZERO);
                let (counts, longest) = kinds.entry(name).or_insert_with(fresh);
                counts[index] += 1;
                *longest = (*longest).max(*recovery);
            }
        }
    }
    let mut text = format!("{:<42}", "faults");
    for outcome in outcomes {
        write!(text, " {:>10}", outcome.name).expect("a string takes all");
    }
    text += "  well again after at most\n";
    for (name, (counts, longest)) in kinds {
        write!(text, "{name:<42}").expect("a string takes all");
        for count in counts {
            write!(text, " {count:>10}").expect("a string takes all");
        }
        writeln!(text, " {:>8.1} s", longest.as_secs_f64()).expect("a string takes all");
    }
    text
}

/// The figures of each run.
fn figures(outcomes: &[Outcome]) -> String {
    let columns: Vec<_> = outcomes.iter().map(rows).collect();
    let mut text = format!("{:<42}", "");
    for outcome in outcomes {
        write!(text, " {:>10}", outcome.name).expect("a string takes all");
    }
    text.push('\n');
    for (index, (name, _)) in columns.first().into_iter().flatten().enumerate() {
        write!(text, "{name:<42}").expect("a string takes all");
        for column in &columns {
            write!(text, " {:>10}", column[index].1).expect("a string takes all");
        }
        text.push('\n');
    }
    text
}

fn rows(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let findings = &outcome.findings;
    let dead = |reason: &str| findings.dead_letters.get(reason).copied().unwrap_or_default();
    let all_dead: usize = findings.dead_letters.values().sum();
    let gap = findings.gap_min.map_or("none".to_owned(), |gap| format!("{} ms", gap / 1000));
    vec![
        ("RabbitMQ", outcome.version.clone()),
        ("minutes", format!("{:.1}", outcome.took.as_secs_f64() / 60.0)),
        ("faults", outcome.faults.len().to_string()),
        ("messages published", findings.published.to_string()),
        ("  confirmed by the broker", findings.confirmed.to_string()),
        ("requests", findings.requests.to_string()),
        ("  answered with success", findings.successes.to_string()),
        ("  probes without a message", findings.probes.to_string()),
        ("duplicates, the reply lost on its way", findings.duplicates_in_doubt.to_string()),
        ("duplicates, the session lost", findings.duplicates_of_sessions.to_string()),
        ("  at most due (a window for each)", findings.duplicates_max.to_string()),
        ("dead letters", all_dead.to_string()),
        ("  refused", dead("refused").to_string()),
        ("  attempts used up", dead("attempts").to_string()),
        ("  there twice", findings.doubled_dead_letters.to_string()),
        ("smallest gap between tries", gap),
        ("lost", findings.lost.to_string()),
        ("violations", findings.wrongs.len().to_string()),
    ]
}

fn as_json(outcome: &Outcome) -> Value {
    let findings = &outcome.findings;
    let faults: Vec<_> = outcome
        .faults
        .iter()
        .map(|(name, recovery)| json!({ "fault": name, "recovery_s": recovery.as_secs_f64() }))
        .collect();
    json!({
        "run": outcome.name,
        "rabbitmq": outcome.version,
        "seconds": outcome.took.as_secs(),
        "published": findings.published,
        "confirmed": findings.confirmed,
        "requests": findings.requests,
        "successes": findings.successes,
        "probes": findings.probes,
        "duplicates_in_doubt": findings.duplicates_in_doubt,
        "duplicates_of_sessions": findings.duplicates_of_sessions,
        "duplicates_max": findings.duplicates_max,
        "dead_letters": findings.dead_letters,
        "doubled_dead_letters": findings.doubled_dead_letters,
        "gap_min_us": findings.gap_min,
        "lost": findings.lost,
        "violations": findings.wrongs.iter().map(|(_, what)| what).collect::<Vec<_>>(),
        "faults": faults,
    })
}

/// Keeps what is known of a run beside the daemon's log: the broker's logs, and the history of
/// every message that something is wrong with or that is still open.
pub fn keep(world: &World, outcome: &Outcome) {
    let mut text = format!("seed {}, {}\n", outcome.seed, outcome.name);
    for (name, recovery) in &outcome.faults {
        writeln!(text, "fault: {name}, well after {recovery:.1?}").expect("a string takes all");
    }
    for window in world.record.lock().expect("never poisoned").told() {
        writeln!(text, "{window}").expect("a string takes all");
    }
    let pages = world.book.pages();
    let wrongs = &outcome.findings.wrongs;
    let about = wrongs.iter().filter_map(|(number, what)| Some(((*number)?, what.as_str())));
    let open = pages.open.iter().chain(&pages.open_doomed).map(|number| (*number, "still open"));
    for (number, what) in about.chain(open) {
        let entry = &pages.entries[number];
        writeln!(text, "message {number}: {what}; {:?}\n    {}", entry.plan, entry.history())
            .expect("a string takes all");
    }
    let written = std::fs::write(world.dir.join("histories.txt"), text);
    for result in [written, world.node.keep_logs(&world.dir)] {
        if let Err(error) = result {
            println!("cannot keep all logs in {}: {error}", world.dir.display());
        }
    }
}
