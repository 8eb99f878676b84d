//! All that `explain` shows, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::story::Tale;
use super::wire::Told;
use crate::agent::rehearsal::Supposed;
use crate::config::definition::{AgentDefinition, Dispatch};
use crate::delivery::Message;

/// Where a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A file, or standard input.
    File,
    /// The agent's queue.
    Queue,
    /// It is built in.
    Sample,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Queue => "queue",
            Self::Sample => "sample",
        }
    }
}

/// All that is shown.
pub struct Shown<'s> {
    /// The agent.
    pub definition: &'s AgentDefinition,
    /// The message.
    pub message: &'s Message,
    /// Where it is from.
    pub source: Source,
    /// What each backend is sent.
    pub told: Vec<Told>,
    /// What becomes of it, where replies were supposed.
    pub tale: Option<Tale<'s>>,
    /// What is to be known beside.
    pub notes: Vec<String>,
    /// The replies that were supposed.
    pub replies: &'s [(Option<String>, Supposed)],
}

impl Shown<'_> {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let definition = self.definition;
        let what = match self.source {
            Source::Queue => {
                format!("the first message of the queue {}", definition.source.queue.name)
            }
            Source::File => "the message of the file".to_owned(),
            Source::Sample => {
                "a built-in sample; --message FILE shows one of yours, --peek the queue's first"
                    .to_owned()
            }
        };
        let mut text = format!("# agent {}: {what}\n", definition.name);
        for note in &self.notes {
            writeln!(text, "# {note}").unwrap_or_default();
        }
        let count = self.told.len();
        if count > 1 {
            let how = match definition.dispatch {
                Dispatch::Parallel => "all at once",
                Dispatch::Sequential => {
                    "one after the other, up to the first required one that fails"
                }
            };
            writeln!(text, "# {count} backends are told, {how}").unwrap_or_default();
        }
        for (index, told) in self.told.iter().enumerate() {
            text.push('\n');
            text.push_str(&told.text(index + 1, count));
        }
        if let Some(tale) = &self.tale {
            write!(text, "\n{}\n\n{}", self.supposed(), tale.text()).unwrap_or_default();
        }
        text
    }

    fn supposed(&self) -> String {
        let replies: Vec<_> = self.replies.iter().map(reply_text).collect();
        match replies.as_slice() {
            [] => "What becomes of it:".to_owned(),
            [one] => format!("If every try is answered {one}:"),
            [first @ .., last] => {
                format!("If the tries are answered {}, and then always {last}:", first.join(", "))
            }
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let message = self.message;
        let mut json = json!({
            "agent": &*self.definition.name,
            "queue": self.definition.source.queue.name,
            "message": {
                "source": self.source.word(),
                "message_id": message.properties.message_id(),
                "exchange": message.exchange,
                "routing_key": message.routing_key,
                "redelivered": message.redelivered,
                "body_bytes": message.body.len(),
            },
            "requests": self.told.iter().map(Told::json).collect::<Vec<_>>(),
            "notes": self.notes,
        });
        if let Some(tale) = &self.tale {
            json["replies"] = self.replies.iter().map(reply_text).collect::<Vec<_>>().into();
            json["story"] = tale.json();
        }
        json
    }
}

fn reply_text((name, supposed): &(Option<String>, Supposed)) -> String {
    match name {
        Some(name) => format!("{name}={supposed}"),
        None => supposed.to_string(),
    }
}
