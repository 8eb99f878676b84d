//! `pause`, `resume`, `reload`: the running daemon does what it is told.

use std::io::{self, Write};

use super::ask::{self, Daemon, Unasked};
use super::{BAD_CONFIGURATION, FAILED, FINE, say};
use crate::admin::client::{Answer, Place, Unheard};
use crate::admin::problem::Problem;
use crate::admin::shown;

/// For `pause` and `resume`.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The agents
    #[arg(value_name = "AGENT", required_unless_present = "all")]
    agents: Vec<String>,
    /// Every agent
    #[arg(long, conflicts_with = "agents")]
    all: bool,
    /// Print each agent as JSON, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// For `reload`.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) const PAUSE_HELP: &str = "\
What is in flight is finished, and nothing more is handed out. Messages that the agent holds stay with
it, and go back to the queue after hold.release_after. A pause lasts until `resume`, also over a reload
that changes the agent; a restart of the daemon ends it. To pause twice is to pause once.

Example:
  amqp-agentd pause orders && systemctl restart orders-service && amqp-agentd resume orders

Exit codes: 0 done, 1 the daemon can't be asked, 64 wrong usage or no such agent.";

pub(super) const RESUME_HELP: &str = "\
The agent goes on where it was paused; one that is not paused is not touched.

Exit codes: 0 done, 1 the daemon can't be asked, 64 wrong usage or no such agent.";

pub(super) const RELOAD_HELP: &str = "\
The daemon reads its files again, as on SIGHUP: what is new starts, what changed is replaced, what is
gone stops, and a broken file leaves its agent as it runs. Its problems are printed, as `check` does.

Exit codes: 0 everything is as the files say, 1 the daemon can't be asked or is stopping, 64 wrong
usage, 78 a file is broken.";

/// Pauses or resumes; returns the exit code.
pub(super) fn pause(arguments: &Named, pause: bool) -> u8 {
    let work = |place: Place| async move { Ok(each(arguments, &place, pause).await) };
    run(&arguments.daemon, work)
}

/// Has the files read again; returns the exit code.
pub(super) fn reload(arguments: &Reload) -> u8 {
    let work = |place: Place| async move {
        Ok(match ask::post(&place, "/reload").await {
            Ok(answer) => reloaded(&place, &answer, arguments.json),
            Err(unheard) => unheard_of(&unheard),
        })
    };
    run(&arguments.daemon, work)
}

fn run<F: Future<Output = io::Result<u8>>>(daemon: &Daemon, work: impl FnOnce(Place) -> F) -> u8 {
    let done = daemon.place().and_then(|place| ask::alone(work(place)));
    done.unwrap_or_else(|Unasked(code)| code)
}

/// One after the other; the first failure decides the exit code, and does not spare the rest.
async fn each(arguments: &Named, place: &Place, pause: bool) -> u8 {
    let names = if arguments.all { every(place).await } else { Ok(arguments.agents.clone()) };
    let names = match names {
        Ok(names) => names,
        Err(code) => return code,
    };
    let mut worst = FINE;
    for name in names {
        let path = ask::agent_path(&name, if pause { "/pause" } else { "/resume" });
        let code = match ask::post(place, &path).await {
            Ok(answer) => told(place, &answer, &name, arguments.json),
            Err(unheard) => return unheard_of(&unheard),
        };
        if worst == FINE {
            worst = code;
        }
    }
    worst
}

/// The names of all agents; else the exit code.
async fn every(place: &Place) -> Result<Vec<String>, u8> {
    let answer = ask::get(place, "/agents").await.map_err(|unheard| unheard_of(&unheard))?;
    if !answer.status.is_success() {
        return Err(refused(place, &answer, None));
    }
    let daemon: shown::Daemon =
        ask::read(place, &answer).map_err(|unheard| unheard_of(&unheard))?;
    Ok(daemon.agents.into_iter().map(|agent| agent.condition.name).collect())
}

fn told(place: &Place, answer: &Answer, name: &str, json: bool) -> u8 {
    if !answer.status.is_success() {
        return refused(place, answer, Some(name));
    }
    if json {
        return print(&String::from_utf8_lossy(&answer.body));
    }
    match ask::read::<shown::Agent>(place, answer) {
        Ok(agent) => print(&outcome(&agent)),
        Err(unheard) => unheard_of(&unheard),
    }
}

/// What an agent does now, for a person who has just told it to.
fn outcome(agent: &shown::Agent) -> String {
    let shown::Condition { name, state, paused, .. } = &agent.condition;
    let more = match (paused, state.as_str(), agent.in_flight) {
        (true, "paused", 0) => ", nothing is in flight".to_owned(),
        (true, "paused", in_flight) => format!(", {in_flight} in flight are being finished"),
        (true, "stopped", _) => ", and pauses if a reload begins it again".to_owned(),
        (true, ..) => ", and pauses as soon as it has a session".to_owned(),
        (false, ..) => String::new(),
    };
    format!("{name}: {state}{more}")
}

fn reloaded(place: &Place, answer: &Answer, json: bool) -> u8 {
    if answer.status.is_success() {
        if json {
            return print(&String::from_utf8_lossy(&answer.body));
        }
        return match ask::read::<shown::Reload>(place, answer) {
            Ok(reload) => {
                reload.problems.iter().for_each(|problem| say(problem));
                print(&changes(&reload))
            }
            Err(unheard) => unheard_of(&unheard),
        };
    }
    let Ok(Problem { detail, reload: Some(reload), .. }) = ask::read(place, answer) else {
        return refused(place, answer, None);
    };
    if json {
        print(&serde_json::to_string(&reload).unwrap_or_default());
    } else {
        reload.problems.iter().for_each(|problem| say(problem));
        if reload.refused.is_none() {
            print(&changes(&reload));
        }
        say(&detail);
    }
    if reload.problems.is_empty() { FAILED } else { BAD_CONFIGURATION }
}

fn changes(reload: &shown::Reload) -> String {
    let shown::Reload { started, changed, stopped, unchanged, .. } = reload;
    format!(
        "reloaded: {started} started, {changed} changed, {stopped} stopped, {unchanged} unchanged"
    )
}

fn refused(place: &Place, answer: &Answer, agent: Option<&str>) -> u8 {
    let (code, text) = ask::refused(place, answer, agent);
    say(&text);
    code
}

fn unheard_of(unheard: &Unheard) -> u8 {
    say(&unheard.to_string());
    FAILED
}

fn print(text: &str) -> u8 {
    // Where nobody reads, the exit code still tells.
    writeln!(io::stdout(), "{text}").ok();
    FINE
}
