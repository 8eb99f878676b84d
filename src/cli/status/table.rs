//! The daemon and its agents as a table for people: pure.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::admin::moment::Moment;
use crate::admin::shown::{Agent, Daemon};

const HEADER: [&str; 12] = [
    "AGENT",
    "STATE",
    "SINCE",
    "QUEUE",
    "FLIGHT",
    "RATE",
    "OK",
    "FAILED",
    "DEAD",
    "P50",
    "P99",
    "LAST ERROR",
];

/// The columns that are numbers.
const RIGHT: std::ops::RangeInclusive<usize> = 4..=10;

/// What to show: lines of at most `width` characters, without an end of line at the end.
pub(super) fn text(daemon: &Daemon, width: Option<usize>, colours: bool) -> String {
    let mut lines = head(daemon);
    if daemon.agents.is_empty() {
        lines.push("no agents".to_owned());
    } else {
        lines.push(String::new());
        let first = lines.len();
        lines.extend(rows(daemon));
        let reasons = daemon.agents.iter().filter_map(reason).collect::<Vec<_>>();
        if !reasons.is_empty() {
            lines.push(String::new());
            lines.extend(reasons);
        }
        cut(&mut lines, width);
        if colours {
            lines[first] = painted(&lines[first], BOLD);
            for (line, agent) in lines[first + 1..].iter_mut().zip(&daemon.agents) {
                *line = with_state_painted(line, agent);
            }
        }
        return lines.join("\n");
    }
    cut(&mut lines, width);
    lines.join("\n")
}

/// What there is to say of the daemon itself.
fn head(daemon: &Daemon) -> Vec<String> {
    let since = |moment: Moment| age(moment.until(daemon.now));
    let loaded = &daemon.loaded;
    let mut line = format!(
        "amqp-agentd {}, pid {}, up {}",
        plain(&daemon.version),
        daemon.pid,
        since(daemon.started)
    );
    if daemon.reloads.total > 0 {
        write!(line, ", reloaded {} ago", since(loaded.at)).ok();
    }
    if daemon.stopping {
        line.push_str(", stopping");
    }
    let trouble = match &loaded.refused {
        Some(why) => Some(format!("the last reload was refused: {}", plain(why))),
        None if loaded.broken_files > 0 => {
            let files = if loaded.broken_files == 1 { "file is" } else { "files are" };
            Some(format!("{} {files} broken: amqp-agentd reload tells why", loaded.broken_files))
        }
        None => None,
    };
    [Some(line), trouble].into_iter().flatten().collect()
}

fn rows(daemon: &Daemon) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADER);
    for agent in &daemon.agents {
        table.add_row(row(agent, daemon.now));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if RIGHT.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn row(agent: &Agent, now: Moment) -> [String; HEADER.len()] {
    let counts = &agent.counts;
    let requests = agent.backends.iter().flat_map(|backend| backend.requests.values()).flatten();
    let failed = requests.filter(|(judged, _)| *judged != "delivered").map(|(_, count)| count);
    let error = agent
        .last_error
        .as_ref()
        .map(|error| format!("{} ago: {}", age(error.at.until(now)), plain(&error.text)));
    [
        plain(&agent.condition.name),
        plain(&agent.condition.state),
        age(agent.condition.since.until(now)),
        plain(&agent.queue),
        format!("{}/{}", agent.in_flight, agent.window),
        format!("{:.1}/s", agent.rate.delivered),
        counts.delivered.to_string(),
        failed.sum::<u64>().to_string(),
        counts.dead_lettered.values().sum::<u64>().to_string(),
        agent.p50_ms.map_or("-".to_owned(), took),
        agent.p99_ms.map_or("-".to_owned(), took),
        error.unwrap_or_else(|| "-".to_owned()),
    ]
}

/// Why an agent does not consume, or will not for long.
fn reason(agent: &Agent) -> Option<String> {
    let condition = &agent.condition;
    let name = plain(&condition.name);
    match (&condition.reason, condition.paused) {
        (Some(reason), _) => {
            let held = match (condition.state.as_str(), agent.held) {
                ("holding", 1) => " 1 message".to_owned(),
                ("holding", held) if held > 1 => format!(" {held} messages"),
                _ => String::new(),
            };
            Some(format!("{name} {}{held}: {}", plain(&condition.state), plain(reason)))
        }
        (None, true) => Some(format!("{name} is paused by a person: amqp-agentd resume {name}")),
        (None, false) => None,
    }
}

/// A time in its two largest units at most: `42s`, `18m`, `2h10m`, `5d3h`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d{}h", hours % 24),
    }
}

/// Milliseconds, as exactly as a person wants them.
fn took(millis: f64) -> String {
    if millis < 9.95 {
        format!("{millis:.1}ms")
    } else if millis < 999.5 {
        format!("{millis:.0}ms")
    } else {
        format!("{:.1}s", millis / 1e3)
    }
}

/// A text of others, in one line: what would move the cursor, or worse, is a space.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Shortens each line to `width`; a character beyond ASCII may take two places.
fn cut(lines: &mut [String], width: Option<usize>) {
    let Some(width) = width else { return };
    for line in lines {
        let places = |character: char| if character.is_ascii() { 1 } else { 2 };
        if line.chars().map(places).sum::<usize>() <= width {
            continue;
        }
        let mut left = width.saturating_sub(1);
        let kept: String = line
            .chars()
            .take_while(|character| {
                let fits = places(*character) <= left;
                left = left.saturating_sub(places(*character));
                fits
            })
            .collect();
        *line = kept + "…";
    }
}

const BOLD: &str = "1";

fn painted(text: &str, colour: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// The line of an agent with its state in the state's colour.
fn with_state_painted(line: &str, agent: &Agent) -> String {
    let colour = match agent.condition.state.as_str() {
        "consuming" => "32",
        "paused" => "36",
        "stopped" => "31",
        _ => "33",
    };
    let state = plain(&agent.condition.state);
    match line.split_at_checked(agent.condition.name.len()) {
        Some((name, rest)) => {
            format!("{name}{}", rest.replacen(&state, &painted(&state, colour), 1))
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
