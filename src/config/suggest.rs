//! What an unknown key was probably meant to be.

use super::deserialize::keys_of;
use super::report::quoted;
use super::spec;

/// What to say of an unknown key.
pub(super) struct UnknownKey {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// The known key that it stands for, most likely.
    pub meant: Option<String>,
}

/// A table's name as it is written, and its keys.
type TableKeys = (&'static str, &'static [&'static str]);

/// Every table of an agent file and of the main file.
pub(super) fn tables() -> [TableKeys; 16] {
    [
        ("at the top of an agent file", keys_of::<spec::AgentSpec>()),
        ("in [\"async/amqp\"]", keys_of::<spec::AmqpSpec>()),
        ("in [\"async/amqp\".tls]", keys_of::<spec::BrokerTlsSpec>()),
        ("in [consumer]", keys_of::<spec::ConsumerSpec>()),
        ("in [connection]", keys_of::<spec::ConnectionSpec>()),
        ("in [retry]", keys_of::<spec::RetrySpec>()),
        ("in [dead_letter]", keys_of::<spec::DeadLetterSpec>()),
        ("in [hold]", keys_of::<spec::HoldSpec>()),
        ("in [dispatch]", keys_of::<spec::DispatchSpec>()),
        ("in [[backend]]", keys_of::<spec::BackendSpec>()),
        ("in [backend.status]", keys_of::<spec::StatusSpec>()),
        ("in [backend.tls]", keys_of::<spec::BackendTlsSpec>()),
        ("in [daemon] of the main file", keys_of::<spec::DaemonSpec>()),
        ("in [log] of the main file", keys_of::<spec::LogSpec>()),
        ("in [admin] of the main file", keys_of::<spec::AdminSpec>()),
        ("at the top of the main file", keys_of::<spec::MainSpec>()),
    ]
}

/// What to say of `key` at `path`, where `known` could stand.
pub(super) fn unknown_key(key: &str, known: &[&str], path: &str) -> UnknownKey {
    let problem = format!("unknown key {}", quoted(key));
    let other_word = other_word(key, path);
    let of_krakend = krakend_remedy(key, path);
    let exact = known.iter().find(|other| plain(other) == plain(key)).copied();
    let elsewhere = || {
        let mut tables = tables().into_iter().filter(|(_, keys)| keys.contains(&key));
        tables.next().map(|(table, _)| format!("it belongs {table}"))
    };
    if let Some(meant) = exact {
        return UnknownKey { problem, remedy: did_you_mean(meant), meant: Some(meant.to_owned()) };
    }
    if let Some(remedy) = other_word.or(of_krakend).or_else(elsewhere) {
        return UnknownKey { problem, remedy, meant: None };
    }
    match nearest(key, known) {
        Some(meant) => {
            UnknownKey { problem, remedy: did_you_mean(meant), meant: Some(meant.to_owned()) }
        }
        None => UnknownKey {
            problem,
            remedy: format!("remove it; the keys here are {}", known.join(", ")),
            meant: None,
        },
    }
}

fn did_you_mean(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

/// The one of `known` that `word` is a misspelling of.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const LIKE_ENOUGH: f64 = 0.8;
    let word = plain(word);
    let likeness = |other: &str| {
        let other = plain(other);
        let is_start = word.len() >= 3 && other.starts_with(&word);
        if is_start { 1.0 } else { strsim::jaro_winkler(&word, &other) }
    };
    let scored = known.iter().map(|other| (likeness(other), *other));
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(score, _)| *score >= LIKE_ENOUGH).map(|(_, other)| other)
}

/// `maxRetries`, `max-retries` and `MAX_RETRIES` are `max_retries` to a person.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What to do about a word that means something else here, and another key elsewhere.
fn other_word(key: &str, path: &str) -> Option<String> {
    let remedy = match (path.rsplit_once('.')?.0, key) {
        ("async/amqp" | "defaults.async/amqp", "queue") => "write `name`: it is the queue's",
        ("async/amqp" | "defaults.async/amqp", "routing_key" | "binding_key") => {
            "write `topic` in [consumer]: it is the binding key"
        }
        ("consumer" | "defaults.consumer", "routing_key" | "binding_key") => {
            "write `topic`: it is the binding key"
        }
        (_, "dead_letter" | "dead_letter_queue" | "dead_letter_exchange") => {
            "write the table [dead_letter] with `queue` or `exchange` in it"
        }
        ("dead_letter" | "defaults.dead_letter", "name") => "write `queue`",
        ("dead_letter" | "defaults.dead_letter", "topic" | "binding_key") => "write `routing_key`",
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// What to do about a key that KrakenD has and we have not.
fn krakend_remedy(key: &str, path: &str) -> Option<String> {
    let in_backend = path.contains("backend.");
    let remedy = match key {
        "extra_config" if !in_backend => {
            "write the tables in it at the top of the file: `[\"async/amqp\"]`"
        }
        "disable_host_sanitize" => "remove it: hosts are taken as they are written",
        "sd" | "sd_scheme" => "remove it: hosts are names or addresses, looked up by DNS",
        "allow" | "deny" | "mapping" | "group" | "target" | "is_collection" if in_backend => {
            "remove it: a reply's body is not looked at"
        }
        "extra_config" => "remove it: this daemon has no such middleware",
        "input_headers" | "input_query_strings" => {
            "remove it: a message's properties become headers by themselves"
        }
        "encoding" if !in_backend => "remove it: replies are not decoded",
        _ => return None,
    };
    Some(remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_keys() {
        for (table, keys) in tables() {
            assert!(!keys.is_empty(), "{table}");
        }
    }

    #[test]
    fn an_unknown_key_is_explained() {
        let amqp = keys_of::<spec::AmqpSpec>();
        let remedy = |key| unknown_key(key, amqp, &format!("async/amqp.{key}")).remedy;
        assert_eq!(remedy("prefetch"), "did you mean `prefetch_count`?");
        assert_eq!(remedy("prefetchCount"), "did you mean `prefetch_count`?");
        assert_eq!(remedy("durabel"), "did you mean `durable`?");
        assert_eq!(remedy("topic"), "it belongs in [consumer]");
        assert_eq!(remedy("workers"), "it belongs in [consumer]");
        assert_eq!(remedy("queue"), "write `name`: it is the queue's");
        assert_eq!(remedy("routing_key"), "write `topic` in [consumer]: it is the binding key");
        let table = "write the table [dead_letter] with `queue` or `exchange` in it";
        assert_eq!(remedy("dead_letter_exchange"), table);
        assert_eq!(remedy("strategy"), "it belongs in [retry]");
        assert_eq!(remedy("url_pattern"), "it belongs in [[backend]]");
        assert!(remedy("zzz").starts_with("remove it; the keys here are host, name"));
    }
}
