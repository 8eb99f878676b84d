//! `[retry]`: how often and when a message that failed is tried again, and where it waits.

use std::time::Duration;

use toml::Spanned;

use super::delays::delays;
use super::names::queue_span;
use super::{Limits, Scope, choice, native, number, period, whole};
use crate::config::definition::{Argument, Declare, QueueType, RetryPolicy, RetryStrategy, Source};
use crate::config::source_map::Span;
use crate::config::spec::{AgentSpec, AmqpSpec, Key, RetrySpec};

const STRATEGIES: [(&str, RetryStrategy); 4] = [
    ("queue", RetryStrategy::Queue),
    ("native", RetryStrategy::Native),
    ("in_place", RetryStrategy::InPlace),
    ("requeue", RetryStrategy::Requeue),
];

/// `[retry]`. The delayed retry of RabbitMQ is put into the queue's arguments where that is the strategy.
pub(super) fn retry(
    spec: &AgentSpec,
    source: &mut Source,
    scope: &mut Scope<'_, '_>,
) -> RetryPolicy {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    let nothing = RetrySpec::default();
    let keys = spec.retry.as_ref().map_or(&nothing, |retry| &**retry.get_ref());
    let attempts = Limits { key: "attempts", lowest: 1, highest: 1000, because: "" };
    let in_place = Limits { key: "in_place", lowest: 0, highest: 100, because: "" };
    let jitter = Limits { key: "jitter", lowest: 0.0, highest: 1.0, because: "" };
    let max_age =
        Limits { key: "max_age", lowest: Duration::from_secs(1), highest: YEAR, because: "" };
    let strategy = strategy(spec, keys, source, scope);
    let policy = RetryPolicy {
        attempts: whole(keys.attempts.as_ref(), &attempts, scope.report).unwrap_or(10),
        in_place: whole(keys.in_place.as_ref(), &in_place, scope.report).unwrap_or(2),
        delays: delays(spec, keys, strategy, source, scope),
        max_age: period(keys.max_age.as_ref(), &max_age, scope.report),
        jitter: number(keys.jitter.as_ref(), &jitter, scope.report).unwrap_or(0.2),
        strategy,
    };
    if strategy == RetryStrategy::Native {
        native::ask_for_delays(spec, keys, &policy.delays, source, scope);
    }
    if tries_again(source) {
        delivery_limit(spec, keys, &policy, source, scope);
    }
    policy
}

/// Whether a message that failed is tried again at all, or copied.
pub(super) fn tries_again(source: &Source) -> bool {
    !source.nack_discard && !source.auto_ack
}

/// Whether what stands at `span` is inherited, and the agent's own word is that nothing is tried
/// again: that wins.
pub(super) fn gives_way(
    spec: &AgentSpec,
    span: &Span,
    source: &Source,
    scope: &Scope<'_, '_>,
) -> bool {
    let amqp = spec.amqp.as_ref().map(|amqp| &**amqp.get_ref());
    let of = |key: fn(&AmqpSpec) -> &Key<bool>| amqp.and_then(|amqp| key(amqp).as_ref());
    let key =
        if source.auto_ack { of(|amqp| &amqp.auto_ack) } else { of(|amqp| &amqp.nack_discard) };
    let is_own = key.is_some_and(|key| !scope.is_inherited(&key.span()));
    !tries_again(source) && is_own && scope.is_inherited(span)
}

fn strategy(
    spec: &AgentSpec,
    keys: &RetrySpec,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) -> RetryStrategy {
    let is_stream = source.queue.queue_type == Some(QueueType::Stream);
    let default = match source.declare {
        _ if is_stream => RetryStrategy::InPlace,
        Declare::Create if tries_again(source) => RetryStrategy::Queue,
        Declare::Create | Declare::Passive | Declare::Skip => RetryStrategy::Requeue,
    };
    let stated = choice(keys.strategy.as_ref(), "strategy", &STRATEGIES, scope.report);
    let (Some(strategy), Some(key)) = (stated, &keys.strategy) else {
        return default;
    };
    let mut span = key.span();
    if gives_way(spec, &span, source, scope) || (is_stream && scope.is_inherited(&span)) {
        return default;
    }
    if scope.is_inherited(&span) && tries_again(source) {
        // What is at odds with it is this agent's queue.
        span = queue_span(spec, scope);
    }
    if source.nack_discard {
        scope.report.error(
            &span,
            "`strategy` contradicts `nack_discard`, which discards what would be tried again",
            "remove one of them",
        );
    } else if source.auto_ack {
        scope.report.warning(
            &span,
            "`strategy` has no effect: with `auto_ack` nothing is tried again",
            "remove one of them",
        );
        return default;
    } else if is_stream && strategy != RetryStrategy::InPlace {
        scope.report.error(
            &span,
            "nothing can be put back into a stream: a message would come again behind all others, for every reader",
            "use `in_place`",
        );
    } else if strategy == RetryStrategy::Queue && source.queue.name.starts_with("amq.") {
        scope.report.error(
            &span,
            "`strategy = \"queue\"` has to declare delay queues named after this one, and names that start with `amq.` are the broker's",
            "use `requeue` or `in_place`",
        );
    } else if strategy == RetryStrategy::Native
        && source.queue.queue_type != Some(QueueType::Quorum)
    {
        scope.report.error(
            &span,
            "`strategy = \"native\"` is for quorum queues: no other has a delayed retry of its own",
            "set `queue_type = \"quorum\"` in [\"async/amqp\"], or use another strategy",
        );
    }
    strategy
}

/// Warns of a broker that takes a message away before its attempts are used up.
fn delivery_limit(
    spec: &AgentSpec,
    keys: &RetrySpec,
    policy: &RetryPolicy,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) {
    /// What RabbitMQ has had since 4.0 for a quorum queue that states none.
    const DEFAULT: i64 = 20;
    match policy.strategy {
        RetryStrategy::Native | RetryStrategy::Requeue => {}
        RetryStrategy::Queue | RetryStrategy::InPlace => return,
    }
    let attempts = policy.attempts;
    let (span, problem, raise) = match source.queue.arguments.get("x-delivery-limit") {
        Some(Argument::Integer(limit)) if (0..i64::from(attempts)).contains(limit) => {
            let problem = format!(
                "a delivery limit of {limit} ends a message before its {attempts} attempts do"
            );
            (argument_span(spec, "x-delivery-limit"), problem, "raise it")
        }
        None if source.queue.queue_type == Some(QueueType::Quorum)
            && source.declare == Declare::Create
            && i64::from(attempts) > DEFAULT =>
        {
            let problem = format!(
                "RabbitMQ ends a message of a quorum queue after {DEFAULT} deliveries unless told otherwise"
            );
            let raise = "set `x-delivery-limit` in `arguments`";
            (keys.attempts.as_ref().map(Spanned::span), problem, raise)
        }
        None | Some(Argument::Integer(_) | Argument::Boolean(_) | Argument::Text(_)) => return,
    };
    scope.report.warning(
        &span.unwrap_or(scope.start.clone()),
        problem,
        format!("{raise} to well above {attempts}, or lower `attempts`"),
    );
}

/// Where the value of the queue's argument `name` stands.
pub(super) fn argument_span(spec: &AgentSpec, name: &str) -> Option<Span> {
    let arguments = spec.amqp.as_ref()?.get_ref().arguments.as_ref()?;
    let mut arguments = arguments.get_ref().iter();
    arguments.find(|(known, _)| known.get_ref() == name).map(|(_, value)| value.span())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::definition::AgentDefinition;
    use crate::config::load_agent_text;
    use crate::config::tests::{NoEnvironment, agent_text};

    fn agent(amqp_keys: &str, keys: &str) -> AgentDefinition {
        let text = format!("{}[retry]\n{keys}\n", agent_text(amqp_keys));
        let (definition, problems) =
            load_agent_text(Path::new("orders.toml"), &text, &NoEnvironment);
        definition.unwrap_or_else(|| panic!("{problems:?}"))
    }

    #[test]
    fn a_message_waits_in_a_queue_where_one_may_be_declared() {
        for (amqp_keys, keys, strategy) in [
            ("", "", RetryStrategy::Queue),
            ("queue_type = \"quorum\"", "", RetryStrategy::Queue),
            ("queue_type = \"stream\"", "", RetryStrategy::InPlace),
            ("declare = \"passive\"", "", RetryStrategy::Requeue),
            ("declare = \"skip\"", "", RetryStrategy::Requeue),
            ("declare = \"passive\"", "strategy = \"queue\"", RetryStrategy::Queue),
            ("", "strategy = \"IN_PLACE\"", RetryStrategy::InPlace),
            ("", "strategy = \"requeue\"", RetryStrategy::Requeue),
            ("nack_discard = true", "", RetryStrategy::Requeue),
            ("auto_ack = true", "", RetryStrategy::Requeue),
        ] {
            let retry = agent(amqp_keys, keys).retry;
            assert_eq!(retry.strategy, strategy, "{amqp_keys} {keys}");
        }
    }

    #[test]
    fn attempts_and_age_are_limits() {
        let retry = agent("", "").retry;
        assert_eq!((retry.attempts, retry.max_age), (10, None));
        let retry = agent("", "attempts = 3\nmax_age = \"2d\"").retry;
        assert_eq!((retry.attempts, retry.max_age), (3, Some(Duration::from_hours(48))));
    }

    #[test]
    fn a_native_retry_is_asked_for_by_the_queues_arguments() {
        let integer = Argument::Integer;
        let native = "strategy = \"native\"\ndelays = [\"2s\", \"1m\"]";
        let arguments = |keys: &str| {
            let agent = agent(&format!("queue_type = \"quorum\"\n{keys}"), native);
            assert_eq!(agent.retry.strategy, RetryStrategy::Native);
            let arguments = agent.source.queue.arguments.into_iter();
            arguments.map(|(name, value)| (name.replace("x-delayed-retry-", ""), value)).collect()
        };
        let failed = ("type".to_owned(), Argument::Text("failed".to_owned()));
        let made: Vec<_> = arguments("");
        let limits = [("max".to_owned(), integer(60_000)), ("min".to_owned(), integer(2_000))];
        assert_eq!(made, [&limits[..], std::slice::from_ref(&failed)].concat());
        let stated: Vec<_> = arguments("arguments = { x-delayed-retry-max = 5000 }");
        let limits = [("max".to_owned(), integer(5_000)), ("min".to_owned(), integer(2_000))];
        assert_eq!(stated, [&limits[..], &[failed]].concat(), "what the file states is kept");
        let passive: Vec<(String, Argument)> = arguments("declare = \"passive\"");
        assert_eq!(passive, [], "a queue that is not declared here keeps its own");
    }
}
