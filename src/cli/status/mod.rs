//! `status`: what the running daemon does, for people and for programs.

mod screen;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::ask::{self, Daemon, Unasked};
use super::{FAILED, FINE, WRONG_USAGE, say};
use crate::admin::client::{Place, Unheard};
use crate::admin::shown;
use crate::signals::Signals;
use screen::Screen;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this agent
    #[arg(value_name = "AGENT")]
    agent: Option<String>,
    /// Look again and again, every 2 s or as often as said; Ctrl-C ends it
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    watch: Option<u64>,
    /// Print what the daemon says, as JSON (GET /agents)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) const HELP: &str = "\
Columns:
  STATE       consuming, holding (a backend is unwell), paused, connecting, draining or stopped; since when
  FLIGHT      messages whose requests are under way, of those that may be held
  RATE        messages delivered a second, over the last minute
  OK          messages delivered since the daemon started
  FAILED      tries at a backend that failed, of whatever message
  DEAD        messages that were dead-lettered
  P50, P99    the time from request to reply, over the last minute

Examples:
  amqp-agentd status                  every agent
  amqp-agentd status --watch          the same, refreshed in place
  amqp-agentd status orders --json    one agent, with all that it counts

Exit codes: 0 every agent that is shown consumes or is paused, 1 one does not, or the daemon can't be
asked, 64 wrong usage or no such agent.";

/// What came of one look: what to show, and the exit code.
struct Look {
    text: String,
    code: u8,
    is_answer: bool,
}

/// Does what the command line says; returns the exit code.
pub(super) fn status(arguments: &Arguments) -> u8 {
    let done = arguments.daemon.place().and_then(|place| {
        ask::alone(async {
            let screen = Screen::new(arguments.watch.is_some() && !arguments.json);
            match arguments.watch {
                None => Ok(once(arguments, &place, &screen).await),
                Some(seconds) => {
                    watch(arguments, &place, screen, Duration::from_secs(seconds)).await
                }
            }
        })
    });
    done.unwrap_or_else(|Unasked(code)| code)
}

async fn once(arguments: &Arguments, place: &Place, screen: &Screen) -> u8 {
    let look = look(arguments, place, screen).await;
    if !look.is_answer {
        say(&look.text);
        return look.code;
    }
    // Where nobody reads, the exit code still tells.
    writeln!(io::stdout(), "{}", look.text).ok();
    look.code
}

/// Looks again and again until a signal, or until nobody reads; a daemon that is gone may come again.
async fn watch(
    arguments: &Arguments,
    place: &Place,
    mut screen: Screen,
    every: Duration,
) -> io::Result<u8> {
    let mut signals = Signals::hear()?;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_answered = false;
    loop {
        let look = async {
            ticks.tick().await;
            look(arguments, place, &screen).await
        };
        let look = tokio::select! {
            look = look => look,
            _ = signals.next() => return Ok(FINE),
        };
        was_answered |= look.is_answer;
        // An agent may go and come again; one that never was is a slip, such as `--watch 1`.
        if look.code == WRONG_USAGE && !was_answered {
            say(&look.text);
            return Ok(WRONG_USAGE);
        }
        let is_shown = if look.is_answer || screen.is_terminal() {
            screen.show(&look.text).is_ok()
        } else {
            say(&look.text);
            true
        };
        if !is_shown {
            return Ok(FAILED);
        }
    }
}

async fn look(arguments: &Arguments, place: &Place, screen: &Screen) -> Look {
    let agent = arguments.agent.as_deref();
    let path = match agent {
        Some(agent) => ask::agent_path(agent, ""),
        None => "/agents".to_owned(),
    };
    let seen = async {
        let answer = ask::get(place, &path).await?;
        if !answer.status.is_success() {
            let (code, text) = ask::refused(place, &answer, agent);
            return Ok(Look { text, code, is_answer: false });
        }
        let is_ready = match agent {
            Some(_) => ask::read::<shown::Agent>(place, &answer)?.condition.ready,
            None => is_ready(&ask::read(place, &answer)?),
        };
        let code = if is_ready { FINE } else { FAILED };
        let text = if arguments.json {
            String::from_utf8_lossy(&answer.body).into_owned()
        } else {
            // What is told of the daemon itself is with all of its agents.
            let whole = if agent.is_some() { ask::get(place, "/agents").await? } else { answer };
            let mut daemon: shown::Daemon = ask::read(place, &whole)?;
            daemon.agents.retain(|one| agent.is_none_or(|agent| one.condition.name == agent));
            table::text(&daemon, screen.width(), screen.has_colours())
        };
        Ok(Look { text, code, is_answer: true })
    };
    seen.await.unwrap_or_else(|unheard: Unheard| Look {
        text: unheard.to_string(),
        code: FAILED,
        is_answer: false,
    })
}

fn is_ready(daemon: &shown::Daemon) -> bool {
    !daemon.stopping && daemon.agents.iter().all(|agent| agent.condition.ready)
}
