//! One publishing connection.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amqprs::Close;
use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::Channel;
use amqprs::connection::Connection;
use amqprs::error::Error;
use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::known::Known;
use crate::broker::closing::{Closing, amqprs_result};
use crate::broker::ended::Ended;
use crate::broker::server::Server;
use crate::broker::{login, rpc};
use crate::config::definition::BrokerAddress;

/// The library never uses the number of a channel again that the broker closed, and panics when
/// the last of, by default, 2047 is gone. After so many the connection is replaced.
pub(super) const LOST_CHANNELS_MAX: u32 = 500;

/// The longest wait for the broker when we leave.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// A connection that only publishes, for the agents of one thread.
pub(super) struct Link {
    connection: Connection,
    /// What it is a connection to.
    pub(super) server: Server,
    pub(super) closing: Closing,
    /// Since when it stands.
    pub(super) opened: Instant,
    /// What is declared, as far as this connection has seen.
    pub(super) known: Known,
    gone: Arc<AtomicBool>,
    lost_channels: Cell<u32>,
    has_published: Cell<bool>,
}

impl Link {
    /// Connects and logs in, within `connect_timeout`.
    pub(super) async fn open(address: &BrokerAddress, name: &str) -> Result<Self, Ended> {
        let connection = login::login(address, name).await?;
        let (closing, gone) = (Closing::default(), Arc::new(AtomicBool::new(false)));
        let callback = Listener { closing: closing.clone(), gone: Arc::clone(&gone) };
        let watched = connection.clone();
        rpc::call(
            "connection.open",
            &closing,
            async move { watched.register_callback(callback).await },
        )
        .await?;
        Ok(Self {
            server: Server::of(&connection),
            connection,
            closing,
            opened: Instant::now(),
            known: Known::default(),
            gone,
            lost_channels: Cell::new(0),
            has_published: Cell::new(false),
        })
    }

    /// Whether it can be published on, for all we know.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open() && !self.gone.load(Ordering::Relaxed)
    }

    /// Whether so many channels were lost that it is to be replaced.
    pub(super) fn is_worn(&self) -> bool {
        self.lost_channels.get() >= LOST_CHANNELS_MAX
    }

    /// The broker closed one of its channels.
    pub(super) fn lost_channel(&self) {
        self.lost_channels.set(self.lost_channels.get().saturating_add(1));
    }

    /// A copy is about to be published: from now on an alarm may hold everything up.
    pub(super) fn publishes(&self) {
        self.has_published.set(true);
    }

    /// Opens a channel whose end is told to `closing` by way of `callback`.
    pub(super) async fn open_channel(
        &self,
        closing: &Closing,
        callback: impl ChannelCallback + Send + 'static,
    ) -> Result<Channel, Ended> {
        let connection = self.connection.clone();
        let opening = async move { connection.open_channel(None).await };
        let channel = self.call("channel.open", closing, opening).await?;
        let watched = channel.clone();
        let registering = async move { watched.register_callback(callback).await };
        self.call("channel.open", closing, registering).await.map(|()| channel)
    }

    /// Makes one call and waits for its answer.
    ///
    /// A broker with an alarm reads nothing more from a connection that has published, and so
    /// answers nothing: then the wait has no limit but the connection's own life, for to give the
    /// connection up would lose confirms and make copies twice.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        closing: &Closing,
        future: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Ended> {
        let answer = if self.has_published.get() {
            rpc::call_patiently(closing, future).await
        } else {
            rpc::call(what, closing, future).await
        };
        if let Err(Ended::Unresponsive { .. } | Ended::LibraryFailed(_)) = answer {
            // What the library makes of a call that was given up is not to be relied upon.
            self.gone.store(true, Ordering::Relaxed);
        }
        answer.map_err(|reason| if reason == Ended::Lost { self.closing.reason() } else { reason })
    }

    /// Takes leave, within 3 s. What is not confirmed by then never is.
    pub(super) async fn close(self) {
        let connection = self.connection;
        let mut leaving = JoinSet::new();
        // Crossing the broker's own close makes this fail; the connection is gone either way.
        leaving.spawn(async move { connection.close().await.ok() });
        tokio::time::timeout(CLOSE_MAX, leaving.join_next()).await.ok();
    }
}

/// Hears of the connection's end on the library's task, and with it ends itself.
struct Listener {
    closing: Closing,
    gone: Arc<AtomicBool>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl ConnectionCallback for Listener {
    async fn close(&mut self, connection: &Connection, close: Close) -> amqprs_result::Result {
        ConnectionCallback::close(&mut self.closing, connection, close).await
    }

    // Never called: the library does not advertise `connection.blocked`.
    async fn blocked(&mut self, _: &Connection, _: String) {}
    async fn unblocked(&mut self, _: &Connection) {}
    async fn secret_updated(&mut self, _: &Connection) {}
}
