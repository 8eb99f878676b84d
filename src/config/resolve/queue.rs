//! The queue and its arguments, checked for what RabbitMQ would refuse.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Scope, choice, flag, short_string};
use crate::config::definition::{Argument, Declare, Queue, QueueType};
use crate::config::report::quoted;
use crate::config::source_map::Span;
use crate::config::spec::AmqpSpec;
use crate::config::suggest::nearest;
use crate::config::value::Scalar;

/// The queue, as it is declared.
pub(super) fn queue(
    amqp: &AmqpSpec,
    declare: Declare,
    within: Option<&Span>,
    scope: &mut Scope<'_, '_>,
) -> Queue {
    let mut arguments = arguments(amqp.arguments.as_ref(), scope);
    let queue_type = queue_type(amqp, &mut arguments, scope);
    if let Some(name) = &amqp.name {
        short_string(&name.span(), "the queue's name", name.get_ref(), scope);
        if name.get_ref().is_empty() {
            scope.report.spoil(&name.span(), "the queue's name is empty", "name the queue");
        } else if name.get_ref().starts_with("amq.") && declare == Declare::Create {
            scope.report.error(
                &name.span(),
                "queues whose names start with `amq.` are the broker's to declare",
                "name another, or set `declare = \"passive\"`",
            );
        }
    } else if let Some(within) = within {
        scope.report.missing(scope.file, "async/amqp.name", within, "set it to the queue's name");
    }
    Queue {
        name: amqp.name.as_ref().map(|name| name.get_ref().clone()).unwrap_or_default(),
        queue_type,
        durable: is_durable(amqp),
        auto_delete: flag(amqp.delete.as_ref()),
        exclusive: flag(amqp.exclusive.as_ref()),
        arguments,
    }
}

/// Whether queue and exchange survive a restart of the broker.
pub(super) fn is_durable(amqp: &AmqpSpec) -> bool {
    amqp.durable.as_ref().is_none_or(|durable| *durable.get_ref())
}

fn queue_type(
    amqp: &AmqpSpec,
    arguments: &mut BTreeMap<String, Argument>,
    scope: &mut Scope<'_, '_>,
) -> Option<QueueType> {
    const TYPES: [(&str, QueueType); 3] = [
        ("classic", QueueType::Classic),
        ("quorum", QueueType::Quorum),
        ("stream", QueueType::Stream),
    ];
    let stated = choice(amqp.queue_type.as_ref(), "queue_type", &TYPES, scope.report);
    let argument = amqp.arguments.as_ref().and_then(|arguments| {
        arguments.get_ref().iter().find(|(name, _)| name.get_ref() == "x-queue-type")
    });
    let argued = argument.and_then(|(_, value)| match &value.get_ref().0 {
        Argument::Text(text) => choice(
            Some(&Spanned::new(value.span(), text.clone())),
            "x-queue-type",
            &TYPES,
            scope.report,
        ),
        Argument::Integer(_) | Argument::Boolean(_) => None,
    });
    arguments.remove("x-queue-type");
    if let (Some(stated), Some(argued), Some((_, value))) = (stated, argued, argument)
        && stated != argued
    {
        scope.report.error(
            &value.span(),
            "`x-queue-type` says otherwise than `queue_type`",
            "keep `queue_type` alone",
        );
    }
    let queue_type = stated.or(argued)?;
    let name = match queue_type {
        QueueType::Classic => return Some(queue_type),
        QueueType::Quorum => "quorum",
        QueueType::Stream => "stream",
    };
    let mut refused = |key: Option<&Spanned<bool>>, wrong: bool, text: &str| {
        if let Some(key) = key.filter(|key| *key.get_ref() == wrong) {
            let problem = format!("RabbitMQ refuses a {name} queue with `{text} = {wrong}`");
            scope.report.spoil(&key.span(), problem, format!("set `{text} = {}`", !wrong));
        }
    };
    refused(amqp.durable.as_ref(), false, "durable");
    refused(amqp.exclusive.as_ref(), true, "exclusive");
    refused(amqp.delete.as_ref(), true, "delete");
    if queue_type == QueueType::Stream {
        let key = amqp.queue_type.as_ref().map(Spanned::span);
        scope.report.warning(
            &key.or(argument.map(|(_, value)| value.span())).unwrap_or_default(),
            "a stream keeps no record of what was settled: each new connection begins with the next message that is published",
            "use a quorum queue where no message may be passed over",
        );
    }
    Some(queue_type)
}

/// Queue arguments whose type RabbitMQ insists on.
const KNOWN_ARGUMENTS: [(&str, &str); 28] = [
    ("x-consumer-timeout", "integer"),
    ("x-dead-letter-exchange", "string"),
    ("x-dead-letter-routing-key", "string"),
    ("x-dead-letter-strategy", "string"),
    ("x-delayed-retry-max", "integer"),
    ("x-delayed-retry-min", "integer"),
    ("x-delayed-retry-type", "string"),
    ("x-delivery-limit", "integer"),
    ("x-expires", "integer"),
    ("x-initial-cluster-size", "integer"),
    ("x-max-age", "string"),
    ("x-max-in-memory-bytes", "integer"),
    ("x-max-in-memory-length", "integer"),
    ("x-max-length", "integer"),
    ("x-max-length-bytes", "integer"),
    ("x-max-priority", "integer"),
    ("x-message-ttl", "integer"),
    ("x-overflow", "string"),
    ("x-queue-leader-locator", "string"),
    ("x-queue-master-locator", "string"),
    ("x-queue-mode", "string"),
    ("x-queue-type", "string"),
    ("x-queue-version", "integer"),
    ("x-quorum-initial-group-size", "integer"),
    ("x-quorum-target-group-size", "integer"),
    ("x-single-active-consumer", "boolean"),
    ("x-stream-filter-size-bytes", "integer"),
    ("x-stream-max-segment-size-bytes", "integer"),
];

/// Arguments as the spec has them.
pub(super) type Arguments = Spanned<BTreeMap<Spanned<String>, Spanned<Scalar>>>;

fn arguments(key: Option<&Arguments>, scope: &mut Scope<'_, '_>) -> BTreeMap<String, Argument> {
    let mut arguments = BTreeMap::new();
    for (name, value) in key.into_iter().flat_map(Spanned::get_ref) {
        short_string(&name.span(), "the argument's name", name.get_ref(), scope);
        let value_type = match &value.get_ref().0 {
            Argument::Boolean(_) => "boolean",
            Argument::Integer(_) => "integer",
            Argument::Text(_) => "string",
        };
        let known = KNOWN_ARGUMENTS.iter().find(|(known, _)| known == name.get_ref());
        if let Some((known, wanted)) = known {
            if *wanted != value_type {
                scope.report.error(
                    &value.span(),
                    format!("RabbitMQ refuses `{known}` with a value of type {value_type}"),
                    format!("give it a value of type {wanted}"),
                );
            }
        } else if let Some(meant) = misspelt_argument(name.get_ref()) {
            scope.report.warning(
                &name.span(),
                format!("RabbitMQ takes no heed of {}", quoted(name.get_ref())),
                format!("did you mean `{meant}`?"),
            );
        }
        arguments.insert(name.get_ref().clone(), value.get_ref().0.clone());
    }
    let stated = key.and_then(|key| key.get_ref().get_key_value("x-dead-letter-routing-key"));
    if let Some((name, _)) = stated
        && !arguments.contains_key("x-dead-letter-exchange")
    {
        scope.report.error(
            &name.span(),
            "RabbitMQ refuses `x-dead-letter-routing-key` without `x-dead-letter-exchange`",
            "add the exchange: \"\" is the default one, which routes by a queue's name",
        );
    }
    arguments
}

fn misspelt_argument(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("x-").unwrap_or(name);
    let known = KNOWN_ARGUMENTS.map(|(known, _)| known.trim_start_matches("x-"));
    let meant = nearest(name, &known)?;
    let likeness = strsim::jaro_winkler(name, meant);
    let at = known.iter().position(|known| *known == meant)?;
    (likeness > 0.92).then_some(KNOWN_ARGUMENTS[at].0)
}
