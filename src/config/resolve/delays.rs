//! `retry.delays`: the waits, and whether there is a place to wait in for so long.

use std::time::Duration;

use toml::Spanned;

use super::names::made_of_the_queues;
use super::retry::tries_again;
use super::{Limits, Scope, period};
use crate::config::definition::{RetryStrategy, Source};
use crate::config::duration::Shown;
use crate::config::spec::{AgentSpec, RetrySpec};
use crate::config::value::Period;
use crate::copies::names::delay_queue;
use crate::settlement::HELD_MAX;

const DAY: Duration = Duration::from_hours(24);

const DELAYS_MAX: usize = 100;

/// `delays`, of which there is one at least.
pub(super) fn delays(
    spec: &AgentSpec,
    keys: &RetrySpec,
    strategy: RetryStrategy,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) -> Vec<Duration> {
    let delays = match &keys.delays {
        Some(delays) => own_delays(delays, strategy, source, scope),
        None => [5, 30, 120, 600].map(Duration::from_secs).to_vec(),
    };
    if strategy == RetryStrategy::Queue {
        let names = delays.iter().map(|delay| delay_queue(&source.queue.name, *delay));
        if let Some(longest) = names.max_by_key(String::len) {
            let instead = "set `strategy = \"requeue\"` in [retry]";
            made_of_the_queues(spec, &longest, "a delay queue", instead, scope);
        }
    }
    delays
}

fn own_delays(
    delays: &Spanned<Vec<Spanned<Period>>>,
    strategy: RetryStrategy,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) -> Vec<Duration> {
    let limits =
        Limits { key: "delays", lowest: Duration::from_millis(1), highest: DAY, because: "" };
    if delays.get_ref().is_empty() || delays.get_ref().len() > DELAYS_MAX {
        scope.report.error(
            &delays.span(),
            format!("`delays` has {} entries", delays.get_ref().len()),
            format!("give 1 to {DELAYS_MAX}; the last repeats"),
        );
    }
    let mut durations = Vec::new();
    for delay in delays.get_ref().iter().take(DELAYS_MAX) {
        let Some(duration) = period(Some(delay), &limits, scope.report) else {
            continue;
        };
        durations.push(duration);
        match strategy {
            RetryStrategy::Queue | RetryStrategy::Native => {
                if duration.subsec_nanos() % 1_000_000 != 0 {
                    scope.report.error(
                        &delay.span(),
                        "`delays` is not in whole milliseconds, which is how a queue counts",
                        "round it",
                    );
                }
            }
            RetryStrategy::InPlace | RetryStrategy::Requeue => {
                if duration > HELD_MAX && tries_again(source) {
                    scope.report.warning(
                        &delay.span(),
                        format!("a message that is held waits {} at the most", Shown(HELD_MAX)),
                        format!("use `{}` or less, or `strategy = \"queue\"`", Shown(HELD_MAX)),
                    );
                }
            }
        }
    }
    durations
}
