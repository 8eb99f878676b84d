//! Where the instructions go: by crate and by function.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::callgrind::{ALLOCATOR, Costs};

/// Lines of a table.
const LINES_MAX: usize = 40;

/// How deep library functions call each other; their costs are handed on as often.
const DEPTH_MAX: usize = 30;

/// Who works for others: what is done here costs whoever asked for it.
const LIBRARIES: [&str; 4] = ["std", "core", "alloc", C_LIBRARY];

const C_LIBRARY: &str = "C library";

/// Prints what `messages` messages cost, each for one.
pub fn print(out: &mut impl Write, costs: &Costs, messages: u32) -> io::Result<()> {
    let total = costs.instructions().max(1);
    let mut table = |title: &str, rows: BTreeMap<&str, u64>| {
        writeln!(out, "\n{title}")?;
        for (name, count) in most(rows) {
            let (each, thousandths) = (count / u64::from(messages), count * 1000 / total);
            writeln!(out, "{each:>9} {:>3}.{} %  {name}", thousandths / 10, thousandths % 10)?;
        }
        Ok::<(), io::Error>(())
    };
    table("by crate, with what the standard and the C library do for it:", by_crate(costs))?;
    table("by function, without what it calls:", own(costs))?;
    table("by function, with what it calls:", with_callees(costs))?;
    writeln!(out, "\nwho allocates, times a message:")?;
    for (name, count) in most(callers(costs, &ALLOCATOR)) {
        let tenths = count * 10 / u64::from(messages);
        writeln!(out, "{:>7}.{}  {name}", tenths / 10, tenths % 10)?;
    }
    Ok(())
}

/// The first of a table, the largest first.
fn most(rows: BTreeMap<&str, u64>) -> Vec<(String, u64)> {
    let mut rows = rows.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let short = |name: &str| name.chars().take(120).collect::<String>();
    rows.into_iter().take(LINES_MAX).map(|(name, count)| (short(name), count)).collect()
}

fn own(costs: &Costs) -> BTreeMap<&str, u64> {
    costs.own.iter().map(|(name, own)| (name.as_str(), own.instructions)).collect()
}

/// Own costs and those of all calls. Where functions call each other in a circle it is counted more
/// than once.
fn with_callees(costs: &Costs) -> BTreeMap<&str, u64> {
    let mut sums = own(costs);
    for ((caller, callee), call) in &costs.calls {
        if caller != callee {
            *sums.entry(caller).or_default() += call.instructions;
        }
    }
    sums
}

fn callers<'a>(costs: &'a Costs, callees: &[&str]) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for ((caller, callee), call) in &costs.calls {
        if callees.contains(&callee.as_str()) && !costs.foreign.contains(caller) {
            *counts.entry(caller.as_str()).or_default() += call.count;
        }
    }
    counts
}

/// By the crate that a function belongs to. What a library function costs, and other library
/// functions for it, is divided among its callers by what their calls cost.
fn by_crate(costs: &Costs) -> BTreeMap<&str, u64> {
    let sums = with_callees(costs);
    let is_library = |function: &str| LIBRARIES.contains(&crate_of(costs, function));
    let share = |instructions: u64, part: u64, whole: u64| {
        let part =
            u128::from(instructions) * u128::from(part.min(whole)) / u128::from(whole.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    };
    let library = || own(costs).into_iter().filter(|(name, _)| is_library(name));
    let mut libraries = library().collect::<BTreeMap<_, _>>();
    let worth = |libraries: &BTreeMap<&str, u64>, callee: &str, instructions| {
        let part = libraries.get(callee).copied().unwrap_or_default();
        share(instructions, part, sums.get(callee).copied().unwrap_or_default())
    };
    for _ in 0..DEPTH_MAX {
        let mut next = library().collect::<BTreeMap<_, _>>();
        for ((caller, callee), call) in &costs.calls {
            if caller != callee && is_library(caller) && is_library(callee) {
                *next.entry(caller).or_default() += worth(&libraries, callee, call.instructions);
            }
        }
        libraries = next;
    }
    let mut crates = BTreeMap::new();
    for (name, instructions) in own(costs).into_iter().filter(|(name, _)| !is_library(name)) {
        *crates.entry(crate_of(costs, name)).or_default() += instructions;
    }
    for ((caller, callee), call) in &costs.calls {
        if !is_library(caller) && is_library(callee) {
            let instructions = worth(&libraries, callee, call.instructions);
            *crates.entry(crate_of(costs, caller)).or_default() += instructions;
        }
    }
    crates
}

/// The first word of a path such as `<http::header::HeaderMap<T> as core::fmt::Debug>::fmt`.
fn crate_of<'a>(costs: &Costs, function: &'a str) -> &'a str {
    if costs.foreign.contains(function) {
        return C_LIBRARY;
    }
    let path = function.trim_start_matches(['<', '&', '*', '(']);
    let path = ["dyn ", "mut ", "const "]
        .iter()
        .fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    path.split_once("::").map_or("std", |(first, _)| first)
}
