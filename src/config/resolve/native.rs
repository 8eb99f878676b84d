//! `retry.strategy = "native"`: the arguments that make a quorum queue delay what failed.

use std::time::Duration;

use toml::Spanned;

use super::Scope;
use super::retry::argument_span;
use crate::config::definition::{Argument, Declare, Source};
use crate::config::spec::{AgentSpec, RetrySpec};

const TYPE: &str = "x-delayed-retry-type";
const MIN: &str = "x-delayed-retry-min";
const MAX: &str = "x-delayed-retry-max";

/// Puts into the queue's arguments what the file leaves out of them. RabbitMQ waits for the first
/// of `delays`, then for twice that, three times, and at the most for the last.
pub(super) fn ask_for_delays(
    spec: &AgentSpec,
    keys: &RetrySpec,
    delays: &[Duration],
    source: &mut Source,
    scope: &mut Scope<'_, '_>,
) {
    let (Some(first), Some(last)) = (delays.first(), delays.last()) else {
        return;
    };
    match source.declare {
        Declare::Create => {}
        Declare::Passive | Declare::Skip => {
            let own = keys.delays.as_ref().map(Spanned::span);
            if let Some(span) = own.filter(|span| !scope.is_inherited(span)) {
                scope.report.warning(
                    &span,
                    "`delays` has no effect: a queue that is not declared here has its own delayed retry",
                    "remove it, and see to the queue's `x-delayed-retry-min` and `x-delayed-retry-max`",
                );
            }
            return;
        }
    }
    let arguments = &mut source.queue.arguments;
    arguments.entry(TYPE.to_owned()).or_insert_with(|| Argument::Text("failed".to_owned()));
    for (name, delay) in [(MIN, first), (MAX, last)] {
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        arguments.entry(name.to_owned()).or_insert(Argument::Integer(millis));
    }
    if let Some(Argument::Text(stated)) = arguments.get(TYPE)
        && !matches!(stated.as_str(), "failed" | "all")
    {
        let span = argument_span(spec, TYPE).unwrap_or(scope.start.clone());
        let shown = scope.report.quote(&span, stated);
        let problem = format!("with {shown} a message that failed comes again at once");
        scope.report.error(&span, problem, "set it to \"failed\"");
    }
    if let (Some(Argument::Integer(least)), Some(Argument::Integer(most))) =
        (arguments.get(MIN), arguments.get(MAX))
    {
        rising(spec, keys, delays, (*least, *most), scope);
    }
}

/// Whether the waits rise, and are what `delays` says.
fn rising(
    spec: &AgentSpec,
    keys: &RetrySpec,
    delays: &[Duration],
    (least, most): (i64, i64),
    scope: &mut Scope<'_, '_>,
) {
    let argued = argument_span(spec, MAX).or_else(|| argument_span(spec, MIN));
    let own = keys.delays.as_ref().map(Spanned::span);
    let remedy = if argued.is_some() {
        "let `x-delayed-retry-max` be at least `x-delayed-retry-min`, and that at least 1"
    } else {
        "let the last of `delays` be at least the first"
    };
    if least < 1 || most < least {
        scope.report.error(
            &argued.or(own).unwrap_or(scope.start.clone()),
            "RabbitMQ refuses a delayed retry whose last wait is shorter than its first, or no wait at all",
            remedy,
        );
    } else if let (Some(span), None, [_, _, .., _]) = (own, argued, delays)
        && !scope.is_inherited(&span)
    {
        scope.report.warning(
            &span,
            "RabbitMQ's own delayed retry waits for the first of these, then for that much longer each time, up to the last, and knows none between",
            "give the first and the last, or use `strategy = \"queue\"`",
        );
    }
}
