//! One agent's way to the broker: a task with a channel of its own on the shared connection.

use std::rc::Rc;
use std::time::Duration;

use amqprs::channel::{BasicPublishArguments, Channel, ConfirmSelectArguments};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::confirms::Label;
use super::connection::Link;
use super::connector::Connector;
use super::ledger::{Answer, Ledger};
use super::progress::{self, Progress};
use super::{Copy, NotSafe, destination};
use crate::broker::closing::Closing;
use crate::broker::ended::Ended;

/// A channel on which nothing was published for this long is given up.
const IDLE: Duration = Duration::from_mins(5);

/// One copy to publish.
pub(super) struct Request {
    pub(super) copy: Copy,
    pub(super) answer: Answer,
}

/// Publishes what one agent wants published, one copy after the other, until nobody can ask for
/// more. The answers come by themselves, in whichever order.
///
/// Most agents never publish: what it takes is there only from a copy on until the lane is idle.
pub(super) async fn run(
    connector: Rc<Connector>,
    agent: String,
    mut requests: mpsc::Receiver<Box<Request>>,
    progress: watch::Sender<Progress>,
    blocked: watch::Sender<bool>,
) {
    while let Some(first) = requests.recv().await {
        let lane =
            Lane { connector: Rc::clone(&connector), progress: progress.clone(), open: None };
        Box::pin(async {
            tokio::select! {
                () = lane.publish_all(first, &mut requests) => {}
                () = watch_for_stalls(&connector, &agent, progress.subscribe(), &blocked) => {}
            }
        })
        .await;
        connector.gets_on(&agent, false);
    }
}

struct Lane {
    connector: Rc<Connector>,
    progress: watch::Sender<Progress>,
    open: Option<OpenLane>,
}

struct OpenLane {
    link: Rc<Link>,
    channel: Channel,
    ledger: Ledger,
}

impl Lane {
    /// Publishes from `first` on, until nothing more came for a while or can come.
    async fn publish_all(
        mut self,
        first: Box<Request>,
        requests: &mut mpsc::Receiver<Box<Request>>,
    ) {
        self.publish(*first).await;
        loop {
            match timeout(IDLE, requests.recv()).await {
                Ok(Some(request)) => self.publish(*request).await,
                Err(_) if self.progress.borrow().waiting > 0 => {}
                Ok(None) | Err(_) => return self.leave().await,
            }
        }
    }

    async fn publish(&mut self, Request { copy, answer }: Request) {
        // Nobody waits for it any more: then its message comes again, and so does the copy.
        if answer.is_closed() {
            return;
        }
        match self.ready(&copy).await {
            Ok(open) => open.publish(copy, answer).await,
            Err(reason) => {
                answer.send(Err(NotSafe::Ended(reason))).ok();
            }
        }
    }

    /// The channel, when all that `copy` needs is there.
    async fn ready(&mut self, copy: &Copy) -> Result<&OpenLane, Ended> {
        if self.open.as_ref().is_some_and(|open| open.link.is_worn() || !open.is_open()) {
            if self.open.as_ref().is_some_and(OpenLane::is_open) {
                // What was published there is still to be confirmed.
                let mut progress = self.progress.subscribe();
                progress.wait_for(|progress| progress.waiting == 0).await.ok();
            }
            self.leave().await;
        }
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let link = self.connector.link().await?;
            let opening = OpenLane::open(link, self.progress.clone());
            progress::ask(&self.progress, opening).await?
        };
        let open = self.open.insert(open);
        destination::ready(&open.link, copy, &self.progress).await?;
        // That took its time; to publish on a closed channel would cost the whole connection.
        if open.is_open() { Ok(open) } else { Err(open.ledger.reason()) }
    }

    async fn leave(&mut self) {
        let link = self.open.take().map(|OpenLane { link, channel, ledger: _ }| {
            if link.is_open() && !channel.is_open() {
                link.lost_channel();
            }
            // The library closes what is still open behind us.
            drop(channel);
            link
        });
        self.connector.leave(link).await;
    }
}

impl OpenLane {
    /// A channel in confirm mode.
    async fn open(link: Rc<Link>, progress: watch::Sender<Progress>) -> Result<Self, Ended> {
        let closing = Closing::default();
        let ledger =
            Ledger::new(progress, link.known.clone(), closing.clone(), link.closing.clone());
        let channel = link.open_channel(&closing, ledger.listener()).await?;
        let selected = channel.clone();
        let selecting =
            async move { selected.confirm_select(ConfirmSelectArguments::new(false)).await };
        let selected = link.call("confirm.select", &closing, selecting).await;
        if let Err(Ended::ChannelClosed { .. }) = selected {
            link.lost_channel();
        }
        selected.map(|()| Self { link, channel, ledger })
    }

    fn is_open(&self) -> bool {
        self.link.is_open() && self.channel.is_open() && !self.ledger.has_ended()
    }

    /// Publishes a copy; `answer` hears what became of it.
    ///
    /// Waits only for room among the connection's frames.
    async fn publish(&self, copy: Copy, answer: Answer) {
        let properties = copy.properties.0;
        let label = Label {
            exchange: copy.exchange.clone(),
            routing_key: copy.routing_key.clone(),
            message_id: properties.message_id().cloned(),
            body: copy.body.clone(),
        };
        // Noted first: the confirm may be there before the call returns.
        if !self.ledger.publish(label, answer) {
            return;
        }
        self.link.publishes();
        let mut arguments = BasicPublishArguments::new(&copy.exchange, &copy.routing_key);
        let arguments = arguments.mandatory(true).finish();
        // It fails only when the connection is gone, which the ledger hears by itself.
        self.channel.basic_publish(properties, Vec::from(copy.body), arguments).await.ok();
    }
}

/// Tells of copies that are not confirmed, for as long as the lane lives.
async fn watch_for_stalls(
    connector: &Connector,
    agent: &str,
    mut progress: watch::Receiver<Progress>,
    blocked: &watch::Sender<bool>,
) {
    loop {
        let stalled = progress::stalled(&mut progress).await;
        blocked.send_replace(true);
        connector.stalls(agent, stalled);
        let is_answered = progress::gets_on(&mut progress, stalled).await;
        blocked.send_replace(false);
        connector.gets_on(agent, is_answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition::tests::definition;

    #[test]
    fn a_lane_that_was_never_needed_takes_little_memory() {
        let connector = Rc::new(Connector::new(&definition("idle").source.brokers));
        let (_requests, received) = mpsc::channel::<Box<Request>>(1);
        let (progress, _) = watch::channel(Progress::default());
        let (blocked, _) = watch::channel(false);
        let lane = run(connector, "idle".to_owned(), received, progress, blocked);
        assert!(size_of_val(&lane) <= 256, "{} bytes", size_of_val(&lane));
    }
}
