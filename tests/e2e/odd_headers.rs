//! Messages whose headers and properties are what no library would publish: each reaches the
//! backend, those behind it too, and the connection lives.

use crate::support::amqp::{field, long_string};
use crate::support::backend::Request;
use crate::support::{Agent, Backend, Message, Scene, on_every_release};

/// Publishes `odd` between others, and sees all of them arrive on the first connection.
async fn arrive(odd: fn() -> Vec<(&'static str, Message)>) {
    on_every_release(move |vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend).set("consumer.workers", 1);
        let mut scene = Scene::of(vhost, &agent).await;
        let odd = odd();
        let names: Vec<_> = odd.iter().map(|(name, _)| *name).collect();
        for (_, message) in odd {
            scene.publisher.publish(message).await;
        }
        scene.publish(["behind"]).await;
        let requests = backend.wait_for(names.len() + 1).await;
        let bodies: Vec<_> = requests.iter().map(Request::text).collect();
        assert_eq!(bodies, [&names[..], &["behind"]].concat());
        let redelivered = |request: &Request| request.header("x-amqp-redelivered") != Some("false");
        assert!(!requests.iter().any(redelivered));
        assert_eq!(scene.lines(&["session ended"]), 0);
        scene.end(0).await;
    })
    .await;
}

/// A message with one header, which is its body too.
fn with(name: &'static str, tag: u8, octets: &[u8]) -> (&'static str, Message) {
    (name, Message::to("parcels", name).raw_header(name, tag, octets))
}

fn array(items: &[u8]) -> Vec<u8> {
    long_string(items)
}

#[tokio::test]
async fn octets_that_are_not_utf8_in_headers() {
    arrive(|| {
        vec![
            with("value", b'S', &long_string(b"\xff\xfe\x00caf\xe9")),
            ("name", Message::to("parcels", "name").header(b"\xff\xfe", "x")),
            ("name and value", Message::to("parcels", "name and value").header(b"\xe9", b"\xe9")),
            ("nested", {
                let table = long_string(field(b"\xff", b'S', &long_string(b"\xff")));
                Message::to("parcels", "nested").raw_header(b"\xfe", b'F', &table)
            }),
        ]
    })
    .await;
}

#[tokio::test]
async fn octets_that_are_not_utf8_in_properties() {
    arrive(|| {
        let odd = b"\xff\xfe\x00caf\xe9";
        let message = |name: &'static str| Message::to("parcels", name);
        vec![
            ("content type", message("content type").content_type(odd)),
            ("content encoding", message("content encoding").content_encoding(odd)),
            ("correlation id", message("correlation id").correlation_id(odd)),
            ("reply to", message("reply to").reply_to(odd)),
            ("message id", message("message id").message_id(odd)),
            ("type", message("type").message_type(odd)),
            ("app id", message("app id").app_id(odd)),
            ("all", {
                let all = message("all").content_type(odd).correlation_id(odd).message_id(odd);
                all.app_id([0xff; 255]).reply_to("").priority(255).timestamp(u64::MAX)
            }),
        ]
    })
    .await;
}

#[tokio::test]
async fn values_of_every_type() {
    arrive(|| {
        let eight = 7_u64.to_be_bytes();
        vec![
            with("t", b't', &[2]),
            with("b", b'b', &[0x80]),
            with("B", b'B', &[0xff]),
            with("s", b's', &[0x80, 0]),
            with("u", b'u', &[0xff, 0xff]),
            with("I", b'I', &[0x80, 0, 0, 0]),
            with("i", b'i', &[0xff; 4]),
            with("l", b'l', &[0xff; 8]),
            with("L", b'L', &eight),
            with("L negative", b'L', &[0xff; 8]),
            // RabbitMQ itself refuses what is not a number, and infinity.
            with("f", b'f', &f32::MIN_POSITIVE.to_be_bytes()),
            with("d", b'd', &f64::MAX.to_be_bytes()),
            with("D", b'D', &[2, 0, 0, 1, 0]),
            with("D scale", b'D', &[255, 0xff, 0xff, 0xff, 0xff]),
            with("S", b'S', &long_string("")),
            with("x", b'x', &long_string([0, 1, 0xff])),
            with("T", b'T', &[0xff; 8]),
            with("V", b'V', &[]),
            with("A", b'A', &array(&[b'V', b't', 1])),
            with("A empty", b'A', &array(&[])),
            with("F", b'F', &long_string(field("a", b'I', &[0, 0, 0, 1]))),
            with("F empty", b'F', &long_string([])),
        ]
    })
    .await;
}

#[tokio::test]
async fn arrays_nested_25000_deep() {
    arrive(|| {
        // From the outermost in: each tells the length of what it holds, five octets less.
        let nested: Vec<u8> = (0..25_000_u32)
            .rev()
            .flat_map(|inner| {
                let length = (inner * 5).to_be_bytes();
                let tag = (inner > 0).then_some(b'A');
                length.into_iter().chain(tag)
            })
            .collect();
        vec![with("deep", b'A', &nested)]
    })
    .await;
}

#[tokio::test]
async fn odd_tables() {
    arrive(|| {
        let twice = Message::to("parcels", "twice").header("a", "1").header("a", "2");
        let many = |message: Message, n: u32| message.header(format!("h{n}"), "x".repeat(40));
        let other =
            Message::to("parcels", "other case").header("Tenant", "a").header("tenant", "b");
        vec![
            ("twice", twice.raw_header("a", b'V', &[])),
            ("other case", other),
            ("long name", Message::to("parcels", "long name").header([b'n'; 255], "x")),
            ("no name", Message::to("parcels", "no name").header("", "x")),
            ("many", (0..2000).fold(Message::to("parcels", "many"), many)),
            ("large", Message::to("parcels", "large").header("large", "x".repeat(100_000))),
            ("lying", Message::to("parcels", "lying").header("x-delivery-count", "many")),
            with("x-delivery-count", b'l', &[0xff; 8]),
            with("x-death", b'S', &long_string("none")),
        ]
    })
    .await;
}

#[tokio::test]
async fn integers_and_text_of_odd_messages_reach_the_backend() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend);
        let mut scene = Scene::of(vhost, &agent).await;
        let message = Message::to("parcels", "")
            .raw_header("long", b'L', &7_u64.to_be_bytes())
            .raw_header("array", b'A', &array(&[]))
            .header("latin", b"caf\xe9");
        scene.publisher.publish(message).await;
        let request = backend.wait_for(1).await.swap_remove(0);
        assert_eq!(request.header("x-amqp-header-long"), Some("7"));
        assert_eq!(request.header("x-amqp-header-latin"), Some("caf\u{fffd}"));
        assert_eq!(request.header("x-amqp-header-array"), None);
        scene.end(0).await;
    })
    .await;
}
