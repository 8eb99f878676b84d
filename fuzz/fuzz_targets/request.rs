//! Request building: whatever a message holds, its request holds no header but those it may.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amqp_agentd::broker::properties::PropertiesBuilder;
use amqp_agentd::config::definition::{BackendDefinition, Http2};
use amqp_agentd::delivery::Message;
use amqp_agentd::outcome::StatusPolicy;
use amqp_agentd::request::{APPLICATION_HEADERS_MAX, HEADER_BYTES_MAX, Template};
use amqp_agentd::secret::Secret;
use amqp_agentd::tls::TlsSettings;
use libfuzzer_sys::fuzz_target;

/// What a request may carry besides `x-amqp-header-`.
const OWN: [&str; 21] = [
    "accept",
    "authorization",
    "baggage",
    "content-encoding",
    "content-length",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-amqp-app-id",
    "x-amqp-attempt",
    "x-amqp-correlation-id",
    "x-amqp-exchange",
    "x-amqp-message-id",
    "x-amqp-priority",
    "x-amqp-redelivered",
    "x-amqp-reply-to",
    "x-amqp-routing-key",
    "x-amqp-timestamp",
    "x-amqp-type",
];

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    Template::new(&BackendDefinition {
        name: Arc::from("fuzz"),
        urls: Vec::new(),
        method: "POST".to_owned(),
        headers: vec![("Authorization".to_owned(), Secret::new("configured"))],
        timeout: Duration::from_secs(5),
        required: true,
        status: StatusPolicy::default(),
        tls: TlsSettings::default(),
        http2: Http2::Negotiate,
        path_is_secret: false,
    })
    .expect("the definition is sound")
});

/// Texts between record separators: properties first, then names and values of headers.
fn message(data: &[u8]) -> Message {
    let mut texts = data.split(|byte| *byte == 0x1e).map(String::from_utf8_lossy);
    let mut text = || texts.next().unwrap_or_default().into_owned();
    let (exchange, routing_key) = (text(), text());
    let mut properties = PropertiesBuilder::default()
        .content_type(&text())
        .content_encoding(&text())
        .correlation_id(&text())
        .reply_to(&text())
        .message_id(&text())
        .message_type(&text())
        .app_id(&text())
        .timestamp(data.len() as u64)
        .priority(data.first().copied().unwrap_or(0));
    while let Some(name) = texts.next() {
        let value = texts.next().unwrap_or_default();
        properties = match value.parse() {
            Ok(integer) => properties.integer_header(&name, integer),
            Err(_) => properties.header(&name, &value),
        };
    }
    let body = data.to_vec().into();
    Message { exchange, routing_key, redelivered: false, properties: properties.build(), body }
}

/// A token of RFC 9110, section 5.6.2, without capitals.
fn is_token(name: &str) -> bool {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !name.is_empty() && name.bytes().all(legal)
}

fuzz_target!(|data: &[u8]| {
    let request = TEMPLATE.build(&message(data), 1).expect("a POST can carry anything");
    assert_eq!(request.headers["content-length"], data.len().to_string().as_str());
    assert_eq!(request.headers["authorization"], "configured");
    let mut bytes = 0;
    let mut application = 0;
    for (name, value) in &request.headers {
        let is_application = name.as_str().starts_with("x-amqp-header-");
        application += usize::from(is_application);
        bytes += name.as_str().len() + value.len() + 4;
        assert!(is_application || OWN.contains(&name.as_str()), "{name}");
        assert!(is_token(name.as_str()), "{name}");
        let text = value.as_bytes();
        assert!(!text.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f));
        assert_eq!(text, text.trim_ascii());
        assert_eq!(request.headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert!(application <= APPLICATION_HEADERS_MAX);
    // The configured header is not counted.
    assert!(bytes <= HEADER_BYTES_MAX + "authorization: configured\r\n".len());
});
