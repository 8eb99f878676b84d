//! `["async/amqp"]` and `consumer.topic`: where messages come from, and how they are taken.

use toml::Spanned;

use super::brokers::brokers;
use super::exchange::exchange;
use super::management::management;
use super::number::Limits;
use super::queue::queue;
use super::{Scope, choice, flag, short_string, whole, whole_within};
use crate::config::definition::{Declare, Exchange, Source};
use crate::config::spec::{AgentSpec, AmqpSpec};

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
        management: management(amqp, scope),
    };
    without_effect(amqp, &source, scope);
    source
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
