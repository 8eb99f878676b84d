//! What the broker says of a message that it dead-lettered itself: `x-death`.

use amqprs::{FieldName, FieldTable, FieldValue};

use super::properties::Properties;

/// One way in which a message died, as RabbitMQ's page on dead lettering describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Death {
    /// The queue in which it died.
    pub queue: String,
    /// The exchange that it had been published to.
    pub exchange: String,
    /// The first routing key that it had been published with.
    pub routing_key: String,
    /// When, in seconds since 1970.
    pub time: Option<u64>,
}

impl Properties {
    /// How it died, the last death first; none where `x-death` is not as the broker makes it.
    #[must_use]
    pub fn deaths(&self) -> Vec<Death> {
        let name = b"x-death";
        let headers = self.0.headers().into_iter().flatten();
        let header = headers.filter(|header| header.name_bytes() == name).last();
        let Some(FieldValue::A(deaths)) = header.map(|header| header.value()) else {
            return Vec::new();
        };
        let tables = deaths.iter().filter_map(|death| {
            if let FieldValue::F(table) = death { Some(read(table)) } else { None }
        });
        tables.collect()
    }
}

fn read(table: &FieldTable) -> Death {
    let value = |name: &str| FieldName::try_from(name).ok().and_then(|name| table.get(&name));
    let text = |name: &str| {
        let Some(FieldValue::S(text)) = value(name) else { return String::new() };
        text.to_string()
    };
    let routing_key = if let Some(FieldValue::A(keys)) = value("routing-keys") {
        keys.iter().next().map(FieldValue::to_string)
    } else {
        None
    };
    let time = if let Some(FieldValue::T(seconds)) = value("time") { Some(*seconds) } else { None };
    Death {
        queue: text("queue"),
        exchange: text("exchange"),
        routing_key: routing_key.unwrap_or_default(),
        time,
    }
}
