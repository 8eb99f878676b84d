//! The scenarios: each fills a table.

mod delay;
mod growth;
mod idle;
mod memory;
mod start;
mod turns;
mod versus;

use crate::Failure;
use crate::arguments::{Options, Scenario};
use crate::broker::Broker;
use crate::contestant::{Contestant, peers};
use crate::progress::Progress;
use crate::report::Report;

/// The loops of this program.
pub const LOOPS: [&str; 5] = ["floor", "plain", "each", "coalesced", "hyper"];

const WINDOW: u16 = 50;

/// What all scenarios have.
pub struct Ground<'a> {
    pub options: &'a Options,
    pub broker: &'a Broker,
}

/// Runs a scenario; one may make several tables.
pub fn run(scenario: Scenario, ground: &Ground) -> Result<Vec<Report>, Failure> {
    let report = match scenario {
        Scenario::Rate => versus::rate(ground),
        Scenario::Size => versus::size(ground),
        Scenario::Agents => versus::agents(ground),
        Scenario::Slow => versus::slow(ground),
        Scenario::Delay => delay::delay(ground),
        Scenario::Memory => memory::memory(ground),
        Scenario::Idle => idle::idle(ground),
        Scenario::Start => start::start(ground),
        Scenario::Growth => return growth::growth(ground),
        Scenario::All => {
            let all = Scenario::each().map(|one| run(one, ground));
            return Ok(all.collect::<Result<Vec<_>, _>>()?.concat());
        }
    };
    Ok(vec![report?])
}

impl Ground<'_> {
    /// Those that the command line names, or else `usual`; peers that can't be had here are told of
    /// and left out.
    pub fn contestants(&self, usual: &[&str]) -> Result<Vec<Contestant>, Failure> {
        let mut names: Vec<&str> = self.options.contestants.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.extend_from_slice(usual);
        }
        let peers = peers(&self.options.peers);
        let mut contestants = Vec::new();
        for name in names {
            if name == "daemon" {
                contestants.push(self.daemon()?);
            } else if let Some(name) = LOOPS.iter().find(|known| **known == name) {
                contestants.push(Contestant::Loop(name));
            } else if name == "peers" {
                contestants.extend(peers.iter().cloned());
            } else if let Some(peer) = peers.iter().find(|peer| peer.name() == name) {
                contestants.push(peer.clone());
            } else {
                return Err(format!("no such contestant: {name}").into());
            }
        }
        let progress = Progress::new("contestants", contestants.len());
        let mut ready = Vec::new();
        for contestant in contestants {
            progress.begin(contestant.name());
            match contestant.provision()? {
                None => ready.push(contestant),
                Some(why) => progress.end(&format!("{} is left out: {why}", contestant.name())),
            }
        }
        Ok(ready)
    }

    pub fn window(&self) -> u16 {
        self.options.window.unwrap_or(WINDOW)
    }

    /// What each setting ends with.
    pub fn setting(&self, rounds: usize) -> String {
        let release = &self.broker.release;
        format!("median (least–most) of {rounds} round(s); RabbitMQ {release}")
    }

    pub fn daemon(&self) -> Result<Contestant, Failure> {
        let program = &self.options.daemon;
        let absolute = program
            .canonicalize()
            .map_err(|error| format!("{}: {error}; build it first", program.display()))?;
        Ok(Contestant::Daemon(absolute))
    }
}
