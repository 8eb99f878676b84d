//! `check --online`: what `check` says, and then what the brokers say, of which nothing is changed.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{BAD_CONFIGURATION, FAILED, FINE};
use crate::audit::{self, Found, Weight, ask};
use crate::broker::{Ended, Inspection};
use crate::config::definition::{AgentDefinition, BrokerAddress};
use crate::config::{Environment, Paths, load, place};
use crate::tls;

/// The most agents that are checked at once.
const AGENTS_MAX: usize = 8;

/// Does what [`check`](super::check::check) does, then asks the brokers of each agent that is valid.
///
/// Credentials have to be there, since they are used. The exit code is [`BAD_CONFIGURATION`] for
/// what cannot work before somebody has changed something, else [`FAILED`] for a broker that cannot
/// be reached.
///
/// # Errors
///
/// When `out` cannot be written to, or the system gives no runtime.
pub(super) fn check(
    paths: &Paths,
    environment: &impl Environment,
    out: &mut impl Write,
) -> io::Result<u8> {
    let loaded = load(paths, environment);
    for problem in &loaded.problems {
        writeln!(out, "{problem}")?;
    }
    if loaded.main_file_is_broken {
        return Ok(BAD_CONFIGURATION);
    }
    let mut worst = if loaded.has_errors() { Verdict::CannotWork } else { Verdict::Fine };
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let agents = stream::iter(loaded.agents);
        let mut checked = agents.map(|agent| checked(agent, paths)).buffered(AGENTS_MAX);
        while let Some(lines) = checked.next().await {
            for line in lines {
                writeln!(out, "{line}")?;
                worst = worst.max(line.verdict);
            }
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(match worst {
        Verdict::Fine => FINE,
        Verdict::Unreachable => FAILED,
        Verdict::CannotWork => BAD_CONFIGURATION,
    })
}

/// What a line says of the whole, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Fine,
    Unreachable,
    CannotWork,
}

/// One line: `where: [warning: |note: ]problem; remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    place: String,
    weight: Weight,
    text: String,
    verdict: Verdict,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Error => "",
            Weight::Warning => "warning: ",
            Weight::Note => "note: ",
        };
        write!(formatter, "{}: {weight}{}", self.place, self.text)
    }
}

/// Asks each broker of an agent. What all of them say is said once.
async fn checked(agent: Arc<AgentDefinition>, paths: &Paths) -> Vec<Line> {
    let brokers = &agent.source.brokers;
    let mut refusals = Vec::new();
    let mut said: Vec<(Found, Vec<String>)> = Vec::new();
    let mut notes = BTreeSet::new();
    for address in brokers {
        let inspection = match Inspection::of(address, &agent).await {
            Ok(inspection) => inspection,
            Err(ended) => {
                refusals.push((address, ended));
                continue;
            }
        };
        let (facts, failure) = ask::facts(&agent, address, inspection.server.clone()).await;
        let found = audit::of_inspection(&agent, &inspection).into_iter();
        for found in found.chain(audit::audit(&agent, &facts)) {
            match said.iter_mut().find(|(known, _)| *known == found) {
                Some((_, at)) => at.push(shown(address)),
                None => said.push((found, vec![shown(address)])),
            }
        }
        notes.extend(failure);
    }
    let asked = brokers.len() - refusals.len();
    let mut lines: Vec<_> =
        refusals.iter().map(|(address, ended)| no_session(&agent, address, ended, asked)).collect();
    for (found, at) in said {
        let everywhere = at.len() == brokers.len();
        let at = if everywhere { String::new() } else { format!("at {}: ", at.join(", ")) };
        lines.push(found_line(&agent, paths, &found, &at));
    }
    for reason in notes {
        let text = format!(
            "the queue could not be looked up: {reason}; mend `management`, or what it names"
        );
        lines.push(line(general(&agent), Weight::Warning, text, Verdict::Fine));
    }
    lines
}

/// A broker at which the agent cannot begin. While there is another one to go to, one that may come
/// back by itself is only worth a warning.
fn no_session(
    agent: &AgentDefinition,
    address: &BrokerAddress,
    ended: &Ended,
    others: usize,
) -> Line {
    let needs_somebody = ended.needs_somebody();
    let (weight, verdict) = match (needs_somebody, others) {
        (true, _) => (Weight::Error, Verdict::CannotWork),
        (false, 0) => (Weight::Error, Verdict::Unreachable),
        (false, _) => (Weight::Warning, Verdict::Fine),
    };
    let remedy = if needs_somebody {
        "mend it, there or in `host`"
    } else {
        "see whether the broker runs, and whether `host` is right"
    };
    line(
        general(agent),
        weight,
        format!("no session at {}: {ended}; {remedy}", shown(address)),
        verdict,
    )
}

fn found_line(agent: &AgentDefinition, paths: &Paths, found: &Found, at: &str) -> Line {
    let finding = &found.finding;
    let mut keys = finding.keys().iter();
    let place = keys.find_map(|key| place::of(paths, &agent.file, key));
    let place = place.map_or_else(|| general(agent), |place| place.to_string());
    let weight = finding.weight();
    let verdict = match weight {
        Weight::Error => Verdict::CannotWork,
        Weight::Warning | Weight::Note => Verdict::Fine,
    };
    line(place, weight, format!("{at}{found}"), verdict)
}

fn line(place: String, weight: Weight, text: String, verdict: Verdict) -> Line {
    Line { place, weight, text, verdict }
}

/// Where no key is to blame.
fn general(agent: &AgentDefinition) -> String {
    format!("{}: agent {}", agent.file.display(), agent.name)
}

fn shown(address: &BrokerAddress) -> String {
    format!("{}:{}", address.host, address.port)
}
