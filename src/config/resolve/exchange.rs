//! The exchange, checked for what RabbitMQ would refuse.

use std::collections::BTreeMap;

use toml::Spanned;

use super::queue::{Arguments, is_durable};
use super::{Scope, flag, short_string};
use crate::config::definition::{Argument, Declare, Exchange};
use crate::config::spec::AmqpSpec;
use crate::config::suggest::nearest;

const EXCHANGE_TYPES: [&str; 4] = ["topic", "direct", "fanout", "headers"];

/// The exchange, as it is declared.
pub(super) fn exchange(
    amqp: &AmqpSpec,
    declare: Declare,
    scope: &mut Scope<'_, '_>,
) -> Option<Exchange> {
    let arguments = exchange_arguments(amqp.exchange_arguments.as_ref(), scope);
    let Some(name) = &amqp.exchange else {
        for (key, span) in [
            ("exchange_type", amqp.exchange_type.as_ref().map(Spanned::span)),
            ("exchange_arguments", amqp.exchange_arguments.as_ref().map(Spanned::span)),
        ] {
            if let Some(span) = span.filter(|span| !scope.is_inherited(span)) {
                let problem = format!("`{key}` without an exchange");
                scope.report.error(&span, problem, "name it in `exchange`, or remove the key");
            }
        }
        return None;
    };
    short_string(&name.span(), "the exchange's name", name.get_ref(), scope);
    if name.get_ref().is_empty() {
        scope.report.spoil(
            &name.span(),
            "`exchange` is empty: the default exchange cannot be declared or bound to",
            "remove it; each queue is bound to that exchange by its name",
        );
    }
    if let Some(exchange_type) = predefined(name.get_ref()) {
        return Some(of_the_broker(name, exchange_type, amqp, scope));
    }
    if name.get_ref().starts_with("amq.") && declare == Declare::Create {
        scope.report.error(
            &name.span(),
            "exchanges whose names start with `amq.` are the broker's to declare",
            "name another, or set `declare = \"passive\"`",
        );
    }
    if let Some(exchange_type) = &amqp.exchange_type {
        known_exchange_type(exchange_type, scope);
    }
    let exchange_type = amqp.exchange_type.as_ref().map(|key| key.get_ref().as_str());
    Some(Exchange {
        name: name.get_ref().clone(),
        exchange_type: exchange_type.unwrap_or("topic").to_owned(),
        durable: is_durable(amqp),
        auto_delete: flag(amqp.delete.as_ref()),
        arguments,
    })
}

fn exchange_arguments(
    key: Option<&Arguments>,
    scope: &mut Scope<'_, '_>,
) -> BTreeMap<String, Argument> {
    let mut arguments = BTreeMap::new();
    for (name, value) in key.into_iter().flat_map(Spanned::get_ref) {
        short_string(&name.span(), "the argument's name", name.get_ref(), scope);
        arguments.insert(name.get_ref().clone(), value.get_ref().0.clone());
    }
    arguments
}

/// The type of an exchange that every virtual host has.
fn predefined(name: &str) -> Option<&'static str> {
    match name {
        "amq.topic" => Some("topic"),
        "amq.direct" => Some("direct"),
        "amq.fanout" => Some("fanout"),
        "amq.headers" | "amq.match" => Some("headers"),
        _ => None,
    }
}

/// An exchange that the broker made: declaring it just so is allowed, whatever the queue is like.
fn of_the_broker(
    name: &Spanned<String>,
    exchange_type: &'static str,
    amqp: &AmqpSpec,
    scope: &mut Scope<'_, '_>,
) -> Exchange {
    let name_shown = name.get_ref();
    if let Some(stated) = amqp.exchange_type.as_ref().filter(|key| key.get_ref() != exchange_type)
        && !scope.is_inherited(&stated.span())
    {
        scope.report.error(
            &stated.span(),
            format!("`{name_shown}` is always of type {exchange_type}"),
            "remove `exchange_type`",
        );
    }
    if let Some(stated) = &amqp.exchange_arguments
        && !scope.is_inherited(&stated.span())
    {
        scope.report.error(
            &stated.span(),
            format!("`{name_shown}` has no arguments"),
            "remove `exchange_arguments`",
        );
    }
    Exchange {
        name: name_shown.clone(),
        exchange_type: exchange_type.to_owned(),
        durable: true,
        auto_delete: false,
        arguments: BTreeMap::new(),
    }
}

fn known_exchange_type(key: &Spanned<String>, scope: &mut Scope<'_, '_>) {
    let text = key.get_ref();
    if EXCHANGE_TYPES.contains(&text.as_str()) || text.starts_with("x-") {
        short_string(&key.span(), "the exchange's type", text, scope);
        return;
    }
    let remedy = match nearest(text, &EXCHANGE_TYPES) {
        Some(meant) if !scope.report.is_concealed(&key.span()) => {
            format!("did you mean `{meant}`?")
        }
        Some(_) | None => {
            "use `topic`, `direct`, `fanout`, `headers` or a plugin's, which starts with `x-`"
                .to_owned()
        }
    };
    let shown = scope.report.quote(&key.span(), text);
    let problem = format!("{shown} is no type of exchange that RabbitMQ has");
    scope.report.spoil(&key.span(), problem, remedy);
}
