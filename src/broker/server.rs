//! What a broker says of itself when a connection begins.

use std::fmt;

use amqprs::connection::Connection;

/// A broker's name and version, as it greets with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Such as `RabbitMQ`.
    pub product: String,
    /// Such as `4.3.6`.
    pub version: String,
}

impl Server {
    /// What the broker at the other end said.
    pub(super) fn of(connection: &Connection) -> Self {
        let said = connection.server_properties();
        Self { product: said.product().to_owned(), version: said.version().to_owned() }
    }

    /// Whether its quorum queues can let a message wait that was given back as failed.
    #[must_use]
    pub fn has_delayed_retry(&self) -> bool {
        self.is_rabbitmq_since(4, 3)
    }

    /// Whether it is a RabbitMQ of this release or a later one; `false` where its version is none.
    #[must_use]
    pub fn is_rabbitmq_since(&self, major: u32, minor: u32) -> bool {
        self.release().is_some_and(|release| release >= (major, minor))
    }

    /// Major and minor number of a RabbitMQ.
    fn release(&self) -> Option<(u32, u32)> {
        let (major, rest) = self.version.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let is_rabbitmq = self.product == "RabbitMQ";
        is_rabbitmq.then_some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Reads `RabbitMQ 4.3.6`.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It goes into one line of a log.
        let text = format!("{} {}", self.product, self.version);
        let shown = text.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
        formatter.write_str(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delayed_retry_is_there_from_rabbitmq_4_3_on() {
        for (product, version, has_it) in [
            ("RabbitMQ", "3.10.8", false),
            ("RabbitMQ", "4.2.9", false),
            ("RabbitMQ", "4.3.0", true),
            ("RabbitMQ", "4.3.0-rc.1", true),
            ("RabbitMQ", "4.10.0", true),
            ("RabbitMQ", "5.0.0+12.g1a2b3c4", true),
            ("RabbitMQ", "unknown", false),
            ("RabbitMQ", "", false),
            ("LavinMQ", "9.9.9", false),
        ] {
            let server = Server { product: product.to_owned(), version: version.to_owned() };
            assert_eq!(server.has_delayed_retry(), has_it, "{server}");
        }
    }
}
