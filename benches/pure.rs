//! The decisions and transformations on a message's way, without any I/O: `cargo bench --bench pure`.
//!
//! Criterion compares with the run before. For a figure that a busy machine does not disturb there is
//! `scripts/instructions`.

use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amqp_agentd::broker::acks::Acks;
use amqp_agentd::broker::properties::PropertiesBuilder;
use amqp_agentd::config::definition::{AgentDefinition, QueueType};
use amqp_agentd::config::{Environment, load_agent_text};
use amqp_agentd::copies::{Failure, History, headers, retry};
use amqp_agentd::delivery::Message;
use amqp_agentd::outcome::{Reply, StatusPolicy, judge};
use amqp_agentd::request::Template;
use amqp_agentd::settlement::{Attempts, LastResort, Policy, decide};
use amqp_serde::from_bytes;
use amqprs::{BasicProperties, Deliver};
use criterion::{BatchSize, Criterion};
use tokio::time::Instant;

const VALID: &str = "what these benches are fed with is valid";

fn main() {
    // Short ones: a difference that takes longer to see is one for `scripts/instructions`.
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    let mut criterion = criterion.configure_from_args();
    parsing(&mut criterion);
    histories(&mut criterion);
    requests(&mut criterion);
    decisions(&mut criterion);
    acks(&mut criterion);
    copies(&mut criterion);
    criterion.final_summary();
}

/// What the client library has the codec do for each delivery, octets to method and to properties.
fn parsing(criterion: &mut Criterion) {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat();
    let deliver = [
        &text("amqp-agentd.orders@host.4711")[..],
        &42_u64.to_be_bytes(),
        &[0],
        &text("shop"),
        &text("order.created"),
    ]
    .concat();
    criterion.bench_function("parse/basic.deliver", |bencher| {
        bencher.iter(|| amqp_serde::from_bytes::<Deliver>(black_box(&deliver)));
    });
    let field =
        |number: u8| [&text(&format!("x-header-{number}"))[..], b"S\0\0\0\x05value"].concat();
    let table = (0..10).flat_map(field).collect::<Vec<_>>();
    let length = u32::try_from(table.len()).unwrap_or(0).to_be_bytes();
    let (kind, id) = (text("application/json"), text("0b9e6d0e-6d5c-4f0a-9c34-6f5d1e2a7b80"));
    // Content-type, delivery-mode and message-id; and headers.
    let plain = [&[0x90, 0x80][..], &kind, &[2], &id].concat();
    let full = [&[0xb0, 0x80][..], &kind, &length, &table, &[2], &id].concat();
    for (name, octets) in [("parse/properties", plain), ("parse/properties, 10 headers", full)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| from_bytes::<BasicProperties>(black_box(&octets)).expect(VALID));
        });
    }
}

fn histories(criterion: &mut Criterion) {
    let came_back = properties(10)
        .integer_header(headers::ATTEMPTS, 2)
        .integer_header(headers::TRIES, 6)
        .header(headers::EXCHANGE, "shop")
        .header(headers::ROUTING_KEY, "order.created");
    for (name, properties) in [
        ("history/none", properties(0)),
        ("history/10 headers", properties(10)),
        ("history/of a copy", came_back),
    ] {
        let message = message(properties);
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched_ref(|| message.clone(), History::take_up, BatchSize::SmallInput);
        });
    }
}

fn requests(criterion: &mut Criterion) {
    for (name, headers, configured) in [
        ("request/256 bytes", 0, ""),
        ("request/10 headers", 10, ""),
        ("request/3 configured", 0, r#"{ X-A = "a", X-B = "b", Authorization = "Bearer c" }"#),
    ] {
        let definition = definition(configured);
        let template = Template::new(&definition.backends[0]).expect(VALID);
        let message = message(properties(headers));
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| template.build(black_box(&message), black_box(1)).expect(VALID));
        });
    }
}

fn decisions(criterion: &mut Criterion) {
    let definition = definition("");
    let policy = Policy {
        retry: definition.retry,
        last_resort: LastResort::DeadLetter,
        auto_ack: false,
        can_requeue: true,
    };
    let statuses = StatusPolicy::default();
    let attempts = Attempts { here: 1, before: 1, ..Attempts::default() };
    for status in [204, 422, 500] {
        let reply = Reply::Answered { status, retry_after: None };
        criterion.bench_function(&format!("judge and decide/{status}"), |bencher| {
            bencher.iter(|| {
                let outcome = judge(black_box(&reply), &statuses);
                decide(outcome, black_box(attempts), &policy, black_box(0.5))
            });
        });
    }
}

/// A window that comes in at once, is acked, and said at the end or where it takes up too much room.
fn acks(criterion: &mut Criterion) {
    let window = 50;
    let in_order = (1..=u64::from(window)).collect::<Vec<_>>();
    // The first reply is the last to come.
    let behind_one = (2..=u64::from(window)).chain([1]).collect();
    let backwards = (1..=u64::from(window)).rev().collect();
    for (name, order) in [
        ("acks of 50/in order", in_order),
        ("acks of 50/behind a slow one", behind_one),
        ("acks of 50/backwards", backwards),
    ] {
        let (now, mut frames) = (Instant::now(), Vec::new());
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut acks = Acks::new(window);
                frames.clear();
                (1..=u64::from(window)).for_each(|tag| acks.delivered(tag));
                for tag in black_box(&order) {
                    acks.ack(*tag, now);
                    if *tag % 5 == 0 {
                        acks.flush(now, &mut frames);
                    }
                }
                acks.flush_all(&mut frames);
                frames.len()
            });
        });
    }
}

fn copies(criterion: &mut Criterion) {
    let message = message(properties(10));
    let failure = Failure {
        agent: "orders",
        backend: "127.0.0.1:8080",
        error: "status 500".to_owned(),
        status: Some(500),
        excerpt: b"out of order",
        attempts: 1,
        tries: 3,
        first: 1_700_000_000,
        last: 1_700_000_001,
        done: Vec::new(),
        traceparent: None,
    };
    let delay = Duration::from_secs(5);
    criterion.bench_function("copy/for a retry, 10 headers", |bencher| {
        bencher.iter(|| {
            let copy = retry(black_box(&message), &failure, "orders", QueueType::Classic, delay);
            copy.expect(VALID)
        });
    });
}

fn properties(headers: usize) -> PropertiesBuilder {
    let properties = PropertiesBuilder::default()
        .content_type("application/json")
        .message_id("0b9e6d0e-6d5c-4f0a-9c34-6f5d1e2a7b80");
    (0..headers).fold(properties, |properties, number| {
        properties.header(&format!("x-header-{number}"), "a value of some length")
    })
}

fn message(properties: PropertiesBuilder) -> Message {
    Message {
        exchange: "shop".to_owned(),
        routing_key: "order.created".to_owned(),
        redelivered: false,
        properties: properties.build(),
        body: vec![b'a'; 256].into(),
    }
}

/// An agent as its file makes it, with these headers for its backend.
fn definition(headers: &str) -> AgentDefinition {
    let headers = if headers.is_empty() { String::new() } else { format!("headers = {headers}") };
    let text = format!(
        r#"
["async/amqp"]
host = "amqp://127.0.0.1"
name = "orders"
[[backend]]
host = "http://127.0.0.1:8080"
url_pattern = "/orders"
{headers}
"#
    );
    let (definition, _) = load_agent_text(Path::new("orders.toml"), &text, &Empty);
    definition.expect(VALID)
}

/// No environment.
struct Empty;

impl Environment for Empty {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}
