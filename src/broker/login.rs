//! From an address to an open connection.

use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::security::SecurityCredentials;
use amqprs::tls::TlsAdaptor;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::ended::Ended;
use super::{greeting, rpc};
use crate::config::definition::{AuthMechanism, BrokerAddress};
use crate::tls;

/// Connects to `address` and logs in, within its `connect_timeout`. `name` is what the broker
/// shows of the connection.
///
/// Cancel-safe: the library starts tasks of its own only once the connection stands.
pub(super) async fn login(address: &BrokerAddress, name: &str) -> Result<Connection, Ended> {
    let deadline = Instant::now() + address.connect_timeout;
    let tls = tls(address)?;
    let arguments = arguments(address, name, tls.clone());
    let mut task = JoinSet::new();
    task.spawn(async move { Connection::open(&arguments).await });
    let refused = match tokio::time::timeout_at(deadline, task.join_next()).await {
        Ok(Some(Ok(Ok(connection)))) => return Ok(connection),
        Ok(Some(Ok(Err(error)))) => refused(&error),
        Ok(Some(Err(error))) => rpc::failed(error),
        Ok(None) | Err(_) => Ended::ConnectTimeout(address.connect_timeout),
    };
    if refused == Ended::LoginRefused && !greeting::is_given(address, tls, deadline).await {
        return Err(Ended::Unreachable(
            "closed before a broker spoke: a load balancer without a broker, or a TLS port?"
                .to_owned(),
        ));
    }
    Err(refused)
}

/// What makes the connection one of TLS, and the name to ask for.
fn tls(address: &BrokerAddress) -> Result<Option<(TlsConnector, String)>, Ended> {
    let Some(settings) = &address.tls else { return Ok(None) };
    let config = tls::shared_config(settings).map_err(|error| Ended::Tls(error.to_string()))?;
    let domain = settings.server_name.clone().unwrap_or_else(|| address.host.clone());
    Ok(Some((TlsConnector::from(config), domain)))
}

fn arguments(
    address: &BrokerAddress,
    name: &str,
    tls: Option<(TlsConnector, String)>,
) -> OpenConnectionArguments {
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
    if let Some((connector, domain)) = tls {
        arguments.tls_adaptor(TlsAdaptor::new(connector, domain));
    }
    arguments
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
        Error::ConnectionOpenError(text) => match close_method(text) {
            Some((code, text)) => Ended::ConnectionClosed { code, text },
            None => Ended::OpenRefused(text.clone()),
        },
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

/// The broker's code and text, which the library tells of an opening that was refused only as
/// its own debug output of `connection.close`.
fn close_method(text: &str) -> Option<(u16, String)> {
    let (_, rest) = text.split_once("reply_code: ")?;
    let (code, rest) = rest.split_once(", reply_text: \"")?;
    let (text, _) = rest.rsplit_once("\", class_id: ")?;
    Some((code.parse().ok()?, text.replace("\\\"", "\"").replace("\\'", "'")))
}

/// Once TCP stands, RabbitMQ ends the connection without a word for one reason: the login.
fn is_login_refusal(text: &str) -> bool {
    text.contains("reset by peer") || text.contains("peer shutdown") || text.contains("eof")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_that_was_refused_is_told_with_the_brokers_code_and_text() {
        let text = r#"failed to open connection, reason: Close(MethodHeader { class_id: 10, method_id: 50 }, Close { reply_code: 530, reply_text: "NOT_ALLOWED - vhost \"a\" not found", class_id: 10, method_id: 40 })"#;
        let refused = refused(&Error::ConnectionOpenError(text.to_owned()));
        let text = r#"NOT_ALLOWED - vhost "a" not found"#.to_owned();
        assert_eq!(refused, Ended::ConnectionClosed { code: 530, text });
        let error = Error::ConnectionOpenError("locale 'en_US' is not supported".to_owned());
        assert!(matches!(super::refused(&error), Ended::OpenRefused(_)));
    }
}
