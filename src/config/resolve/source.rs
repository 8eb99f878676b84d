//! `["async/amqp"]` and `consumer.topic`: brokers, queue, exchange.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::address::{
    CONNECT_TIMEOUT_MAX, Common, HEARTBEAT_REASON, HEARTBEAT_SECONDS_MIN, address,
};
use super::number::Limits;
use super::tls::{TlsFiles, located};
use super::{Scope, choice, flag, period, short_string, whole, whole_within};
use crate::config::definition::{
    Argument, BrokerAddress, Declare, Exchange, Queue, QueueType, Source,
};
use crate::config::report::quoted;
use crate::config::source_map::Span;
use crate::config::spec::{AgentSpec, AmqpSpec};
use crate::config::suggest::nearest;
use crate::config::value::Scalar;

const PREFETCH_COUNT: u16 = 100;

/// The most binding keys: each costs a round trip when a session starts.
const TOPICS_MAX: usize = 1000;

const DECLARE: [(&str, Declare); 3] =
    [("create", Declare::Create), ("passive", Declare::Passive), ("skip", Declare::Skip)];

/// Where messages come from.
pub(super) fn source(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> Source {
    let nothing = AmqpSpec::default();
    let (amqp, span) = match &spec.amqp {
        Some(amqp) => (&**amqp.get_ref(), amqp.span()),
        None => (&nothing, scope.start.clone()),
    };
    if spec.amqp.is_none() {
        let remedy =
            "add `[\"async/amqp\"]` with `host` and `name`, which says where messages come from";
        scope.report.missing(scope.file, "async/amqp", &span, remedy);
    }
    let within = spec.amqp.is_some().then_some(&span);
    let declare = choice(amqp.declare.as_ref(), "declare", &DECLARE, scope.report);
    let declare = declare.unwrap_or(Declare::Create);
    let exchange = exchange(amqp, declare, scope);
    let source = Source {
        brokers: brokers(amqp, within, scope),
        queue: queue(amqp, declare, within, scope),
        topics: topics(spec, exchange.as_ref(), declare, scope),
        exchange,
        declare,
        prefetch_count: prefetch_count(amqp, scope),
        auto_ack: flag(amqp.auto_ack.as_ref()),
        nack_discard: flag(amqp.nack_discard.as_ref()),
        consumer_tag: consumer_tag(amqp, scope),
        consumer_priority: whole_within(
            amqp.consumer_priority.as_ref(),
            "consumer_priority",
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            scope.report,
        ),
    };
    without_effect(amqp, &source, scope);
    source
}

fn brokers(
    amqp: &AmqpSpec,
    within: Option<&Span>,
    scope: &mut Scope<'_, '_>,
) -> Vec<BrokerAddress> {
    const BROKERS_MAX: usize = 100;
    let heartbeat = Limits {
        key: "heartbeat",
        lowest: Duration::from_secs(HEARTBEAT_SECONDS_MIN.into()),
        highest: Duration::from_secs(u16::MAX.into()),
        because: HEARTBEAT_REASON,
    };
    let connect_timeout = Limits {
        key: "connect_timeout",
        lowest: Duration::from_millis(1),
        highest: CONNECT_TIMEOUT_MAX,
        because: "",
    };
    let ten_seconds = Duration::from_secs(10);
    let heartbeat = period(amqp.heartbeat.as_ref(), &heartbeat, scope.report);
    if let (Some(heartbeat), Some(key)) = (heartbeat, &amqp.heartbeat)
        && heartbeat.subsec_nanos() != 0
    {
        scope.report.error(&key.span(), "`heartbeat` is not in whole seconds", "round it");
    }
    let timeout = period(amqp.connect_timeout.as_ref(), &connect_timeout, scope.report);
    let tls_spec = amqp.tls.as_ref().map(Spanned::get_ref);
    let tls_files = TlsFiles {
        ca: located(tls_spec.and_then(|tls| tls.ca.as_ref())),
        cert: located(tls_spec.and_then(|tls| tls.cert.as_ref())),
        key: located(tls_spec.and_then(|tls| tls.key.as_ref())),
        server_name: located(tls_spec.and_then(|tls| tls.server_name.as_ref())),
    };
    let common = Common {
        heartbeat_seconds: u16::try_from(heartbeat.unwrap_or(ten_seconds).as_secs()).unwrap_or(10),
        connect_timeout: timeout.unwrap_or(ten_seconds),
        tls: tls_files.load(scope),
        tls_files,
    };
    let Some(host) = &amqp.host else {
        if let Some(within) = within {
            let remedy =
                "set it to the broker's URI, such as \"amqp://guest:guest@localhost:5672/\"";
            scope.report.missing(scope.file, "async/amqp.host", within, remedy);
        }
        return Vec::new();
    };
    let uris = host.get_ref().each(&host.span());
    if uris.is_empty() || uris.len() > BROKERS_MAX {
        let problem = format!("`host` lists {} brokers", uris.len());
        scope.report.error(&host.span(), problem, format!("list 1 to {BROKERS_MAX}"));
    }
    let brokers: Vec<BrokerAddress> = uris
        .iter()
        .take(BROKERS_MAX)
        .filter_map(|(span, uri)| address(span, uri, &common, scope))
        .collect();
    if let Some(tls) = &amqp.tls
        && !scope.is_inherited(&tls.span())
        && brokers.len() == uris.len()
        && brokers.iter().all(|broker| broker.tls.is_none())
    {
        scope.report.error(
            &tls.span(),
            "`tls` is set, and no broker is spoken to by TLS",
            "use amqps:// in `host`, or remove `tls`",
        );
    }
    brokers
}

fn queue(
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

fn is_durable(amqp: &AmqpSpec) -> bool {
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
const KNOWN_ARGUMENTS: [(&str, &str); 25] = [
    ("x-consumer-timeout", "integer"),
    ("x-dead-letter-exchange", "string"),
    ("x-dead-letter-routing-key", "string"),
    ("x-dead-letter-strategy", "string"),
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

type Arguments = Spanned<BTreeMap<Spanned<String>, Spanned<Scalar>>>;

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

const EXCHANGE_TYPES: [&str; 4] = ["topic", "direct", "fanout", "headers"];

fn exchange(amqp: &AmqpSpec, declare: Declare, scope: &mut Scope<'_, '_>) -> Option<Exchange> {
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

fn topics(
    spec: &AgentSpec,
    exchange: Option<&Exchange>,
    declare: Declare,
    scope: &mut Scope<'_, '_>,
) -> Vec<String> {
    let consumer = spec.consumer.as_ref().map(Spanned::get_ref);
    let topic = consumer.and_then(|consumer| consumer.topic.as_ref());
    let Some(exchange) = exchange else {
        if let Some(topic) = topic.filter(|topic| !scope.is_inherited(&topic.span())) {
            scope.report.error(
                &topic.span(),
                "`topic` without an exchange to bind the queue to",
                "set `exchange` in [\"async/amqp\"], or remove `topic`",
            );
        }
        return Vec::new();
    };
    let binds = declare == Declare::Create;
    let keys = topic.map(|topic| topic.get_ref().each(&topic.span())).unwrap_or_default();
    if let Some(topic) = topic.filter(|_| keys.len() > TOPICS_MAX) {
        let problem = format!("`topic` lists {} binding keys", keys.len());
        scope.report.error(&topic.span(), problem, format!("list at most {TOPICS_MAX}"));
    }
    let mut topics: Vec<String> = Vec::new();
    for (span, key) in keys.iter().take(TOPICS_MAX) {
        short_string(span, "the binding key", key, scope);
        if !topics.iter().any(|known| known == key) {
            topics.push((*key).to_owned());
        }
    }
    if let Some(topic) = topic.filter(|topic| !binds && !scope.is_inherited(&topic.span())) {
        scope.report.warning(
            &topic.span(),
            "`topic` has no effect: only `declare = \"create\"` binds the queue",
            "remove it, or bind the queue yourself",
        );
    }
    if topics.is_empty() && binds {
        if matches!(exchange.exchange_type.as_str(), "fanout" | "headers") {
            return vec![String::new()];
        }
        let exchange = spec.amqp.as_ref().and_then(|amqp| amqp.get_ref().exchange.as_ref());
        let span = topic.map(Spanned::span).or(exchange.map(Spanned::span));
        let span = span.unwrap_or(scope.start.clone());
        let path = "consumer.topic";
        let remedy = "set the binding key in [consumer], such as \"order.*\"; \"#\" is every message of a topic exchange";
        if topic.is_some() {
            scope.report.error(&span, "`topic` lists no binding key", remedy);
        } else {
            scope.report.missing(scope.file, path, &span, remedy);
        }
    }
    topics
}

fn prefetch_count(amqp: &AmqpSpec, scope: &mut Scope<'_, '_>) -> u16 {
    let limits = Limits {
        key: "prefetch_count",
        lowest: 1,
        highest: 65_535,
        because: "; it is never unlimited, or the whole queue would come at once",
    };
    whole(amqp.prefetch_count.as_ref(), &limits, scope.report).unwrap_or(PREFETCH_COUNT)
}

fn consumer_tag(amqp: &AmqpSpec, scope: &mut Scope<'_, '_>) -> Option<String> {
    let tag = amqp.consumer_tag.as_ref()?;
    short_string(&tag.span(), "the consumer's tag", tag.get_ref(), scope);
    if tag.get_ref().is_empty() {
        scope.report.error(
            &tag.span(),
            "`consumer_tag` is empty",
            "remove it: the default says host, agent and process id",
        );
    }
    Some(tag.get_ref().clone())
}

/// Warns of what is accepted for KrakenD's sake.
fn without_effect(amqp: &AmqpSpec, source: &Source, scope: &mut Scope<'_, '_>) {
    if let Some(size) = amqp.prefetch_size.as_ref().filter(|size| *size.get_ref() != 0) {
        scope.report.warning(
            &size.span(),
            "`prefetch_size` is ignored: RabbitMQ closes the connection over it (540)",
            "remove it; `prefetch_count` is the limit",
        );
    }
    if let Some(local) = amqp.no_local.as_ref().filter(|local| *local.get_ref()) {
        scope.report.warning(
            &local.span(),
            "`no_local` has no effect: RabbitMQ ignores it",
            "remove it",
        );
    }
    if let Some(wait) = amqp.no_wait.as_ref().filter(|wait| *wait.get_ref()) {
        scope.report.warning(
            &wait.span(),
            "`no_wait` is ignored: what the broker refuses would go unheard",
            "remove it",
        );
    }
    if let Some(ack) = amqp.auto_ack.as_ref().filter(|_| source.auto_ack) {
        scope.report.warning(
            &ack.span(),
            "with `auto_ack` a message is acked whatever the backends say: one that fails is lost",
            "remove it unless messages may be lost",
        );
    }
}
