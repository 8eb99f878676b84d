//! From an address to an open connection.

use std::sync::Arc;

use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::security::SecurityCredentials;
use amqprs::tls::TlsAdaptor;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::ended::Ended;
use super::rpc;
use crate::config::definition::{AuthMechanism, BrokerAddress};
use crate::tls;

/// Connects to `address` and logs in, within its `connect_timeout`. `name` is what the broker
/// shows of the connection.
///
/// Cancel-safe: the library starts tasks of its own only once the connection stands.
pub(super) async fn login(address: &BrokerAddress, name: &str) -> Result<Connection, Ended> {
    let arguments = arguments(address, name)?;
    let mut task = JoinSet::new();
    task.spawn(async move { Connection::open(&arguments).await });
    match tokio::time::timeout(address.connect_timeout, task.join_next()).await {
        Ok(Some(Ok(Ok(connection)))) => Ok(connection),
        Ok(Some(Ok(Err(error)))) => Err(refused(&error)),
        Ok(Some(Err(error))) => Err(rpc::failed(error)),
        Ok(None) | Err(_) => Err(Ended::ConnectTimeout(address.connect_timeout)),
    }
}

fn arguments(address: &BrokerAddress, name: &str) -> Result<OpenConnectionArguments, Ended> {
    // The library joins host and port with a colon.
    let host = if address.host.contains(':') {
        format!("[{}]", address.host)
    } else {
        address.host.clone()
    };
    let mut arguments = OpenConnectionArguments::default();
    arguments
        .host(&host)
        .port(address.port)
        .credentials(credentials(address))
        .virtual_host(&address.vhost)
        .connection_name(name)
        .heartbeat(address.heartbeat_seconds);
    if let Some(settings) = &address.tls {
        let config =
            tls::client_config(settings, &[]).map_err(|error| Ended::Tls(error.to_string()))?;
        let domain = settings.server_name.clone().unwrap_or_else(|| address.host.clone());
        arguments.tls_adaptor(TlsAdaptor::new(TlsConnector::from(Arc::new(config)), domain));
    }
    Ok(arguments)
}

fn credentials(address: &BrokerAddress) -> SecurityCredentials {
    match address.auth {
        AuthMechanism::Plain => {
            SecurityCredentials::new_plain(&address.username, address.password.expose())
        }
        AuthMechanism::AmqPlain => {
            SecurityCredentials::new_amqplain(&address.username, address.password.expose())
        }
        AuthMechanism::External => SecurityCredentials::new_external(),
    }
}

/// Tells a refused login from a broker that is not there: the library reports both as a
/// network error, and only the text differs.
fn refused(error: &Error) -> Ended {
    match error {
        Error::NetworkError(text) if is_login_refusal(text) => Ended::LoginRefused,
        Error::NetworkError(text) => {
            let text = text.strip_prefix("network io error: ").unwrap_or(text);
            Ended::Unreachable(text.to_owned())
        }
        Error::ConnectionOpenError(text) => Ended::OpenRefused(text.clone()),
        Error::UriError(text)
        | Error::ConnectionCloseError(text)
        | Error::ConnectionUseError(text)
        | Error::ChannelOpenError(text)
        | Error::ChannelCloseError(text)
        | Error::ChannelUseError(text)
        | Error::InternalChannelError(text)
        | Error::UpdateSecretError(text) => Ended::LibraryFailed(text.clone()),
        // The library keeps its list of errors open.
        _ => Ended::LibraryFailed(error.to_string()),
    }
}

/// Once TCP stands, RabbitMQ ends the connection without a word for one reason: the login.
fn is_login_refusal(text: &str) -> bool {
    text.contains("reset by peer") || text.contains("peer shutdown") || text.contains("eof")
}
