//! What processes used, as the system tells it in `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use rustix::param::clock_ticks_per_second;

/// What a process and all its children have used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time of all threads, also of those that have ended.
    pub cpu_s: f64,
    pub resident_kib: u64,
    /// The most that was ever resident.
    pub peak_kib: u64,
}

/// What `pid` and the processes beneath it have used; nothing of one that is gone.
pub fn usage(pid: u32) -> Usage {
    let mut usage = Usage::default();
    for pid in tree(pid) {
        let proc = Path::new("/proc").join(pid.to_string());
        usage.cpu_s += cpu_s(&proc);
        let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
        usage.resident_kib += kib(&status, "VmRSS:");
        usage.peak_kib += kib(&status, "VmHWM:");
    }
    usage
}

/// The process and all beneath it.
fn tree(root: u32) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let proc = Path::new("/proc").join(format!("{pid}"));
        if let Some(parent) = stat_fields(&proc).get(1).and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut tree, mut open) = (HashSet::new(), vec![root]);
    while let Some(pid) = open.pop() {
        if tree.insert(pid) {
            open.extend(children.remove(&pid).unwrap_or_default());
        }
    }
    tree
}

/// The scheduler's own nanoseconds, but they know only threads that live. The ticks of the whole
/// process know all threads, and children that were waited for, but count in hundredths of a
/// second. Each is too low where the other is right.
fn cpu_s(proc: &Path) -> f64 {
    let fields = stat_fields(proc);
    let ticks = |index: usize| -> u64 {
        fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    let per_tick = 1.0 / clock_ticks_per_second() as f64;
    let own = (ticks(11) + ticks(12)) as f64 * per_tick;
    let waited_for = (ticks(13) + ticks(14)) as f64 * per_tick;
    own.max(scheduled_s(proc)) + waited_for
}

fn scheduled_s(proc: &Path) -> f64 {
    let tasks = fs::read_dir(proc.join("task")).into_iter().flatten().flatten();
    let ns: u64 = tasks
        .filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    ns as f64 / 1e9
}

/// The fields of `stat` behind the name, which may hold anything; the first is the state.
fn stat_fields(proc: &Path) -> Vec<String> {
    let text = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().map(str::to_owned).collect()
}

fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
