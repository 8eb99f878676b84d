//! What becomes of a message if its backends reply so, for people and for programs.

mod json;
mod lines;

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::span::span;
use crate::agent::rehearsal::{Ending, Endless, Event, Said, Story};
use crate::config::definition::{AgentDefinition, QueueType, RetryStrategy};
use crate::outcome::Outcome;
use json::{ending_json, millis, step_json};
use lines::lines;

/// Lines that are shown of the beginning and of the end of a long story.
const FIRST: usize = 60;
const LAST: usize = 12;

/// A story, and the agent that it is told of.
pub struct Tale<'t> {
    /// The agent.
    pub definition: &'t AgentDefinition,
    /// What becomes of the message.
    pub story: &'t Story,
}

impl Tale<'_> {
    /// For people: a line for each step, how it ends, and what is to be known beside.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = lines(self.story, self.definition);
        let mut text = String::new();
        let is_long = lines.len() > FIRST + LAST + 1;
        let left_out = if is_long { lines.len() - FIRST - LAST } else { 0 };
        for (index, line) in lines.iter().enumerate() {
            if is_long && index == FIRST {
                writeln!(text, "{:>12}  {left_out} lines like these; --json has all steps", "…")
                    .unwrap_or_default();
            }
            if !(is_long && (FIRST..FIRST + left_out).contains(&index)) {
                text.push_str(line);
                text.push('\n');
            }
        }
        writeln!(text, "\nIn the end: {}.", self.ending()).unwrap_or_default();
        for note in self.notes() {
            writeln!(text, "Note: {note}.").unwrap_or_default();
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let story = self.story;
        json!({
            "steps": story.steps.iter().map(step_json).collect::<Vec<_>>(),
            "ending": ending_json(&story.ending),
            "after_ms": millis(story.after),
            "deliveries": self.deliveries(),
            "requests": self.requests(),
            "summary": self.ending(),
            "notes": self.notes(),
        })
    }

    fn deliveries(&self) -> usize {
        self.count(|event| matches!(event, Event::Delivered { .. }))
    }

    fn requests(&self) -> usize {
        let steps = self.story.steps.iter();
        let said = steps.map(|step| match &step.event {
            Event::Tried { said, .. } => said.len(),
            Event::Delivered { .. }
            | Event::Asked(_)
            | Event::HoldBegan { .. }
            | Event::HoldEnded
            | Event::Released
            | Event::TryInPlace { .. }
            | Event::TryOn(_)
            | Event::Stuck(_)
            | Event::Requeue { .. }
            | Event::CopyTo { .. } => 0,
        });
        said.sum()
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.story.steps.iter().filter(|step| is(&step.event)).count()
    }

    /// How it is settled, and when.
    #[must_use]
    pub fn ending(&self) -> String {
        let what = match &self.story.ending {
            Ending::Delivered => "delivered: the message is acked".to_owned(),
            Ending::Acked => "acked after one try, since auto_ack is set".to_owned(),
            Ending::DeadLettered { exchange, routing_key, reason } => {
                let to = if exchange.is_empty() {
                    format!("the queue {routing_key}")
                } else {
                    format!("the exchange {exchange} with the routing key {routing_key}")
                };
                format!(
                    "dead-lettered (x-agent-reason: {reason}): a copy goes to {to}"
                )
            }
            Ending::Discarded => {
                "discarded, since nack_discard is set: to the queue's own dead-letter exchange, or gone"
                    .to_owned()
            }
            Ending::DeliveryLimit(limit) => format!(
                "ended by the broker: it came back more often than the queue's delivery limit of {limit} allows, and goes to the queue's own dead-letter exchange, or is gone"
            ),
            Ending::Never(why) => {
                return format!("never settled while the backend goes on like that: {}", endless(*why));
            }
            Ending::Cut => return "not told: the way is too long".to_owned(),
        };
        let (deliveries, requests) = (self.deliveries(), self.requests());
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let ies = if deliveries == 1 { "y" } else { "ies" };
        let after = span(self.story.after);
        let when = if self.story.after.is_zero() {
            "at once".to_owned()
        } else {
            format!("about {after} after the first delivery")
        };
        format!(
            "{what}; {when}, with {deliveries} deliver{ies} and {requests} request{}",
            s(requests)
        )
    }

    /// What is to be known beside.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let definition = self.definition;
        let (retry, source) = (&definition.retry, &definition.source);
        let mut notes = Vec::new();
        let is_moved = |event: &Event| match event {
            Event::TryInPlace { wait, .. }
            | Event::TryOn(wait)
            | Event::Stuck(wait)
            | Event::Requeue { wait, .. } => wait.is_moved(),
            Event::Delivered { .. }
            | Event::Tried { .. }
            | Event::Asked(_)
            | Event::HoldBegan { .. }
            | Event::HoldEnded
            | Event::Released
            | Event::CopyTo { .. } => false,
        };
        if self.count(is_moved) > 0 {
            notes.push("chance moves the waits with a ~ (retry.jitter); they are shown with chance in the middle, and so are those between probes".to_owned());
        }
        if self.count(|event| matches!(event, Event::CopyTo { .. })) > 0 {
            notes.push("a copy takes the message's place: only when the broker has confirmed it is the message itself acked".to_owned());
        }
        if self.fails_as_an_outage_would() && !source.auto_ack {
            notes.push(
                "this is one message alone. Where the backend fails five times in a row, and three messages or more, that is an outage: the agent holds, and no attempt is counted".to_owned(),
            );
        }
        let goes_back =
            self.count(|event| matches!(event, Event::Requeue { .. } | Event::Released));
        match source.queue.queue_type {
            Some(QueueType::Quorum) if goes_back > 0 => notes.push(
                "as with RabbitMQ since 4.3; before, a quorum queue counts each time that a message goes back, and since 4.0 it ends one after 20 unless it or a policy says otherwise".to_owned(),
            ),
            None if goes_back > 0 => notes.push(
                "`queue_type` is not set: the queue is taken for a classic one, which counts nothing".to_owned(),
            ),
            Some(QueueType::Classic | QueueType::Quorum | QueueType::Stream) | None => {}
        }
        if matches!(retry.strategy, RetryStrategy::Native) && goes_back > 0 {
            notes.push(
                "the waits in the queue are RabbitMQ's own delayed retry, which needs 4.3"
                    .to_owned(),
            );
        }
        notes.push("what a backend takes to answer comes on top of these times; a reply that does not come takes its timeout".to_owned());
        notes
    }

    fn fails_as_an_outage_would(&self) -> bool {
        let is_fault = |said: &Said| {
            said.required && matches!(said.outcome, Outcome::TryAgain { few: false, .. })
        };
        self.count(|event| matches!(event, Event::Tried { said, .. } if said.iter().any(is_fault)))
            > 0
    }
}

fn endless(why: Endless) -> &'static str {
    match why {
        Endless::Held => {
            "the agent holds; the message waits, uncounted, until the backend is well again, and is then delivered"
        }
        Endless::Stuck => {
            "there is no dead-letter queue, so it is kept and tried on; name one in [dead_letter]"
        }
        Endless::GoesRound => {
            "it goes back to its queue and comes again, at its backoff, and nothing counts that; another `retry.strategy`, or a quorum queue, would end it"
        }
    }
}

#[cfg(test)]
mod tests;
