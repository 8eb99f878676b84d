//! What is said of each agent, and of each of its backends.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue as all;
use super::metric::Metric;
use crate::agent::State;
use crate::broker::Ended;
use crate::desk::AgentView;
use crate::meters::{self, BOUNDS, BackendMeters, Class, Judged, Meters, Number};
use crate::settlement::Reason;

/// Up to which times requests are counted: the usual bounds of Prometheus' clients, and more at both
/// ends, for a service next door that answers within a millisecond and one that takes up to a minute.
const REQUEST_BOUNDS: [usize; 15] = places([
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
]);

/// Up to which delays messages are counted: from a second, since a `timestamp` is no finer, to a day,
/// since a message may have waited for a backend that long.
const DELAY_BOUNDS: [usize; 14] = places([
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_500_000_000,
    3_000_000_000,
    10_000_000_000,
    30_000_000_000,
    100_000_000_000,
]);

/// Where these microseconds stand in [`BOUNDS`]; what doesn't stand there doesn't compile.
const fn places<const COUNT: usize>(micros: [u64; COUNT]) -> [usize; COUNT] {
    let mut places = [0; COUNT];
    let (mut found, mut place) = (0, 0);
    while found < COUNT {
        if BOUNDS[place] == micros[found] {
            places[found] = place;
            found += 1;
        }
        place += 1;
    }
    places
}

/// What ends a session every day. Shown from the start, so that a rise from nothing is seen; other
/// causes from their first time on.
const USUAL_CAUSES: [&str; 3] = ["unreachable", "connection_closed", "lost"];

pub(super) fn encode(agents: &[AgentView], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    lives(agents, encoder)?;
    messages(agents, encoder)?;
    backends(agents, encoder)
}

fn lives(agents: &[AgentView], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut samples = all::STATE.gauge(encoder)?;
    for agent in agents {
        for state in STATES {
            samples.sample([name(agent), state], u64::from(state == word(&agent.state)))?;
        }
    }
    let mut samples = all::STATE_SINCE.gauge(encoder)?;
    for agent in agents {
        samples.time([name(agent)], agent.since)?;
    }
    counters(&all::PANICS, agents, |meters| &meters.panics, encoder)?;
    let mut samples = all::SESSIONS_ENDED.counter(encoder)?;
    for agent in agents {
        for (cause, ended) in Ended::CAUSES.iter().zip(&agent.meters.sessions_ended) {
            if ended.get() > 0 || USUAL_CAUSES.contains(cause) {
                samples.sample([name(agent), cause], ended.get())?;
            }
        }
    }
    for (metric, number) in [
        (&all::LAST_ALIVE, (|meters| &meters.last_alive) as fn(&Meters) -> &Number),
        (&all::LAST_RECEIVED, |meters| &meters.last_received),
    ] {
        let mut samples = metric.gauge(encoder)?;
        for agent in agents {
            if let Some(at) = meters::time(number(&agent.meters)) {
                samples.time([name(agent)], at)?;
            }
        }
    }
    Ok(())
}

fn messages(agents: &[AgentView], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    counters(&all::RECEIVED, agents, |meters| &meters.received, encoder)?;
    let mut samples = all::SETTLED.counter(encoder)?;
    for agent in agents {
        let meters = &agent.meters;
        for (kind, count) in [
            ("delivered", meters.delivered.get()),
            ("retried", meters.retried.get()),
            ("dead_lettered", meters.all_dead_lettered()),
            ("requeued", meters.requeued.get()),
            ("discarded", meters.discarded.get()),
        ] {
            samples.sample([name(agent), kind], count)?;
        }
    }
    counters(&all::ABANDONED, agents, |meters| &meters.abandoned, encoder)?;
    gauges(&all::HELD, agents, |agent| agent.meters.held.get(), encoder)?;
    gauges(&all::IN_FLIGHT, agents, |agent| agent.meters.in_flight.get(), encoder)?;
    gauges(&all::WINDOW, agents, |agent| agent.definition.source.prefetch_count.into(), encoder)?;
    gauges(&all::WORKERS, agents, |agent| agent.definition.workers.into(), encoder)?;
    let mut samples = all::DEAD_LETTERS.counter(encoder)?;
    for agent in agents {
        for (reason, count) in Reason::ALL.iter().zip(&agent.meters.dead_lettered) {
            samples.sample([name(agent), &reason.to_string()], count.get())?;
        }
    }
    counters(&all::IN_PLACE, agents, |meters| &meters.tried_in_place, encoder)?;
    let mut samples = all::DELAY.histogram(encoder)?;
    for agent in agents {
        let delay = agent.meters.delay.buckets();
        if delay.count() > 0 {
            samples.sample([name(agent)], &DELAY_BOUNDS, &delay)?;
        }
    }
    Ok(())
}

fn backends(agents: &[AgentView], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let backends = agents.iter().map(|agent| (name(agent), agent.meters.backends()));
    let backends: Vec<_> = backends.collect();
    let each = || backends.iter().flat_map(|(agent, all)| all.iter().map(move |one| (*agent, one)));
    let mut samples = all::REQUESTS.counter(encoder)?;
    for (agent, backend) in each() {
        for (class, by_outcome) in Class::ALL.iter().zip(&backend.requests) {
            for (judged, count) in Judged::ALL.iter().zip(by_outcome) {
                // Most of the others never happen; this one will.
                let is_usual = (*class, *judged) == (Class::Success, Judged::Delivered);
                if count.get() > 0 || is_usual {
                    let labels = [agent, &backend.name, class.text(), judged.text()];
                    samples.sample(labels, count.get())?;
                }
            }
        }
    }
    let mut samples = all::REQUEST_DURATION.histogram(encoder)?;
    for (agent, backend) in each() {
        let took = backend.took.buckets();
        if took.count() > 0 {
            samples.sample([agent, &backend.name], &REQUEST_BOUNDS, &took)?;
        }
    }
    for (metric, number) in [
        (&all::BREAKER_OPEN, (|one| &one.breaker_open) as fn(&BackendMeters) -> &Number),
        (&all::UNREACHABLE, |one| &one.unreachable),
    ] {
        let mut samples = metric.gauge(encoder)?;
        for (agent, backend) in each() {
            samples.sample([agent, &backend.name], number(backend).get())?;
        }
    }
    Ok(())
}

fn counters(
    metric: &'static Metric<1>,
    agents: &[AgentView],
    number: impl Fn(&Meters) -> &Number,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut samples = metric.counter(encoder)?;
    for agent in agents {
        samples.sample([name(agent)], number(&agent.meters).get())?;
    }
    Ok(())
}

fn gauges(
    metric: &'static Metric<1>,
    agents: &[AgentView],
    number: impl Fn(&AgentView) -> u64,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut samples = metric.gauge(encoder)?;
    for agent in agents {
        samples.sample([name(agent)], number(agent))?;
    }
    Ok(())
}

fn name(agent: &AgentView) -> &str {
    &agent.definition.name
}

const STATES: [&str; 6] = ["connecting", "consuming", "holding", "paused", "draining", "stopped"];

fn word(state: &State) -> &'static str {
    match state {
        State::Connecting => STATES[0],
        State::Consuming => STATES[1],
        State::Holding(_) => STATES[2],
        State::Paused => STATES[3],
        State::Draining => STATES[4],
        State::GaveUp(_) => STATES[5],
    }
}
