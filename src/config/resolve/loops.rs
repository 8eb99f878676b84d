//! Dead letters that would come back: to the queue that they come from, or by way of its delays.

use super::Scope;
use crate::config::definition::{DeadLetter, Exchange, RetryPolicy, RetryStrategy, Source};
use crate::config::source_map::Span;
use crate::copies::names::delay_queue;

/// Reports at `span` a target that leads back to `source`, as far as the file tells.
pub(super) fn check(
    dead_letter: &DeadLetter,
    span: &Span,
    source: &Source,
    retry: &RetryPolicy,
    scope: &mut Scope<'_, '_>,
) {
    let routing_key = dead_letter.routing_key.as_deref();
    if dead_letter.exchange.is_empty() {
        by_name(routing_key, span, source, retry, scope);
        return;
    }
    let exchange = source.exchange.as_ref();
    if let Some(exchange) = exchange.filter(|exchange| exchange.name == dead_letter.exchange)
        && routing_key.is_none_or(|key| leads_to(key, exchange, &source.topics))
    {
        scope.report.error(
            span,
            "dead letters would come back: the exchange leads to the queue that they come from",
            "name another exchange, or give them a routing key that the queue is not bound with",
        );
    }
}

/// The default exchange leads to the queue that the routing key names.
fn by_name(
    queue: Option<&str>,
    span: &Span,
    source: &Source,
    retry: &RetryPolicy,
    scope: &mut Scope<'_, '_>,
) {
    let Some(queue) = queue else {
        scope.report.error(
            span,
            "dead letters could come back: by the default exchange and its own routing key each goes to the queue that it was published to",
            "add `x-dead-letter-routing-key`, or name a queue in `queue` of [dead_letter]",
        );
        return;
    };
    let mut delays = retry.delays.iter();
    let is_delay = retry.strategy == RetryStrategy::Queue
        && delays.any(|delay| delay_queue(&source.queue.name, *delay) == queue);
    let problem = if queue == source.queue.name {
        "dead letters would come back: this is the queue that they come from"
    } else if is_delay {
        "dead letters would come back: this is a delay queue, which leads to the queue that they come from"
    } else {
        return;
    };
    let remedy = "name another queue in [dead_letter], or set `enabled = false` in it";
    scope.report.error(span, problem, remedy);
}

/// Whether a queue that is bound with `topics` gets what is published with `key`.
fn leads_to(key: &str, exchange: &Exchange, topics: &[String]) -> bool {
    match exchange.exchange_type.as_str() {
        "fanout" => true,
        "direct" => topics.iter().any(|topic| topic == key),
        "topic" => topics.iter().any(|topic| matches(topic, key)),
        // By headers, or by whatever a plugin makes of it.
        _ => false,
    }
}

/// `*` is one word, `#` any number of them.
fn matches(pattern: &str, key: &str) -> bool {
    let words: Vec<&str> = key.split('.').collect();
    // After how many words the pattern so far can end. Word by word, since trying all ways would
    // take for ever with a pattern of many `#`.
    let mut ends = vec![false; words.len() + 1];
    ends[0] = true;
    for part in pattern.split('.') {
        if part == "#" {
            let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
            ends[first..].fill(true);
        } else {
            let after = |(at, word): (usize, &&str)| ends[at] && (part == "*" || part == *word);
            let next: Vec<bool> = words.iter().enumerate().map(after).collect();
            ends = [false].into_iter().chain(next).collect();
        }
    }
    ends.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_in_a_topic_exchange() {
        for (pattern, key, is_match) in [
            ("order.*", "order.dead", true),
            ("order.*", "order", false),
            ("order.*", "order.dead.now", false),
            ("order.#", "order", true),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("#.dead", "dead", true),
            ("#.dead", "order.dead", true),
            ("#.dead", "order.dead.now", false),
            ("*.#.now", "order.dead.now", true),
            ("*.#.now", "now", false),
            ("dead", "dead", true),
            ("dead", "order", false),
        ] {
            assert_eq!(matches(pattern, key), is_match, "{pattern} {key}");
        }
        let many = "#.".repeat(120);
        assert!(!matches(&format!("{many}x"), &"a.".repeat(120)));
    }
}
