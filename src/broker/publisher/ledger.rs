//! The copies of one channel between us, who publish them, and the library, which hears of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::Channel;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::NotSafe;
use super::confirms::{Confirms, Label};
use super::known::Known;
use super::progress::Progress;
use crate::broker::closing::{Closing, amqprs_result};
use crate::broker::ended::Ended;

/// Where the fate of one copy is told.
pub(super) type Answer = oneshot::Sender<Result<(), NotSafe>>;

/// What was published on one channel and is not yet settled.
///
/// Shared with the library's task for the channel, which answers whoever waits. When that task
/// ends, for whatever reason, it drops its [`Listener`], and so nobody waits in vain.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Shared>);

struct Shared {
    book: Mutex<Book>,
    progress: watch::Sender<Progress>,
    known: Known,
    channel: Closing,
    connection: Closing,
}

#[derive(Default)]
struct Book {
    confirms: Confirms<Answer>,
    ended: bool,
}

impl Ledger {
    /// For a channel whose end is told to `channel`, of a connection whose is to `connection`.
    pub(super) fn new(
        progress: watch::Sender<Progress>,
        known: Known,
        channel: Closing,
        connection: Closing,
    ) -> Self {
        let book = Mutex::new(Book::default());
        Self(Arc::new(Shared { book, progress, known, channel, connection }))
    }

    /// The library's callback for the channel; once.
    pub(super) fn listener(&self) -> Listener {
        Listener(self.clone())
    }

    /// Notes a copy just before it is published; whether the channel has not ended, else the
    /// answer is given.
    pub(super) fn publish(&self, label: Label, answer: Answer) -> bool {
        let mut book = self.book();
        if book.ended {
            answer.send(Err(NotSafe::Ended(self.reason()))).ok();
            return false;
        }
        book.confirms.publish(label, answer);
        self.0.progress.send_modify(|progress| progress.began(Instant::now()));
        true
    }

    /// Whether the library's task for the channel is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.book().ended
    }

    /// Why the channel ended, in the broker's words where it said any.
    pub(super) fn reason(&self) -> Ended {
        let Shared { channel, connection, .. } = &*self.0;
        if channel.is_known() { channel.reason() } else { connection.reason() }
    }

    fn settle(&self, tag: u64, multiple: bool, is_taken: bool) {
        let told = self.book().confirms.settle(tag, multiple, is_taken);
        self.0.progress.send_modify(|progress| progress.answered(told.len(), Instant::now()));
        for (answer, result) in told {
            // Whoever asked may have stopped waiting.
            answer.send(result).ok();
        }
    }

    fn end(&self) {
        let waiting = {
            let mut book = self.book();
            book.ended = true;
            book.confirms.end()
        };
        self.0.progress.send_modify(|progress| progress.gone(waiting.len(), Instant::now()));
        for answer in waiting {
            answer.send(Err(NotSafe::Ended(self.reason()))).ok();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what the broker says of the copies, on the library's task.
pub(super) struct Listener(Ledger);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[async_trait]
impl ChannelCallback for Listener {
    async fn close(&mut self, channel: &Channel, close: CloseChannel) -> amqprs_result::Result {
        let Shared { channel: closing, known, .. } = &*self.0.0;
        // It may be that an exchange is gone.
        known.forget_exchanges();
        ChannelCallback::close(&mut closing.clone(), channel, close).await
    }

    // There is no consumer.
    async fn cancel(&mut self, _: &Channel, _: Cancel) -> amqprs_result::Result {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> amqprs_result::Result<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.0.settle(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.0.settle(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(
        &mut self,
        _: &Channel,
        came_back: Return,
        properties: BasicProperties,
        body: Vec<u8>,
    ) {
        let label = Label {
            exchange: came_back.exchange().clone(),
            routing_key: came_back.routing_key().clone(),
            message_id: properties.message_id().cloned(),
            body: Bytes::from(body),
        };
        if label.exchange.is_empty() {
            // Its queue was deleted: the next try declares it anew.
            self.0.0.known.forget_queue(&label.routing_key);
        }
        let (code, text) = (came_back.reply_code(), came_back.reply_text());
        self.0.book().confirms.returned(&label, code, text);
    }
}
