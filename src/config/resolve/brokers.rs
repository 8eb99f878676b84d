//! `host`, `heartbeat`, `connect_timeout` and `tls` of `["async/amqp"]`: the brokers.

use std::time::Duration;

use toml::Spanned;

use super::address::{
    CONNECT_TIMEOUT_MAX, Common, HEARTBEAT_REASON, HEARTBEAT_SECONDS_MIN, address,
};
use super::number::Limits;
use super::tls::TlsFiles;
use super::{Scope, period};
use crate::config::definition::BrokerAddress;
use crate::config::source_map::Span;
use crate::config::spec::AmqpSpec;

/// The brokers, in the order in which they are tried.
pub(super) fn brokers(
    amqp: &AmqpSpec,
    within: Option<&Span>,
    scope: &mut Scope<'_, '_>,
) -> Vec<BrokerAddress> {
    const BROKERS_MAX: usize = 100;
    let heartbeat = Limits {
        key: "heartbeat",
        lowest: Duration::from_secs(HEARTBEAT_SECONDS_MIN.into()),
        highest: Duration::from_secs(u16::MAX.into()),
        because: HEARTBEAT_REASON,
    };
    let connect_timeout = Limits {
        key: "connect_timeout",
        lowest: Duration::from_millis(1),
        highest: CONNECT_TIMEOUT_MAX,
        because: "",
    };
    let ten_seconds = Duration::from_secs(10);
    let heartbeat = period(amqp.heartbeat.as_ref(), &heartbeat, scope.report);
    if let (Some(heartbeat), Some(key)) = (heartbeat, &amqp.heartbeat)
        && heartbeat.subsec_nanos() != 0
    {
        scope.report.error(&key.span(), "`heartbeat` is not in whole seconds", "round it");
    }
    let timeout = period(amqp.connect_timeout.as_ref(), &connect_timeout, scope.report);
    let tls_files = TlsFiles::of(amqp.tls.as_ref().map(Spanned::get_ref));
    let common = Common {
        heartbeat_seconds: u16::try_from(heartbeat.unwrap_or(ten_seconds).as_secs()).unwrap_or(10),
        connect_timeout: timeout.unwrap_or(ten_seconds),
        tls: tls_files.load(scope),
        tls_files,
    };
    let Some(host) = &amqp.host else {
        if let Some(within) = within {
            let remedy =
                "set it to the broker's URI, such as \"amqp://guest:guest@localhost:5672/\"";
            scope.report.missing(scope.file, "async/amqp.host", within, remedy);
        }
        return Vec::new();
    };
    let uris = host.get_ref().each(&host.span());
    if uris.is_empty() || uris.len() > BROKERS_MAX {
        let problem = format!("`host` lists {} brokers", uris.len());
        scope.report.error(&host.span(), problem, format!("list 1 to {BROKERS_MAX}"));
    }
    let brokers: Vec<BrokerAddress> = uris
        .iter()
        .take(BROKERS_MAX)
        .filter_map(|(span, uri)| address(span, uri, &common, scope))
        .collect();
    if let Some(tls) = &amqp.tls
        && !scope.is_inherited(&tls.span())
        && brokers.len() == uris.len()
        && brokers.iter().all(|broker| broker.tls.is_none())
        && !management_uses_tls(amqp)
    {
        scope.report.error(
            &tls.span(),
            "`tls` is set, and no broker is spoken to by TLS",
            "use amqps:// in `host`, or remove `tls`",
        );
    }
    brokers
}

/// Whether `management` names a `https` address, also one that was refused for something else.
fn management_uses_tls(amqp: &AmqpSpec) -> bool {
    let uses_tls = |text: &str| text.to_ascii_lowercase().starts_with("https:");
    amqp.management
        .as_ref()
        .is_some_and(|key| key.get_ref().each(&key.span()).iter().any(|(_, text)| uses_tls(text)))
}
