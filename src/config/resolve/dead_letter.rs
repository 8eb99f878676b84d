//! `[dead_letter]`: where the copy of a message goes that is not tried again.

use toml::Spanned;

use super::names::{made_of_the_queues, queue_span};
use super::retry::{argument_span, gives_way, tries_again};
use super::{Scope, loops, short_string};
use crate::config::definition::{Argument, DeadLetter, Declare, RetryPolicy, Source};
use crate::config::source_map::Span;
use crate::config::spec::{AgentSpec, DeadLetterSpec, Key};
use crate::copies::names::dead_letter_queue;

/// `[dead_letter]`; `None` makes no copies.
pub(super) fn dead_letter(
    spec: &AgentSpec,
    source: &Source,
    retry: &RetryPolicy,
    scope: &mut Scope<'_, '_>,
) -> Option<DeadLetter> {
    let nothing = DeadLetterSpec::default();
    let keys = spec.dead_letter.as_ref().map_or(&nothing, |keys| &**keys.get_ref());
    if !is_wanted(spec, keys, source, scope) {
        return None;
    }
    let (queue, exchange) = queue_or_exchange(keys, scope);
    let (dead_letter, span) = match (queue, exchange) {
        (Some(queue), _) => (to_queue(queue, source, scope), queue.span()),
        (None, Some(exchange)) => (to_exchange(exchange, keys, scope), exchange.span()),
        (None, None) => of_the_source(spec, keys, source, scope)?,
    };
    // Of what all agents inherit, it is this one's queue that is at odds with it.
    let span = if scope.is_inherited(&span) { queue_span(spec, scope) } else { span };
    loops::check(&dead_letter, &span, source, retry, scope);
    Some(dead_letter)
}

/// Warns of copies that are asked for, and would go nowhere.
fn wanted_in_vain(keys: &DeadLetterSpec, scope: &mut Scope<'_, '_>) {
    if let Some(enabled) = keys.enabled.as_ref().filter(|key| !scope.is_inherited(&key.span())) {
        scope.report.warning(
            &enabled.span(),
            "there is nowhere to put a dead letter: only `declare = \"create\"` makes a queue for them",
            "name a `queue` or an `exchange`, or messages that fail are kept",
        );
    }
}

/// Whether copies are made, and whether the keys that say so agree.
fn is_wanted(
    spec: &AgentSpec,
    keys: &DeadLetterSpec,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) -> bool {
    let is_enabled = keys.enabled.as_ref().is_none_or(|enabled| *enabled.get_ref());
    let enabled = keys.enabled.as_ref().map(Spanned::span);
    let stated = [
        ("queue", keys.queue.as_ref().map(Spanned::span)),
        ("exchange", keys.exchange.as_ref().map(Spanned::span)),
        ("routing_key", keys.routing_key.as_ref().map(Spanned::span)),
        ("enabled", enabled.clone()),
    ];
    let mut stated = stated.into_iter().filter_map(|(key, span)| Some((key, span?)));
    if !is_enabled {
        for (key, span) in stated.filter(|(key, _)| *key != "enabled") {
            if !scope.is_inherited(&span) {
                scope.report.warning(
                    &span,
                    format!("`{key}` has no effect: `enabled = false` makes no dead letters"),
                    "remove one of them",
                );
            }
        }
        return false;
    }
    if tries_again(source) {
        return true;
    }
    let Some((_, span)) = stated.find(|(_, span)| !gives_way(spec, span, source, scope)) else {
        return false;
    };
    if source.auto_ack {
        scope.report.warning(
            &span,
            "[dead_letter] has no effect: with `auto_ack` a message is acked whatever the backends say",
            "remove one of them",
        );
    } else {
        scope.report.error(
            &span,
            "[dead_letter] contradicts `nack_discard`, which discards what would be a dead letter",
            "remove `nack_discard`, or set `enabled = false` in [dead_letter]",
        );
    }
    false
}

/// The one that counts: of an agent's own key and an inherited one it is its own.
fn queue_or_exchange<'k>(
    keys: &'k DeadLetterSpec,
    scope: &mut Scope<'_, '_>,
) -> (Option<&'k Spanned<String>>, Option<&'k Spanned<String>>) {
    let is_own = |key: &Key<String>, scope: &Scope<'_, '_>| {
        key.as_ref().is_some_and(|key| !scope.is_inherited(&key.span()))
    };
    let (mut queue, mut exchange) = (keys.queue.as_ref(), keys.exchange.as_ref());
    if let (Some(_), Some(stated)) = (queue, exchange) {
        match (is_own(&keys.queue, scope), is_own(&keys.exchange, scope)) {
            (true, false) => exchange = None,
            (false, true) => queue = None,
            (true, true) | (false, false) => scope.report.error(
                &stated.span(),
                "a dead letter goes to a `queue` or to an `exchange`, and both are named",
                "keep one of them",
            ),
        }
    }
    if let Some(key) = keys.routing_key.as_ref().filter(|_| exchange.is_none())
        && is_own(&keys.routing_key, scope)
    {
        scope.report.error(
            &key.span(),
            "`routing_key` without an exchange",
            "name it in `exchange`, or remove the key: a `queue` needs none",
        );
    }
    (queue, exchange)
}

fn to_queue(key: &Spanned<String>, source: &Source, scope: &mut Scope<'_, '_>) -> DeadLetter {
    let name = key.get_ref();
    let declare = source.declare == Declare::Create;
    short_string(&key.span(), "the dead-letter queue's name", name, scope);
    if name.is_empty() {
        scope.report.spoil(
            &key.span(),
            "the dead-letter queue's name is empty",
            "name the queue, or set `enabled = false`",
        );
    } else if name.starts_with("amq.") && declare {
        scope.report.error(
            &key.span(),
            "queues whose names start with `amq.` are the broker's to declare",
            "name another",
        );
    }
    DeadLetter { exchange: String::new(), routing_key: Some(name.clone()), declare }
}

fn to_exchange(
    key: &Spanned<String>,
    keys: &DeadLetterSpec,
    scope: &mut Scope<'_, '_>,
) -> DeadLetter {
    let name = key.get_ref();
    short_string(&key.span(), "the dead-letter exchange's name", name, scope);
    if let Some(key) = &keys.routing_key {
        short_string(&key.span(), "the routing key", key.get_ref(), scope);
    }
    if name.is_empty() {
        scope.report.spoil(
            &key.span(),
            "`exchange` is empty: the default exchange routes by a queue's name",
            "remove it, and name that queue in `queue`",
        );
    }
    let routing_key = keys.routing_key.as_ref().map(|key| key.get_ref().clone());
    DeadLetter { exchange: name.clone(), routing_key, declare: false }
}

/// Where nothing is stated: to where the broker itself would send it, or to a queue of ours.
fn of_the_source(
    spec: &AgentSpec,
    keys: &DeadLetterSpec,
    source: &Source,
    scope: &mut Scope<'_, '_>,
) -> Option<(DeadLetter, Span)> {
    const ARGUMENT: &str = "x-dead-letter-exchange";
    let text = |name: &str| match source.queue.arguments.get(name)? {
        Argument::Text(text) => Some(text.clone()),
        Argument::Boolean(_) | Argument::Integer(_) => None,
    };
    if let (Some(exchange), Some(span)) = (text(ARGUMENT), argument_span(spec, ARGUMENT)) {
        let routing_key = text("x-dead-letter-routing-key");
        return Some((DeadLetter { exchange, routing_key, declare: false }, span));
    }
    match source.declare {
        Declare::Create => {}
        Declare::Passive | Declare::Skip => {
            wanted_in_vain(keys, scope);
            return None;
        }
    }
    let name = dead_letter_queue(&source.queue.name);
    let instead = "name another queue in [dead_letter]";
    made_of_the_queues(spec, &name, "the dead-letter queue", instead, scope);
    let dead_letter =
        DeadLetter { exchange: String::new(), routing_key: Some(name), declare: true };
    Some((dead_letter, queue_span(spec, scope)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::definition::DeadLetter;
    use crate::config::load_agent_text;
    use crate::config::tests::{NoEnvironment, agent_text};

    fn dead_letter(amqp_keys: &str, keys: &str) -> Option<DeadLetter> {
        let text = format!("{}[dead_letter]\n{keys}\n", agent_text(amqp_keys));
        let (definition, problems) =
            load_agent_text(Path::new("orders.toml"), &text, &NoEnvironment);
        definition.unwrap_or_else(|| panic!("{problems:?}")).dead_letter
    }

    fn to(exchange: &str, routing_key: Option<&str>, declare: bool) -> DeadLetter {
        let routing_key = routing_key.map(str::to_owned);
        DeadLetter { exchange: exchange.to_owned(), routing_key, declare }
    }

    #[test]
    fn a_dead_letter_goes_where_the_file_says_or_the_broker_would_send_it_or_to_a_queue_of_ours() {
        let argued = "arguments = { x-dead-letter-exchange = \"dlx\" }";
        let with_key =
            "arguments = { x-dead-letter-exchange = \"\", x-dead-letter-routing-key = \"lost\" }";
        let passive = "declare = \"passive\"";
        for (amqp_keys, keys, expected) in [
            ("", "", Some(to("", Some("orders.dead"), true))),
            ("queue_type = \"stream\"", "", Some(to("", Some("orders.dead"), true))),
            ("", "queue = \"dead\"", Some(to("", Some("dead"), true))),
            ("", "exchange = \"x\"", Some(to("x", None, false))),
            ("", "exchange = \"x\"\nrouting_key = \"k\"", Some(to("x", Some("k"), false))),
            ("", "enabled = false", None),
            (argued, "", Some(to("dlx", None, false))),
            (argued, "queue = \"dead\"", Some(to("", Some("dead"), true))),
            (argued, "enabled = false", None),
            (with_key, "", Some(to("", Some("lost"), false))),
            (passive, "", None),
            (passive, "queue = \"dead\"", Some(to("", Some("dead"), false))),
            (&format!("{passive}\n{argued}"), "", Some(to("dlx", None, false))),
            ("declare = \"skip\"", "", None),
            ("nack_discard = true", "", None),
            ("auto_ack = true", "", None),
        ] {
            assert_eq!(dead_letter(amqp_keys, keys), expected, "{amqp_keys} {keys}");
        }
    }
}
