//! A queue consumed by amqprs.

use amqprs::channel::{
    BasicAckArguments, BasicCancelArguments, BasicConsumeArguments, BasicNackArguments,
    BasicQosArguments, Channel, ConsumerMessage,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use percent_encoding::percent_decode_str;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::Failure;

/// A consumer with a connection of its own.
pub struct Consumer {
    pub channel: Channel,
    pub messages: UnboundedReceiver<ConsumerMessage>,
    tag: String,
    connection: Connection,
}

impl Consumer {
    pub async fn open(url: &str, queue: &str, window: u16) -> Result<Consumer, Failure> {
        let url = Url::parse(url)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let host = url.host_str().ok_or("the broker's URL names no host")?;
        let user = if url.username().is_empty() { "guest" } else { url.username() };
        let (user, password) = (decoded(user), decoded(url.password().unwrap_or("guest")));
        let port = url.port().unwrap_or(5672);
        let mut options = OpenConnectionArguments::new(host, port, &user, &password);
        if let vhost @ [_, ..] = url.path().trim_start_matches('/').as_bytes() {
            options.virtual_host(&decoded(&String::from_utf8_lossy(vhost)));
        }
        let connection = Connection::open(&options).await?;
        let channel = connection.open_channel(None).await?;
        channel.basic_qos(BasicQosArguments::new(0, window, false)).await?;
        let consume = BasicConsumeArguments::new(queue, "");
        let (tag, messages) = channel.basic_consume_rx(consume).await?;
        Ok(Consumer { channel, messages, tag, connection })
    }

    /// Asks for no more messages; those that are here still come.
    pub async fn cancel(&self) -> Result<(), Failure> {
        self.channel.basic_cancel(BasicCancelArguments::new(&self.tag)).await?;
        Ok(())
    }

    /// Ends in good order.
    pub async fn close(self) -> Result<(), Failure> {
        self.channel.close().await?;
        self.connection.close().await?;
        Ok(())
    }
}

/// Acks one message or all up to it.
pub async fn ack(channel: &Channel, tag: u64, multiple: bool) -> Result<(), Failure> {
    Ok(channel.basic_ack(BasicAckArguments::new(tag, multiple)).await?)
}

/// Puts a message back.
pub async fn nack(channel: &Channel, tag: u64) -> Result<(), Failure> {
    Ok(channel.basic_nack(BasicNackArguments::new(tag, false, true)).await?)
}

/// Tag and body of a message.
pub fn parts(message: ConsumerMessage) -> Option<(u64, Vec<u8>)> {
    Some((message.deliver?.delivery_tag(), message.content.unwrap_or_default()))
}

/// Hears SIGTERM and SIGINT.
pub struct Stop(UnixStream);

impl Stop {
    pub fn hear() -> Result<Stop, Failure> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        pipe::register(SIGTERM, write.try_clone()?)?;
        pipe::register(SIGINT, write)?;
        Ok(Stop(UnixStream::from_std(read)?))
    }

    /// Until a signal comes. Cancel-safe.
    pub async fn wait(&mut self) {
        // No word from the other end is no signal either, but there is nothing more to hear.
        self.0.read_u8().await.ok();
    }
}
