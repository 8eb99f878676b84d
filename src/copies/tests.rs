use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::broker::properties::PropertiesBuilder;
use crate::delivery::Field;

fn message(properties: Properties) -> Message {
    Message {
        exchange: "shop".to_owned(),
        routing_key: "order.created".to_owned(),
        redelivered: false,
        properties,
        body: Bytes::from_static(b"\x00body"),
    }
}

fn failure() -> Failure<'static> {
    Failure {
        agent: "orders",
        backend: "shop",
        error: "status 500".to_owned(),
        status: Some(500),
        excerpt: b"out of stock",
        attempts: 2,
        tries: 6,
        first: 1_000,
        last: 1_030,
        done: vec!["audit", "mail"],
        traceparent: None,
    }
}

fn target() -> DeadLetter {
    DeadLetter {
        exchange: String::new(),
        routing_key: Some("orders.dead".to_owned()),
        declare: true,
    }
}

fn text_of(copy: &Copy, name: &str) -> Option<String> {
    match copy.properties.header(name) {
        Some(Field::Text(text)) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// What the copy is to us when it comes back by the default exchange.
fn come_back(copy: &Copy) -> (Message, History) {
    let mut message = Message {
        exchange: String::new(),
        routing_key: "orders".to_owned(),
        redelivered: false,
        properties: copy.properties.clone(),
        body: copy.body.clone(),
    };
    let history = History::take_up(&mut message);
    (message, history)
}

fn retried(message: &Message) -> Copy {
    retry(message, &failure(), "orders", QueueType::Quorum, Duration::from_secs(30))
        .expect("it fits")
}

#[test]
fn a_retry_goes_to_its_delay_queue_and_brings_back_what_it_took_along() {
    let published = message(PropertiesBuilder::default().message_id("7").build());
    let copy = retried(&published);
    assert_eq!((copy.exchange.as_str(), copy.routing_key.as_str()), ("", "orders.retry.30s"));
    let queue = CopyQueue {
        name: "orders.retry.30s".to_owned(),
        kind: QueueType::Quorum,
        delay: Some((Duration::from_secs(30), "orders".to_owned())),
    };
    assert_eq!(copy.queue, Some(queue));
    let (back, history) = come_back(&copy);
    assert_eq!((back.exchange, back.routing_key), (published.exchange, published.routing_key));
    assert_eq!(back.body, published.body);
    assert_eq!((history.attempts, history.tries, history.first_failure), (2, 6, Some(1_000)));
    assert!(history.has("audit") && history.has("mail") && !history.has("shop"));
}

#[test]
fn a_message_that_comes_for_the_first_time_has_no_history() {
    let mut published = message(PropertiesBuilder::default().header("a", "b").build());
    let history = History::take_up(&mut published);
    assert_eq!(history, History::default());
    assert!(!history.has(""));
    assert_eq!(
        (published.exchange.as_str(), published.routing_key.as_str()),
        ("shop", "order.created")
    );
}

#[test]
fn headers_do_not_grow_however_often_a_message_is_retried() {
    let mut message = message(PropertiesBuilder::default().header("k", "v").build());
    let mut octets = Vec::new();
    for _ in 0..5 {
        let copy = retried(&message);
        octets.push(copy.properties.octets());
        // What RabbitMQ adds when it dead-letters the copy back.
        let deaths = [
            ("x-death", Added::Text(b"orders.retry.30s expired".to_vec())),
            ("x-first-death-queue", Added::Text(b"orders.retry.30s".to_vec())),
            ("x-delivery-count", Added::Integer(1)),
        ];
        message.properties = copy.properties.with_headers(|_| Fate::Keep, deaths);
    }
    assert!(octets.windows(2).all(|pair| pair[0] == pair[1]), "{octets:?}");
}

#[test]
fn what_would_end_a_copy_or_lead_it_astray_is_kept_under_another_name() {
    let properties = PropertiesBuilder::default()
        .expiration("60000")
        .user_id("somebody")
        .header("CC", "elsewhere")
        .header("x-death", "before")
        .integer_header("x-delivery-count", 3)
        .build();
    let copy = retried(&message(properties));
    assert_eq!(copy.properties.without_expiry_and_user().1, crate::broker::Removed::default());
    for (name, value) in [
        (headers::EXPIRATION, "60000"),
        (headers::USER_ID, "somebody"),
        (headers::CC, "elsewhere"),
        ("x-agent-x-death", "before"),
    ] {
        assert_eq!(text_of(&copy, name).as_deref(), Some(value), "{name}");
    }
    for name in ["CC", "x-death", "x-delivery-count"] {
        assert_eq!(copy.properties.header(name), None, "{name}");
    }
    // All of it survives a second retry, and the dead letter has the message's own x-death again.
    let (mut back, _) = come_back(&copy);
    let death = [("x-death", Added::Text(b"orders.retry.30s".to_vec()))];
    back.properties = back.properties.with_headers(|_| Fate::Keep, death);
    let again = retried(&back);
    assert_eq!(text_of(&again, headers::EXPIRATION).as_deref(), Some("60000"));
    let (back, _) = come_back(&again);
    let dead = dead_letter(&back, &failure(), Reason::Attempts, &target(), QueueType::Quorum);
    assert_eq!(text_of(&dead, "x-death").as_deref(), Some("before"));
    assert_eq!(dead.properties.header("x-agent-x-death"), None);
    assert_eq!(text_of(&dead, headers::CC).as_deref(), Some("elsewhere"));
    assert_eq!(dead.properties.header("CC"), None);
}

#[test]
fn a_dead_letter_says_what_happened() {
    let published = message(PropertiesBuilder::default().message_id("7").build());
    let dead = dead_letter(&published, &failure(), Reason::Refused, &target(), QueueType::Classic);
    assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("", "orders.dead"));
    let queue = CopyQueue { name: "orders.dead".to_owned(), kind: QueueType::Classic, delay: None };
    assert_eq!(dead.queue, Some(queue));
    assert_eq!((dead.properties.message_id(), &dead.body), (Some("7"), &published.body));
    for (name, value) in [
        (headers::DEAD_LETTERED_BY, "orders"),
        (headers::REASON, "refused"),
        (headers::BACKEND, "shop"),
        (headers::ERROR, "status 500"),
        (headers::REPLY, "out of stock"),
        (headers::EXCHANGE, "shop"),
        (headers::ROUTING_KEY, "order.created"),
    ] {
        assert_eq!(text_of(&dead, name).as_deref(), Some(value), "{name}");
    }
    let number = |name| dead.properties.header(name);
    assert_eq!(number(headers::STATUS), Some(Field::Integer(500)));
    assert_eq!(number(headers::ATTEMPTS), Some(Field::Integer(2)));
    assert_eq!(number(headers::FIRST_FAILURE), Some(Field::Timestamp(1_000)));
    assert_eq!(number(headers::LAST_FAILURE), Some(Field::Timestamp(1_030)));
}

#[test]
fn a_dead_letter_that_comes_again_starts_afresh_but_for_the_backends_that_have_it() {
    let published = message(Properties::default());
    let dead = dead_letter(&published, &failure(), Reason::Attempts, &target(), QueueType::Quorum);
    let (mut back, history) = come_back(&dead);
    assert_eq!((history.attempts, history.tries, history.first_failure), (0, 0, None));
    assert!(history.has("audit"));
    assert_eq!(back.exchange, "shop");
    // Retried again, nothing says any more that it was dead.
    back = come_back(&retried(&back)).0;
    assert_eq!(History::take_up(&mut back).attempts, 2);
}

#[test]
fn a_dead_letter_goes_where_the_agent_file_says() {
    let target = DeadLetter { exchange: "dead".to_owned(), routing_key: None, declare: false };
    let published = message(Properties::default());
    let dead = dead_letter(&published, &failure(), Reason::Refused, &target, QueueType::Classic);
    assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("dead", "order.created"));
    assert_eq!(dead.queue, None);
    let lossy = Message { routing_key: "\u{fffd}".repeat(255), ..published };
    let dead = dead_letter(&lossy, &failure(), Reason::Refused, &target, QueueType::Classic);
    assert_eq!(dead.routing_key.len(), 255, "what AMQP allows");
}

#[test]
fn headers_that_leave_no_room_make_a_dead_letter_say_less_and_a_retry_impossible() {
    let huge = "x".repeat(PROPERTIES_MAX - 700);
    let published = message(PropertiesBuilder::default().header("huge", &huge).build());
    let failure = Failure { excerpt: &[b'r'; 4096], ..failure() };
    let dead = dead_letter(&published, &failure, Reason::Refused, &target(), QueueType::Classic);
    assert!(dead.properties.octets() <= PROPERTIES_MAX);
    assert_eq!(dead.properties.header(headers::REPLY), None);
    assert_eq!(text_of(&dead, headers::REASON).as_deref(), Some("refused"));
    let huger = "x".repeat(PROPERTIES_MAX - 30);
    let published = message(PropertiesBuilder::default().header("huge", &huger).build());
    let delay = Duration::from_secs(5);
    assert!(retry(&published, &failure, "orders", QueueType::Classic, delay).is_none());
    let dead = dead_letter(&published, &failure, Reason::Refused, &target(), QueueType::Classic);
    assert!(dead.properties.octets() <= PROPERTIES_MAX);
}

#[test]
fn a_dead_letter_goes_back_without_its_failure_and_as_it_was_published() {
    let published = PropertiesBuilder::default()
        .message_id("7")
        .expiration("60000")
        .user_id("me")
        .header("CC", "elsewhere")
        .header("x-first-death-reason", "expired")
        .header("tenant", "acme")
        .build();
    let dead =
        dead_letter(&message(published), &failure(), Reason::Refused, &target(), QueueType::Quorum);
    let (letter, _) = come_back(&dead);
    let copy = afresh(&letter, "orders", false);
    assert_eq!((copy.exchange.as_str(), copy.routing_key.as_str()), ("", "orders"));
    assert_eq!(copy.queue, None);
    let names: Vec<_> = copy.properties.headers().map(|(name, _)| name.to_vec()).collect();
    let mut names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "tenant",
            headers::CC,
            headers::DONE,
            headers::EXCHANGE,
            headers::EXPIRATION,
            headers::ROUTING_KEY,
            headers::USER_ID,
            "x-agent-x-first-death-reason",
        ]
    );
    let (back, history) = come_back(&copy);
    assert_eq!((back.exchange.as_str(), back.routing_key.as_str()), ("shop", "order.created"));
    assert_eq!((history.attempts, history.tries, history.first_failure), (0, 0, None));
    assert!(history.has("mail"));
    let (_, to_all) = come_back(&afresh(&letter, "orders", true));
    assert_eq!(to_all.done, "");
}

#[test]
fn going_round_by_way_of_the_dead_letters_adds_nothing() {
    let published = PropertiesBuilder::default().header("x-first-death-reason", "expired").build();
    let mut message = message(published);
    let mut octets = Vec::new();
    for _ in 0..3 {
        let dead = dead_letter(&message, &failure(), Reason::Refused, &target(), QueueType::Quorum);
        let (letter, _) = come_back(&dead);
        let copy = afresh(&letter, "orders", false);
        octets.push((dead.properties.octets(), copy.properties.octets()));
        (message, _) = come_back(&copy);
    }
    assert_eq!(octets[0], octets[1]);
    assert_eq!(octets[1], octets[2]);
}

#[test]
fn a_copy_goes_on_in_the_trace_of_the_delivery_where_the_message_brings_none_that_counts() {
    const OURS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let invalid = PropertiesBuilder::default().header("Traceparent", "00-1-2-01");
    let published = message(invalid.header("tracestate", "a=1").header("baggage", "b=2").build());
    let failure = Failure { traceparent: Some(OURS.to_owned()), ..failure() };
    let delay = Duration::from_secs(30);
    let copies = [
        retry(&published, &failure, "orders", QueueType::Quorum, delay).unwrap(),
        dead_letter(&published, &failure, Reason::Refused, &target(), QueueType::Quorum),
    ];
    for copy in copies {
        assert_eq!(text_of(&copy, "traceparent").as_deref(), Some(OURS));
        assert_eq!((text_of(&copy, "Traceparent"), text_of(&copy, "tracestate")), (None, None));
        assert_eq!(text_of(&copy, "baggage").as_deref(), Some("b=2"));
    }
    let as_it_came = retried(&published);
    assert_eq!(text_of(&as_it_came, "Traceparent").as_deref(), Some("00-1-2-01"));
    assert_eq!(text_of(&as_it_came, "tracestate").as_deref(), Some("a=1"));
}
