//! How a session tells the broker what became of its deliveries.

use std::time::Duration;

use amqprs::channel::{BasicAckArguments, BasicNackArguments, BasicRejectArguments, Channel};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::Session;
use crate::broker::acks::Frame;
use crate::broker::ended::Ended;
use crate::delivery::Delivery;
use crate::settlement::Settlement;

/// The longest wait for room in the connection's queue of outgoing frames, which is full only
/// when the socket takes nothing more.
const SETTLE_MAX: Duration = Duration::from_secs(20);

impl Session {
    /// Settles a message. An ack waits for the next [flush](Self::flush), where many are one
    /// frame; anything else is told at once.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush); the delivery is given up, since the broker hands it out
    /// again.
    pub async fn settle(
        &mut self,
        delivery: Delivery,
        settlement: Settlement,
        now: Instant,
    ) -> Result<(), Ended> {
        let tag = delivery.tag;
        delivery.abandon();
        match settlement {
            Settlement::Ack | Settlement::Replaced(_) => {
                self.acks.ack(tag, now);
                Ok(())
            }
            Settlement::Requeue { .. } | Settlement::Discard => {
                self.acks.told(tag);
                self.check()?;
                self.say(|channel| refuse(channel, tag, settlement)).await
            }
        }
    }

    /// Tells the broker of the acks that wait, as far as they are in order, take up a share of the
    /// window, or have waited for 5 ms; `now` is the time. Cheap when there is nothing to say.
    ///
    /// What is unsaid when the session ends is handed out again.
    ///
    /// # Errors
    /// When the session has ended or the socket takes nothing more. To settle on a channel that
    /// the broker has closed would cost the whole connection (504), so that is not tried.
    pub async fn flush(&mut self, now: Instant) -> Result<(), Ended> {
        self.acks.flush(now, &mut self.frames);
        self.say_frames().await
    }

    /// Whether a [flush](Self::flush) may have something to say that the last one had not.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.acks.has_news()
    }

    /// When the next flush is due at the latest, where an ack waits.
    #[must_use]
    pub fn flush_due(&self) -> Option<Instant> {
        self.acks.due()
    }

    /// How many messages are acked and the broker is not told: if the session ended now, they
    /// would be handed out again.
    #[must_use]
    pub fn unsaid(&self) -> usize {
        self.acks.unsaid()
    }

    /// Tells the broker of all acks that wait.
    pub(super) async fn flush_all(&mut self) -> Result<(), Ended> {
        self.acks.flush_all(&mut self.frames);
        self.say_frames().await
    }

    async fn say_frames(&mut self) -> Result<(), Ended> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut self.frames);
        self.check()?;
        for Frame { tag, multiple } in frames.drain(..) {
            let arguments = BasicAckArguments::new(tag, multiple);
            self.say(|channel| channel.basic_ack(arguments.clone())).await?;
        }
        self.frames = frames;
        Ok(())
    }

    fn check(&self) -> Result<(), Ended> {
        let is_open = self.channel.is_open() && self.connection.is_open();
        if is_open { Ok(()) } else { Err(self.closing.reason()) }
    }

    /// Puts one frame into the connection's queue, which nearly always has room: then it costs no
    /// timer. Dropping a future of `saying` is safe, it only waits for that room.
    async fn say<'a, F>(&'a self, saying: impl Fn(&'a Channel) -> F) -> Result<(), Ended>
    where
        F: Future<Output = Result<(), amqprs::error::Error>>,
    {
        let said = match saying(&self.channel).now_or_never() {
            Some(said) => Ok(said),
            None => tokio::time::timeout(SETTLE_MAX, saying(&self.channel)).await,
        };
        match said {
            Ok(said) => said.map_err(|_| self.closing.reason()),
            Err(_) => Err(Ended::Unresponsive { what: "a settlement", waited: SETTLE_MAX }),
        }
    }
}

async fn refuse(
    channel: &Channel,
    tag: u64,
    settlement: Settlement,
) -> Result<(), amqprs::error::Error> {
    match settlement {
        // With a flush, not here.
        Settlement::Ack | Settlement::Replaced(_) => Ok(()),
        Settlement::Requeue { counted: true } => {
            channel.basic_reject(BasicRejectArguments::new(tag, true)).await
        }
        Settlement::Requeue { counted: false } => {
            channel.basic_nack(BasicNackArguments::new(tag, false, true)).await
        }
        Settlement::Discard => channel.basic_nack(BasicNackArguments::new(tag, false, false)).await,
    }
}
