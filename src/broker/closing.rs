//! Keeps the broker's last word: the library tells it to callbacks and nowhere else.

use std::sync::{Arc, OnceLock};

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::Channel;
use amqprs::connection::Connection;
use amqprs::{Ack, BasicProperties, Cancel, Close, CloseChannel, Nack, Return};
use async_trait::async_trait;

use super::ended::Ended;

/// The first reason that the broker gave for the end of a session.
///
/// Shared between the session and the library's callbacks, which run on the library's own
/// tasks, before it fails the pending call: whoever sees a call fail finds the reason here.
#[derive(Clone, Default)]
pub(super) struct Closing(Arc<OnceLock<Ended>>);

impl Closing {
    /// The broker's reason, else that it gave none.
    pub(super) fn reason(&self) -> Ended {
        self.0.get().cloned().unwrap_or(Ended::Lost)
    }

    /// Whether the broker gave a reason.
    pub(super) fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    fn tell(&self, reason: Ended) {
        // Only the first reason counts: what follows is its consequence.
        self.0.get_or_init(|| reason);
    }
}

#[async_trait]
impl ConnectionCallback for Closing {
    async fn close(&mut self, _: &Connection, close: Close) -> amqprs_result::Result {
        let (code, text) = (close.reply_code(), close.reply_text().clone());
        self.tell(Ended::ConnectionClosed { code, text });
        Ok(())
    }

    // Never called: the library does not advertise `connection.blocked`, and a consuming
    // connection is not blocked in any case.
    async fn blocked(&mut self, _: &Connection, _: String) {}
    async fn unblocked(&mut self, _: &Connection) {}
    async fn secret_updated(&mut self, _: &Connection) {}
}

#[async_trait]
impl ChannelCallback for Closing {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> amqprs_result::Result {
        let (code, text) = (close.reply_code(), close.reply_text().clone());
        self.tell(Ended::ChannelClosed { code, text });
        Ok(())
    }

    // Without an `Ok` from here the library leaves the consumer silently dead for ever.
    async fn cancel(&mut self, _: &Channel, _: Cancel) -> amqprs_result::Result {
        self.tell(Ended::ConsumerCancelled);
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> amqprs_result::Result<bool> {
        Ok(active)
    }

    // A consuming channel publishes nothing.
    async fn publish_ack(&mut self, _: &Channel, _: Ack) {}
    async fn publish_nack(&mut self, _: &Channel, _: Nack) {}
    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

/// The library's result type is private; this names the same type.
pub(super) mod amqprs_result {
    pub(in crate::broker) type Result<T = ()> = std::result::Result<T, amqprs::error::Error>;
}
