use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::fields::insert_application;
use super::values::Values;
use super::*;
use crate::broker::properties::PropertiesBuilder;
use crate::config::definition::Http2;
use crate::delivery::{Field, Properties};
use crate::outcome::StatusPolicy;
use crate::secret::Secret;
use crate::tls::TlsSettings;

fn definition(method: &str, headers: &[(&str, &str)]) -> BackendDefinition {
    BackendDefinition {
        name: Arc::from("test"),
        urls: Vec::new(),
        method: method.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect(),
        timeout: Duration::from_secs(5),
        required: true,
        status: StatusPolicy::default(),
        tls: TlsSettings::default(),
        http2: Http2::Negotiate,
        path_is_secret: false,
    }
}

fn template(method: &str, headers: &[(&str, &str)]) -> Template {
    Template::new(&definition(method, headers)).unwrap()
}

fn message(properties: Properties, body: &'static [u8]) -> Message {
    Message {
        exchange: "shop".to_owned(),
        routing_key: "order.created".to_owned(),
        redelivered: false,
        properties,
        body: Bytes::from_static(body),
    }
}

/// All headers in a stable order, one `name: value` each.
fn lines(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

fn application(table: &[(&str, Field<'_>)]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    let table = table.iter().map(|(name, field)| (name.as_bytes(), *field)).collect();
    insert_application(&mut headers, &mut Values::with_capacity(64), table);
    lines(&headers)
}

#[test]
fn every_property_has_its_header() {
    let properties = PropertiesBuilder::default()
        .content_type("application/json")
        .content_encoding("gzip")
        .correlation_id("c-1")
        .reply_to("replies")
        .message_id("m-1")
        .message_type("order")
        .app_id("shop")
        .timestamp(1_700_000_000)
        .priority(9)
        .header("Tenant", "acme")
        .integer_header("version", 3)
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "a=b")
        .header("baggage", "k=v")
        .build();
    let request = template("POST", &[]).build(&message(properties, b"{}"), 2).unwrap();
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.body, "{}");
    let user_agent = format!("user-agent: {USER_AGENT}");
    let expected = [
        "accept: */*",
        "baggage: k=v",
        "content-encoding: gzip",
        "content-length: 2",
        "content-type: application/json",
        "idempotency-key: m-1",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate: a=b",
        &user_agent,
        "x-amqp-app-id: shop",
        "x-amqp-attempt: 2",
        "x-amqp-correlation-id: c-1",
        "x-amqp-exchange: shop",
        "x-amqp-header-tenant: acme",
        "x-amqp-header-version: 3",
        "x-amqp-message-id: m-1",
        "x-amqp-priority: 9",
        "x-amqp-redelivered: false",
        "x-amqp-reply-to: replies",
        "x-amqp-routing-key: order.created",
        "x-amqp-timestamp: 1700000000",
        "x-amqp-type: order",
    ];
    assert_eq!(lines(&request.headers), expected);
}

#[test]
fn a_bare_message_makes_a_bare_request() {
    let mut message = message(Properties::default(), b"");
    message.exchange.clear();
    message.redelivered = true;
    let request = template("POST", &[]).build(&message, 1).unwrap();
    let user_agent = format!("user-agent: {USER_AGENT}");
    let expected = [
        "accept: */*",
        "content-length: 0",
        "content-type: application/octet-stream",
        &user_agent,
        "x-amqp-attempt: 1",
        "x-amqp-redelivered: true",
        "x-amqp-routing-key: order.created",
    ];
    assert_eq!(lines(&request.headers), expected);
}

#[test]
fn properties_that_would_break_a_line_are_left_out() {
    for evil in ["a\r\nX-Admin: 1", "a\nb", "a\rb", "a\0b", "a\u{7f}b", "", " ", "\t"] {
        let properties = PropertiesBuilder::default()
            .content_type(evil)
            .content_encoding(evil)
            .message_id(evil)
            .message_type(evil)
            .build();
        let request = template("POST", &[]).build(&message(properties, b""), 1).unwrap();
        let headers = &request.headers;
        assert_eq!(headers["content-type"], "application/octet-stream", "{evil:?}");
        for name in ["content-encoding", "idempotency-key", "x-amqp-message-id", "x-amqp-type"] {
            assert!(!headers.contains_key(name), "{name} {evil:?}");
        }
    }
}

#[test]
fn a_routing_key_cannot_smuggle_a_header() {
    let mut message = message(Properties::default(), b"");
    message.routing_key = "a\r\nX-Admin: 1".to_owned();
    let request = template("POST", &[]).build(&message, 1).unwrap();
    assert!(!request.headers.contains_key("x-amqp-routing-key"));
    assert!(!request.headers.contains_key("x-admin"));
}

#[test]
fn application_headers_are_sent_where_they_are_legal_text() {
    let table: [(&str, Field<'_>, &[&str]); 22] = [
        ("Text", Field::Text(b"plain"), &["x-amqp-header-text: plain"]),
        ("empty", Field::Text(b""), &["x-amqp-header-empty: "]),
        ("utf8", Field::Text("größe".as_bytes()), &["x-amqp-header-utf8: größe"]),
        ("blanks", Field::Text(b" \ta b\t "), &["x-amqp-header-blanks: a b"]),
        ("int", Field::Integer(i64::MIN), &["x-amqp-header-int: -9223372036854775808"]),
        ("time", Field::Timestamp(u64::MAX), &["x-amqp-header-time: 18446744073709551615"]),
        ("float", Field::Float(-0.5), &["x-amqp-header-float: -0.5"]),
        ("yes", Field::Boolean(true), &["x-amqp-header-yes: true"]),
        ("no", Field::Boolean(false), &["x-amqp-header-no: false"]),
        ("nan", Field::Float(f64::NAN), &[]),
        ("infinite", Field::Float(f64::INFINITY), &[]),
        ("table", Field::Compound, &[]),
        ("crlf", Field::Text(b"a\r\nX-Admin: 1"), &[]),
        ("trailing-newline", Field::Text(b"a\n"), &[]),
        ("nul", Field::Text(b"a\0"), &[]),
        ("", Field::Text(b"a"), &[]),
        ("a b", Field::Text(b"a"), &[]),
        ("a:b", Field::Text(b"a"), &[]),
        ("a\r\nb", Field::Text(b"a"), &[]),
        ("größe", Field::Text(b"a"), &[]),
        ("x-agent-attempt", Field::Integer(3), &[]),
        ("X-Agent-Reason", Field::Text(b"a"), &[]),
    ];
    for (name, field, expected) in table {
        assert_eq!(application(&[(name, field)]), expected, "{name:?}");
    }
}

#[test]
fn no_application_header_reaches_a_name_of_another_kind() {
    for name in ["Host", "Content-Length", "Transfer-Encoding", "X-Amqp-Attempt", "Authorization"] {
        let expected = format!("x-amqp-header-{}: 1", name.to_lowercase());
        assert_eq!(application(&[(name, Field::Text(b"1"))]), [expected]);
    }
}

#[test]
fn names_that_differ_only_in_case_are_sent_once_and_small_letters_win() {
    let table = [("id", Field::Integer(1)), ("ID", Field::Integer(2)), ("Id", Field::Integer(3))];
    assert_eq!(application(&table), ["x-amqp-header-id: 1"]);
    let table = [("traceparent", Field::Text(b"1")), ("TraceParent", Field::Text(b"2"))];
    assert_eq!(application(&table), ["traceparent: 1"]);
}

#[test]
fn trace_context_that_is_no_text_is_left_out() {
    assert!(application(&[("traceparent", Field::Text(b"a\nb"))]).is_empty());
    assert!(application(&[("baggage", Field::Compound)]).is_empty());
}

#[test]
fn headers_that_do_not_fit_are_left_out_and_smaller_ones_still_sent() {
    let long = vec![b'a'; HEADER_BYTES_MAX];
    let half = vec![b'a'; HEADER_BYTES_MAX / 2];
    let table = [
        ("a", Field::Text(&long)),
        ("b", Field::Text(&half)),
        ("c", Field::Text(&half)),
        ("d", Field::Text(b"small")),
    ];
    let names: Vec<_> =
        application(&table).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["x-amqp-header-b", "x-amqp-header-d"]);
}

#[test]
fn application_headers_are_limited_in_number() {
    let names: Vec<_> = (0..5000).map(|number| format!("name-{number:04}")).collect();
    let table: Vec<_> = names.iter().map(|name| (name.as_str(), Field::Integer(1))).collect();
    let sent = application(&table);
    assert_eq!(sent.len(), APPLICATION_HEADERS_MAX);
    assert_eq!(sent[99], "x-amqp-header-name-0099: 1");
}

#[test]
fn a_request_has_room_for_its_host_and_one_header_more() {
    let properties = PropertiesBuilder::default()
        .content_type("text/plain")
        .message_id("m-1")
        .timestamp(1)
        .header("tenant", "acme")
        .build();
    let template = template("POST", &[("Authorization", "Bearer hunter2")]);
    for properties in [properties, Properties::default()] {
        let headers = template.build(&message(properties, b"x"), 2).unwrap().headers;
        // The library doubles a full map when it puts its own headers there.
        assert!(headers.len() + 2 <= headers.capacity(), "{}", headers.len());
    }
}

#[test]
fn values_share_one_buffer_that_holds_nothing_else() {
    let illegal = vec![b'\n'; HEADER_BYTES_MAX / 2];
    let long = vec![b'a'; 4 * HEADER_BYTES_MAX];
    let table = [
        ("a", Field::Text(b"one")),
        ("b", Field::Text(&illegal)),
        ("c", Field::Text(&long)),
        ("d", Field::Text(b"two")),
    ];
    let mut headers = HeaderMap::new();
    let table = table.iter().map(|(name, field)| (name.as_bytes(), *field)).collect();
    insert_application(&mut headers, &mut Values::with_capacity(64), table);
    let start = |name| headers[name].as_bytes().as_ptr().addr();
    assert_eq!(start("x-amqp-header-d") - start("x-amqp-header-a"), "one".len());
}

#[test]
fn configured_headers_win_and_may_repeat() {
    let headers = [
        ("Content-Type", "text/plain"),
        ("X-Key", " one "),
        ("x-key", "two"),
        ("User-Agent", "mine"),
        ("Host", "orders.internal"),
    ];
    let properties = PropertiesBuilder::default().content_type("application/json").build();
    let template = template("PUT", &headers);
    let request = template.build(&message(properties, b"x"), 1).unwrap();
    assert_eq!(request.headers["content-type"], "text/plain");
    assert_eq!(request.headers["user-agent"], "mine");
    assert_eq!(request.headers["host"], "orders.internal");
    let keys: Vec<_> = request.headers.get_all("x-key").iter().collect();
    assert_eq!(keys, ["one", "two"]);
    assert!(keys.iter().all(|value| value.is_sensitive()));
    let probe = template.probe();
    assert_eq!(probe.method, Method::HEAD);
    assert_eq!(probe.headers.get_all("x-key").iter().count(), 2);
    assert!(probe.body.is_empty());
}

#[test]
fn length_is_told_where_content_is_expected_or_present() {
    let table = [
        ("POST", "", Some("0")),
        ("PUT", "", Some("0")),
        ("PATCH", "", Some("0")),
        ("NOTIFY", "", Some("0")),
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "body", Some("4")),
        ("DELETE", "body", Some("4")),
    ];
    for (method, body, length) in table {
        let message = message(Properties::default(), body.as_bytes());
        let request = template(method, &[]).build(&message, 1).unwrap();
        let sent = request.headers.get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(sent, length, "{method} {body:?}");
    }
}

#[test]
fn a_trace_request_cannot_carry_a_body() {
    let template = template("TRACE", &[]);
    assert!(template.build(&message(Properties::default(), b""), 1).is_ok());
    let refused = template.build(&message(Properties::default(), b"x"), 1);
    assert_eq!(refused.unwrap_err(), Impossible::BodyNotAllowed);
}

#[test]
fn definitions_that_cannot_be_sent_are_refused_without_showing_secrets() {
    let refuse = |method: &str, headers: &[(&str, &str)]| {
        Template::new(&definition(method, headers)).unwrap_err().to_string()
    };
    assert_eq!(refuse("P OST", &[]), r#"method "P OST" cannot be sent to a backend"#);
    assert_eq!(refuse("", &[]), r#"method "" cannot be sent to a backend"#);
    assert_eq!(refuse("CONNECT", &[]), r#"method "CONNECT" cannot be sent to a backend"#);
    assert_eq!(refuse("POST", &[("a b", "1")]), r#"header name "a b" is not a token"#);
    assert_eq!(
        refuse("POST", &[("Token", "hunter2\nX: 1")]),
        r#"the value of header "Token" has a character that HTTP does not allow"#
    );
    for name in ["Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE"] {
        assert_eq!(
            refuse("POST", &[(name, "1")]),
            format!("header {name:?} is set by the connection")
        );
    }
}

#[test]
fn debug_output_shows_neither_headers_nor_body() {
    let template = template("POST", &[("Authorization", "Bearer hunter2")]);
    let request = template.build(&message(Properties::default(), b"hunter2"), 1).unwrap();
    assert!(!format!("{template:?} {request:?}").contains("hunter2"));
}

fn any_field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let name = prop_oneof![
        bytes(),
        "[a-zA-Z-]{1,12}".prop_map(String::into_bytes),
        Just(b"traceparent".to_vec()),
    ];
    (name, bytes())
}

proptest! {
    #[test]
    fn whatever_a_message_holds_its_headers_stay_one_line_each(
        table in proptest::collection::vec(any_field(), 0..30),
    ) {
        let mut headers = HeaderMap::new();
        let borrowed = |entry| {
            let (name, value): &(Vec<u8>, Vec<u8>) = entry;
            (name.as_slice(), Field::Text(value.as_slice()))
        };
        let table = table.iter().map(borrowed).collect();
        insert_application(&mut headers, &mut Values::with_capacity(64), table);
        for (name, value) in &headers {
            prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            let own = ["traceparent", "tracestate", "baggage"].contains(&name.as_str());
            prop_assert!(own || name.as_str().starts_with("x-amqp-header-"));
            prop_assert_eq!(headers.get_all(name).iter().count(), 1);
        }
    }
}
