//! The lines of a story: one for each request, with what follows from it.

use super::super::span::span;
use crate::agent::rehearsal::{Event, Said, Step, Story, Wait};
use crate::config::definition::AgentDefinition;
use crate::outcome::Outcome;

/// Probes in a row that bring the same are told one by one up to this number.
const PROBES_MAX: usize = 4;

/// The lines of `story`.
pub(super) fn lines(story: &Story, definition: &AgentDefinition) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // The probes of a row, and what they all bring.
    let (mut probes, mut same) = (0, String::new());
    for step in &story.steps {
        let text = text(step, definition);
        if !is_probe(&step.event) || text != same {
            end_row(&mut lines, probes);
            (probes, same) = (0, text.clone());
        }
        probes += usize::from(is_probe(&step.event));
        if probes > PROBES_MAX {
            continue;
        }
        match (follows(&step.event), lines.last_mut()) {
            (true, Some(last)) => {
                last.push_str("; ");
                last.push_str(&text);
            }
            (false, _) | (true, None) => lines.push(format!("{:>12}  {text}", span(step.at))),
        }
    }
    end_row(&mut lines, probes);
    lines
}

fn end_row(lines: &mut Vec<String>, probes: usize) {
    if probes > PROBES_MAX {
        lines.push(format!("{:>12}    {} more probes, the same", "…", probes - PROBES_MAX));
    }
}

fn is_probe(event: &Event) -> bool {
    matches!(event, Event::Tried { as_probe: true, .. } | Event::Asked(_))
}

/// What follows from a request stands in its line.
fn follows(event: &Event) -> bool {
    match event {
        Event::TryInPlace { .. }
        | Event::TryOn(_)
        | Event::Stuck(_)
        | Event::Requeue { .. }
        | Event::CopyTo { .. } => true,
        Event::Delivered { .. }
        | Event::Tried { .. }
        | Event::Asked(_)
        | Event::HoldBegan { .. }
        | Event::HoldEnded
        | Event::Released => false,
    }
}

fn text(step: &Step, definition: &AgentDefinition) -> String {
    match &step.event {
        Event::Delivered { number, redelivered } => {
            let again = if *redelivered { ", redelivered" } else { "" };
            format!("delivery {number}{again}")
        }
        Event::Tried { attempt, as_probe, said } => {
            let probe = if *as_probe { ", as a probe" } else { "" };
            format!("  request {attempt}{probe}: {}", all(said))
        }
        Event::Asked(said) => format!("  HEAD, without the message: {}", one(said)),
        Event::HoldBegan { backend, unreachable } => hold(backend, *unreachable, definition),
        Event::HoldEnded => "  the hold is over: messages are handed out again".to_owned(),
        Event::Released => {
            "  the hold lasts: the message goes back uncounted, and no more are asked for; then HEAD until the backend answers".to_owned()
        }
        Event::TryInPlace { wait, is_left_alone, in_doubt } => {
            let why = match (in_doubt, is_left_alone) {
                (true, _) => ", and not counted, since the backend may be at fault",
                (false, true) => ": all messages leave the backend alone that long",
                (false, false) => "",
            };
            format!("again in {}{why}", about(*wait))
        }
        Event::TryOn(wait) => {
            format!("failed: kept in the window, the next attempt in {}", about(*wait))
        }
        Event::Stuck(wait) => format!(
            "not to be tried again, but there is no dead-letter queue: kept, and tried on in {}",
            about(*wait)
        ),
        Event::Requeue { wait, counted, in_queue } => {
            let how = if *counted { "basic.reject" } else { "basic.nack, uncounted" };
            let kept = if wait.middle.is_zero() {
                String::new()
            } else {
                format!(" kept for {}, then", about(*wait))
            };
            let then = if in_queue.is_zero() {
                String::new()
            } else {
                format!(", where it waits for {}", span(*in_queue))
            };
            format!("failed:{kept} back to the queue ({how}){then}")
        }
        Event::CopyTo { queue, delay } => {
            format!("failed: a copy waits in {queue} for {}", span(*delay))
        }
    }
}

fn hold(backend: &str, unreachable: bool, definition: &AgentDefinition) -> String {
    let why = if unreachable { "cannot be reached" } else { "turns us away" };
    format!(
        "  hold: {backend} {why}, which is no fault of the message. No attempt is counted; nothing is sent but probes, after 1 s, 2 s, 4 s, … at most 30 s, until one is answered. After {} the window goes back",
        span(definition.hold_max)
    )
}

/// A wait; with a sign where chance moves it.
fn about(wait: Wait) -> String {
    format!("{}{}", if wait.is_moved() { "~" } else { "" }, span(wait.middle))
}

fn all(said: &[Said]) -> String {
    if said.is_empty() {
        return "no backend is left to tell".to_owned();
    }
    said.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn one(said: &Said) -> String {
    let aside = if said.required { "" } else { ", which decides nothing" };
    format!("{}: {} ({}{aside})", said.backend, said.reply, meaning(said.outcome))
}

fn meaning(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused => "refused",
        Outcome::TryAgain { few: true, .. } => "try again, though it seldom helps",
        Outcome::TryAgain { few: false, .. } => "try again",
        Outcome::Unwell { .. } => "the backend is unwell",
    }
}
