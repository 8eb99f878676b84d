//! Names as AMQP has them: short, and on one line.

use toml::Spanned;

use super::Scope;
use crate::config::source_map::Span;
use crate::config::spec::AgentSpec;

const BYTES_MAX: usize = 255;

/// A name as AMQP has it: at most 255 bytes on one line.
pub(super) fn short_string(span: &Span, what: &str, text: &str, scope: &mut Scope<'_, '_>) {
    if text.len() > BYTES_MAX {
        scope.report.error(
            span,
            format!("{what} has {} bytes", text.len()),
            format!("shorten it to {BYTES_MAX}, which is all that AMQP allows"),
        );
    } else if text.contains(['\r', '\n', '\0']) {
        scope.report.error(
            span,
            format!("{what} has a line break or a NUL in it"),
            "remove it: RabbitMQ would, and then look for another name",
        );
    }
}

/// Whether AMQP has room for `name`, which is the queue's with more at its end; `instead` says
/// what else can be done than to shorten the queue's.
pub(super) fn made_of_the_queues(
    spec: &AgentSpec,
    name: &str,
    what: &str,
    instead: &str,
    scope: &mut Scope<'_, '_>,
) {
    let Some(key) = spec.amqp.as_ref().and_then(|amqp| amqp.get_ref().name.as_ref()) else {
        return;
    };
    let (length, own_length) = (name.len(), key.get_ref().len());
    // One whose own name is too long was reported for that.
    if length > BYTES_MAX && own_length <= BYTES_MAX {
        let left = BYTES_MAX.saturating_sub(length - own_length);
        scope.report.error(
            &key.span(),
            format!("the name of {what}, which begins with this one, has {length} bytes"),
            format!("shorten this one to {left}, or {instead}"),
        );
    }
}

/// Where the queue's name stands.
pub(super) fn queue_span(spec: &AgentSpec, scope: &Scope<'_, '_>) -> Span {
    let key = spec.amqp.as_ref().and_then(|amqp| amqp.get_ref().name.as_ref());
    key.map_or(scope.start.clone(), Spanned::span)
}
