//! Whether anything that speaks AMQP is there at all.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::config::definition::BrokerAddress;

/// The protocol header, AMQP 0-9-1 section 4.2.2.
const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The first octet of a method frame: the broker's `connection.start`.
const METHOD: u8 = 1;

/// Whether a broker at `address` answers the protocol header before `deadline`.
///
/// A load balancer takes a connection and resets it when no broker is behind it, which the
/// client library cannot tell from a refused login; a broker greets before it asks who we are.
pub(super) async fn is_given(
    address: &BrokerAddress,
    tls: Option<(TlsConnector, String)>,
    deadline: Instant,
) -> bool {
    let greeting = async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.ok()?;
        let Some((connector, domain)) = tls else { return first_octet(stream).await };
        let domain = rustls::pki_types::ServerName::try_from(domain).ok()?;
        first_octet(connector.connect(domain, stream).await.ok()?).await
    };
    matches!(timeout_at(deadline, greeting).await, Ok(Some(METHOD)))
}

async fn first_octet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<u8> {
    stream.write_all(HEADER).await.ok()?;
    stream.flush().await.ok()?;
    stream.read_u8().await.ok()
}
