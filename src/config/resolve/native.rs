//! `retry.strategy = "native"`: the arguments that make a quorum queue delay what failed.

use std::time::Duration;

use toml::Spanned;

use super::Scope;
use super::retry::argument_span;
use crate::config::definition::{Argument, Declare, Source};
use crate::config::duration::Shown;
use crate::config::source_map::Span;
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
    let own = keys.delays.as_ref().map(Spanned::span);
    let own = own.filter(|span| !scope.is_inherited(span));
    match source.declare {
        Declare::Create => {}
        Declare::Passive | Declare::Skip => {
            if let Some(span) = own {
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
        rising(spec, own, delays, (*least, *most), scope);
    }
}

/// Whether the waits rise, and are what `delays` says.
fn rising(
    spec: &AgentSpec,
    own: Option<Span>,
    delays: &[Duration],
    (least, most): (i64, i64),
    scope: &mut Scope<'_, '_>,
) {
    let argued = argument_span(spec, MAX).or_else(|| argument_span(spec, MIN));
    let remedy = if argued.is_some() {
        "let `x-delayed-retry-max` be at least `x-delayed-retry-min`"
    } else {
        "let the last of `delays` be at least the first"
    };
    let span = argued.clone().or(own.clone()).unwrap_or(scope.start.clone());
    if least < 1 || most < least {
        scope.report.error(
            &span,
            format!("RabbitMQ refuses a delayed retry that begins with {least} ms and ends with {most} ms"),
            remedy,
        );
    } else if let (Some(span), None, [first, _, .., last]) = (own, argued, delays) {
        scope.report.warning(
            &span,
            format!(
                "RabbitMQ's own delayed retry waits {0}, then {0} longer each time, up to {1}, and knows no delays between",
                Shown(*first),
                Shown(*last)
            ),
            "give the first and the last, or use `strategy = \"queue\"`",
        );
    }
}
