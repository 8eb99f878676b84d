//! Asks for the facts of an audit: the one part of it that waits for somebody.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Position, Url};

use super::facts::{Facts, Known, QueueFacts};
use crate::backend::inquire;
use crate::broker::Server;
use crate::config::definition::{
    AgentDefinition, Argument, BrokerAddress, ManagementAddress, QueueType,
};

/// The most questions at once of all agents: hundreds may start together.
static ASKING: Semaphore = Semaphore::const_new(4);

/// How often the interface is asked until it tells of policies: of a quorum queue, RabbitMQ 3.10
/// does so some 10 s after it was declared.
const TRIES: u32 = 10;

/// The wait between two questions.
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of the queue of `definition` on the broker at `address`, and why it could not be
/// looked up where the agent names management interfaces: they are tried in order.
///
/// Asks nobody where it names none. Cancel-safe.
pub async fn facts(
    definition: &AgentDefinition,
    address: &BrokerAddress,
    server: Server,
) -> (Facts, Option<String>) {
    let source = &definition.source;
    let mut reasons = Vec::new();
    for management in &source.management {
        match look_up(management, &address.vhost, &source.queue.name).await {
            Ok(Some(queue)) => return (Facts { server, queue }, None),
            // It does not exist, or not for this user.
            Ok(None) => break,
            Err(reason) => reasons.push(format!("{}: {reason}", authority(&management.url))),
        }
    }
    let reason = (!reasons.is_empty()).then(|| reasons.join("; then "));
    (Facts { server, queue: QueueFacts::declared(source) }, reason)
}

async fn look_up(
    management: &ManagementAddress,
    vhost: &str,
    queue: &str,
) -> Result<Option<QueueFacts>, String> {
    let url = queue_url(&management.url, vhost, queue);
    for tried in 0..TRIES {
        if tried > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let asking = ASKING.acquire().await;
        let answer = inquire(management, url.clone()).await?;
        drop(asking);
        let Some(answer) = answer else { return Ok(None) };
        let queue = read(&answer).ok_or("an answer that describes no queue")?;
        if tells_policies(&answer) {
            return Ok(Some(queue));
        }
    }
    Err("it does not tell the queue's policies".to_owned())
}

fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

fn queue_url(base: &Url, vhost: &str, queue: &str) -> Url {
    let segment = |name| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let path = base.path().trim_end_matches('/');
    let mut url = base.clone();
    url.set_path(&format!("{path}/api/queues/{}/{}", segment(vhost), segment(queue)));
    url.set_query(Some(
        "columns=type,durable,auto_delete,arguments,effective_policy_definition,delivery_limit",
    ));
    url
}

fn tells_policies(answer: &Value) -> bool {
    answer.get("effective_policy_definition").is_some()
}

/// Reads what the interface says of a queue; `None` where that is something else.
fn read(answer: &Value) -> Option<QueueFacts> {
    let kind = match answer.get("type")?.as_str()? {
        "classic" => QueueType::Classic,
        "quorum" => QueueType::Quorum,
        "stream" => QueueType::Stream,
        // A plugin's.
        _ => return None,
    };
    Some(QueueFacts {
        known: Known::LookedUp,
        kind: Some(kind),
        durable: answer.get("durable")?.as_bool()?,
        auto_delete: answer.get("auto_delete").and_then(Value::as_bool).unwrap_or_default(),
        arguments: table(answer.get("arguments")),
        policy: table(answer.get("effective_policy_definition")),
        delivery_limit: answer.get("delivery_limit").and_then(Value::as_i64),
    })
}

/// An empty table comes as an empty list from older releases.
fn table(value: Option<&Value>) -> BTreeMap<String, Argument> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), argument(value)?))).collect()
}

fn argument(value: &Value) -> Option<Argument> {
    match value {
        Value::Bool(value) => Some(Argument::Boolean(*value)),
        Value::Number(number) => number.as_i64().map(Argument::Integer),
        Value::String(text) => Some(Argument::Text(text.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_interface_says_of_a_queue_is_read() {
        let answer = json!({
            "type": "quorum", "durable": true, "auto_delete": false, "delivery_limit": 3,
            "arguments": { "x-queue-type": "quorum", "x-delivery-limit": 7 },
            "effective_policy_definition": { "delivery-limit": 3, "dead-letter-exchange": "dlx" },
        });
        let queue = read(&answer).unwrap();
        assert_eq!((queue.known, queue.kind), (Known::LookedUp, Some(QueueType::Quorum)));
        assert_eq!(queue.number("delivery-limit"), Some(3));
        assert_eq!(queue.dead_letter_exchange(), Some("dlx"));
        assert!(tells_policies(&answer));
        for odd in [json!([]), json!({}), json!({ "type": "super", "durable": true })] {
            assert_eq!(read(&odd), None, "{odd}");
        }
        let young = json!({ "type": "classic", "durable": true, "arguments": [] });
        assert!(!tells_policies(&young));
        assert!(read(&young).unwrap().arguments.is_empty());
    }

    #[test]
    fn names_are_one_segment_of_the_path_each() {
        let base = Url::parse("https://rabbit.internal:15671/prefix/").unwrap();
        let url = queue_url(&base, "/", "a/b c");
        assert_eq!(url.path(), "/prefix/api/queues/%2F/a%2Fb%20c");
    }
}
