//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the way of a message from queue to backend, against a hand-written loop and others.
#[derive(Debug, Parser)]
#[command(name = "forward", after_help = AFTER)]
pub struct Options {
    /// What to measure
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Directory of a broker that scripts/broker started
    #[arg(long, value_name = "DIR")]
    pub broker: PathBuf,
    /// The daemon
    #[arg(long, value_name = "FILE", default_value = "target/release/amqp-agentd")]
    pub daemon: PathBuf,
    /// Folder of the peers
    #[arg(long, value_name = "DIR", default_value = "benches/peers")]
    pub peers: PathBuf,
    /// Who takes part: daemon, a loop, a peer, or `peers` for all of these; each scenario has its own
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub contestants: Vec<String>,
    /// Rounds, in each of which every contestant has its turn
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Messages of each turn
    #[arg(long, value_name = "N")]
    pub messages: Option<u64>,
    /// Messages a second, of `delay`
    #[arg(long, value_name = "N")]
    pub rate: Option<u64>,
    /// Agents, of `idle` and `start`
    #[arg(long, value_name = "N")]
    pub agents: Option<usize>,
    /// The window: unsettled messages of each queue
    #[arg(long, value_name = "N")]
    pub window: Option<u16>,
    /// All in a few minutes: fewer messages and rounds; figures are rough
    #[arg(long)]
    pub quick: bool,
    /// Writes every figure of every round to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draws a chart of each scenario into this directory
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Small messages, one queue
    Rate,
    /// Messages of 16 KiB
    Size,
    /// Ten queues at once
    Agents,
    /// One reply in a hundred comes 200 ms late
    Slow,
    /// From publishing to the backend's receipt, at a tenth of the top rate
    Delay,
    /// What is resident, with one busy agent and with a window full of large messages
    Memory,
    /// A thousand agents that have nothing to do
    Idle,
    /// A thousand agents, until all of them consume
    Start,
    /// The daemon with more agents, larger windows, more backends
    Growth,
    /// All of them
    All,
}

impl Scenario {
    /// Each but the one that means all.
    pub fn each() -> impl Iterator<Item = Scenario> {
        Scenario::value_variants().iter().copied().filter(|one| *one != Scenario::All)
    }
}

impl Options {
    /// What is to be measured, in the order of the command line.
    pub fn scenarios(&self) -> Vec<Scenario> {
        if self.scenarios.contains(&Scenario::All) {
            return Scenario::each().collect();
        }
        self.scenarios.clone()
    }

    /// So many rounds, unless the command line says otherwise.
    pub fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual }).max(1)
    }

    /// So many messages, unless the command line says otherwise.
    pub fn messages(&self, usual: u64) -> u64 {
        self.messages.unwrap_or(if self.quick { usual / 4 } else { usual }).max(100)
    }
}

const AFTER: &str = "Loops: floor (hand-written), plain (amqprs and reqwest, several threads, acks \
each), each (one thread, acks each), coalesced (one thread, acks many at once), hyper (as coalesced, \
but hyper's own connections). scripts/bench builds all and starts a broker.";
