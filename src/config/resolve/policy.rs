//! `[consumer]`, `[connection]`, `[hold]` and `[dispatch]`: numbers and words.

use std::time::Duration;

use toml::Spanned;

use super::{Limits, Scope, choice, number, period, whole};
use crate::backoff::Strategy;
use crate::config::definition::{Dispatch, Reconnect};
use crate::config::duration::Shown;
use crate::config::spec::AgentSpec;

/// A window that takes longer is at odds with RabbitMQ's `consumer_timeout` of 30 minutes, of which
/// tries in place and the wait for a requeue may take 10.
const WINDOW_MAX: Duration = Duration::from_mins(20);

const DAY: Duration = Duration::from_hours(24);

/// `consumer.workers`
pub(super) fn workers(spec: &AgentSpec, prefetch_count: u16, scope: &mut Scope<'_, '_>) -> u16 {
    const DEFAULT: u16 = 10;
    let key = spec.consumer.as_ref().and_then(|consumer| consumer.get_ref().workers.as_ref());
    let limits = Limits { key: "workers", lowest: 1, highest: 65_535, because: "" };
    let Some(workers) = whole(key, &limits, scope.report) else {
        return DEFAULT.min(prefetch_count);
    };
    if let Some(key) = key
        && workers > prefetch_count
    {
        scope.report.warning(
            &key.span(),
            format!("{workers} workers can never be busy: `prefetch_count` is {prefetch_count}"),
            "raise `prefetch_count` or lower `workers`",
        );
    }
    workers
}

/// `consumer.max_rate`
pub(super) fn max_rate(
    spec: &AgentSpec,
    prefetch_count: u16,
    scope: &mut Scope<'_, '_>,
) -> Option<f64> {
    let key = spec.consumer.as_ref().and_then(|consumer| consumer.get_ref().max_rate.as_ref());
    let limits =
        Limits { key: "max_rate", lowest: 0.0, highest: 1e6, because: ", where 0 is no limit" };
    let rate = number(key, &limits, scope.report)?;
    if let Some(key) = key
        && rate > 0.0
        && rate < 1.0 / 3600.0
    {
        scope.report.spoil(
            &key.span(),
            "`max_rate` is less than one message an hour",
            "use a higher rate, or 0 for no limit",
        );
    } else if let Some(key) = key
        && rate > 0.0
        && f64::from(prefetch_count) / rate > WINDOW_MAX.as_secs_f64()
    {
        scope.report.warning(
            &key.span(),
            format!(
                "at this rate a window of {prefetch_count} lasts for more than {}, and RabbitMQ takes a message back after 30 minutes",
                Shown(WINDOW_MAX)
            ),
            "lower `prefetch_count` or use a higher rate",
        );
    }
    (rate > 0.0).then_some(rate)
}

/// `[connection]`
pub(super) fn reconnect(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> Reconnect {
    let spec = spec.connection.as_ref().map(Spanned::get_ref);
    let max_retries = Limits {
        key: "max_retries",
        lowest: 0,
        highest: i64::from(u32::MAX),
        because: ", where 0 is for ever",
    };
    let retries: Option<u32> =
        whole(spec.and_then(|spec| spec.max_retries.as_ref()), &max_retries, scope.report);
    let strategy = spec.and_then(|spec| {
        choice(spec.backoff_strategy.as_ref(), "backoff_strategy", &Strategy::NAMES, scope.report)
    });
    let health_interval = Limits {
        key: "health_interval",
        lowest: Duration::from_secs(1),
        highest: DAY,
        because: "",
    };
    let health_interval =
        period(spec.and_then(|spec| spec.health_interval.as_ref()), &health_interval, scope.report);
    Reconnect {
        max_retries: retries.filter(|retries| *retries > 0),
        strategy: strategy.unwrap_or(Strategy::ExponentialJitter),
        health_interval: health_interval.unwrap_or(Duration::from_secs(10)),
    }
}

/// `hold.release_after`
pub(super) fn hold_max(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> Duration {
    let key = spec.hold.as_ref().and_then(|hold| hold.get_ref().release_after.as_ref());
    let limits = Limits {
        key: "release_after",
        lowest: Duration::from_secs(1),
        highest: Duration::from_mins(10),
        because: ", a third of RabbitMQ's consumer_timeout",
    };
    period(key, &limits, scope.report).unwrap_or(Duration::from_mins(5))
}

/// `[dispatch]`
pub(super) fn dispatch(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> Dispatch {
    const MODES: [(&str, Dispatch); 2] =
        [("parallel", Dispatch::Parallel), ("sequential", Dispatch::Sequential)];
    let mode = spec.dispatch.as_ref().and_then(|dispatch| {
        choice(dispatch.get_ref().mode.as_ref(), "mode", &MODES, scope.report)
    });
    mode.unwrap_or(Dispatch::Parallel)
}
