//! The tests' own tools do what they say.

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::eventually;
use crate::support::{
    Agent, Backend, Daemon, Direction, Flow, Gate, Message, PrivateNode, Proxy, Publisher, Reply,
    on_every_release, vhost::Queue,
};

#[tokio::test]
async fn a_published_message_is_in_the_queue_as_it_was_made() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("parcels");
        let mut publisher = Publisher::connect(&vhost).await;
        let message = Message::to("parcels", "hello")
            .content_type("text/plain")
            .message_id("m-1")
            .priority(3)
            .timestamp(1_700_000_000)
            .header("colour", "blue")
            .raw_header("count", b'L', &7_u64.to_be_bytes());
        publisher.publish(message).await;
        assert_eq!(publisher.depth("parcels").await, (1, 0));
        let messages = vhost.peek("parcels", 10);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["payload"], "hello");
        let properties = &messages[0]["properties"];
        assert_eq!(properties["content_type"], "text/plain");
        assert_eq!(properties["message_id"], "m-1");
        assert_eq!(properties["priority"], 3);
        assert_eq!(properties["delivery_mode"], 2);
        assert_eq!(properties["timestamp"], 1_700_000_000);
        assert_eq!(properties["headers"]["colour"], "blue");
        assert_eq!(properties["headers"]["count"], 7);
        vhost.purge_queue("parcels");
        assert_eq!(publisher.depth("parcels").await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn bodies_larger_than_a_frame_and_many_messages_are_published_whole() {
    on_every_release(|vhost| async move {
        vhost.declare_queue("parcels");
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish(Message::to("parcels", vec![7; 1 << 20])).await;
        publisher.publish_all((0..1000).map(|n| Message::to("parcels", n.to_string()))).await;
        assert_eq!(publisher.depth("parcels").await, (1001, 0));
        assert_eq!(vhost.peek("parcels", 1)[0]["payload_bytes"], 1 << 20);
        // The broker's figures come from several of its processes, each in its own time.
        let figures = |queue: &Queue| {
            let Queue { ready, published, unacked, consumers, .. } = *queue;
            (ready, published, unacked, consumers)
        };
        let all = |queue: &Queue| figures(queue) == (1001, 1001, 0, 0);
        vhost.wait_for_queue("parcels", "all of it", all).await;
        vhost.delete_queue("parcels");
        eventually("the queue to be gone", || match vhost.queue("parcels") {
            None => Ok(()),
            Some(queue) => Err(format!("{queue:?}")),
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_virtual_host_may_have_any_name_and_is_gone_with_its_test() {
    on_every_release(|vhost| async move {
        let broker = vhost.broker.clone();
        let odd = crate::support::Vhost::create(&broker, "a/b ü%");
        odd.declare_queue("parcels");
        let mut publisher = Publisher::connect(&odd).await;
        publisher.publish(Message::to("parcels", "hello")).await;
        assert_eq!(publisher.depth("parcels").await, (1, 0));
        let path = format!("vhosts/{}", odd.segment());
        assert!(broker.management.find(&path).is_some());
        drop(odd);
        eventually("it to be gone", || match broker.management.find(&path) {
            None => Ok(()),
            Some(found) => Err(found.to_string()),
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_private_node_stops_starts_dies_and_freezes() {
    let node = PrivateNode::lease(crate::support::Broker::any().release).await;
    let vhost = node.broker.vhost();
    vhost.declare_queue("parcels");
    Publisher::connect(&vhost).await.publish(Message::to("parcels", "hello")).await;
    node.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", node.broker.amqp_port)).await.is_err());
    node.start().await;
    assert_eq!(Publisher::connect(&vhost).await.depth("parcels").await, (1, 0));
    node.kill().await;
    assert!(TcpStream::connect(("127.0.0.1", node.broker.amqp_port)).await.is_err());
    node.start().await;
    node.pause().await;
    let silent = TcpStream::connect(("127.0.0.1", node.broker.amqp_port)).await;
    assert!(silent.is_ok());
    node.resume().await;
    assert_eq!(Publisher::connect(&vhost).await.depth("parcels").await, (1, 0));
}

#[tokio::test]
async fn a_backend_records_requests_and_replies_as_told() {
    let backend = Backend::replying(|request| match request.path.as_str() {
        "/busy" => Reply::status(503).header("Retry-After", "1").body("later"),
        "/garbage" => Reply::raw("this is no HTTP\r\n\r\n"),
        "/reset" => Reply::reset(),
        "/close" => Reply::close(),
        _ => Reply::status(200).body("fine"),
    });
    let client = client();
    let url = |path: &str| format!("{}{path}", backend.url());
    let reply = client.post(url("/orders?x=1")).header("X-Odd", "a b").body("hello").send();
    let reply = reply.await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(reply.text().await.unwrap(), "fine");
    let reply = client.get(url("/busy")).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers()["retry-after"], "1");
    drop(reply);
    for path in ["/garbage", "/reset", "/close"] {
        assert!(client.get(url(path)).send().await.is_err(), "{path}");
    }
    let requests = backend.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/orders?x=1"));
    assert_eq!(requests[0].header("x-odd"), Some("a b"));
    assert_eq!(requests[0].text(), "hello");
    assert_eq!(requests[0].number, 1);
    assert!(backend.connections() >= 3);
    backend.wait_for_in_flight(0).await;
    assert_eq!(backend.in_flight_max(), 1);
}

#[tokio::test]
async fn a_backend_waits_behind_a_gate_and_notices_who_gives_up() {
    let gate = Gate::new();
    let backend = Backend::start();
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(200).after(&shut));
    let url = backend.url();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let request = client().get(&url);
        clients.spawn(async move { request.send().await.unwrap().status() });
    }
    backend.wait_for_in_flight(3).await;
    gate.admit(1);
    assert_eq!(clients.join_next().await.unwrap().unwrap(), StatusCode::OK);
    backend.wait_for_in_flight(2).await;
    clients.shutdown().await;
    backend.wait_for_in_flight(0).await;
    gate.open();
    assert_eq!(client().get(&url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(backend.in_flight_max(), 3);
    backend.reply_with(|_| Reply::hang());
    let mut hanging = tokio::task::JoinSet::new();
    hanging.spawn(client().get(&url).send());
    backend.wait_for_in_flight(1).await;
    hanging.shutdown().await;
    backend.wait_for_in_flight(0).await;
}

#[tokio::test]
async fn a_backend_refuses_connections_and_takes_them_again_on_the_same_port() {
    let mut backend = Backend::refusing();
    let url = backend.url();
    assert!(client().get(&url).send().await.unwrap_err().is_connect());
    backend.listen();
    let client = client();
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    backend.refuse().await;
    assert!(client.get(&url).send().await.is_err());
    backend.listen();
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    backend.wait_until("two requests of one path", |requests| requests.len() == 2).await;
}

#[tokio::test]
async fn a_backend_sends_bodies_without_end() {
    let backend = Backend::replying(|_| Reply::endless());
    let mut reply = client().get(backend.url()).send().await.unwrap();
    let mut length = 0;
    while length < 1 << 20 {
        length += reply.chunk().await.unwrap().unwrap().len();
    }
    drop(reply);
    backend.wait_for_in_flight(0).await;
}

#[tokio::test]
async fn a_proxy_passes_stalls_shuts_corrupts_and_cuts() {
    let echo = Echo::start().await;
    let mut proxy = Proxy::to(echo.port);
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(say(&mut stream, b"one").await, b"one");
    proxy.stall();
    stream.write_all(b"two").await.unwrap();
    proxy.set(Direction::ToServer, Flow::Pass);
    // The way back is still shut: nothing can have come.
    assert!(stream.try_read(&mut [0; 3]).is_err());
    proxy.pass();
    assert_eq!(read(&mut stream, 3).await, b"two");
    proxy.set(Direction::ToClient, Flow::Corrupt);
    assert_eq!(say(&mut stream, &[0x00, 0x0F]).await, [0xFF, 0xF0]);
    proxy.set(Direction::ToClient, Flow::Shut);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(proxy.open(), 1);
    proxy.pass();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(say(&mut stream, b"three").await, b"three");
    proxy.reset();
    assert!(stream.read(&mut [0; 8]).await.is_err());
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    proxy.wait_for_connections(3).await;
    assert_eq!(say(&mut stream, b"four").await, b"four");
    proxy.close();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    proxy.refuse().await;
    assert!(TcpStream::connect(("127.0.0.1", proxy.port())).await.is_err());
    proxy.listen();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(say(&mut stream, b"five").await, b"five");
    assert_eq!(proxy.connections(), 4);
}

#[tokio::test]
async fn an_agent_file_says_what_the_test_set() {
    let agent = Agent::between("orders", "amqp://here", "http://there")
        .set("consumer.workers", 3)
        .set("retry.in_place", 0)
        .set_backend("method", "PUT")
        .backend("http://elsewhere", &[("required", false.into())]);
    let table: toml::Table = agent.to_string().parse().unwrap();
    assert_eq!(table["async/amqp"]["name"].as_str(), Some("orders"));
    assert_eq!(table["async/amqp"]["host"].as_str(), Some("amqp://here"));
    assert_eq!(table["consumer"]["workers"].as_integer(), Some(3));
    assert_eq!(table["consumer"]["timeout"].as_str(), Some("10s"));
    let backends = table["backend"].as_array().unwrap();
    assert_eq!(backends.len(), 2);
    assert_eq!(backends[0]["method"].as_str(), Some("PUT"));
    assert_eq!(backends[1]["required"].as_bool(), Some(false));
}

#[tokio::test]
async fn an_agents_directory_holds_what_was_written_last() {
    let mut daemon = Daemon::new();
    daemon.set_main("drain_timeout", "2s");
    let agent = Agent::between("orders", "amqp://here", "http://there");
    daemon.write(&agent);
    daemon.write_file("notes.txt", "none of the daemon's business");
    let file = daemon.agents_dir().join("orders.toml");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), agent.to_string());
    daemon.remove("orders");
    assert!(!file.exists());
    let names = std::fs::read_dir(daemon.agents_dir()).unwrap().count();
    assert_eq!(names, 1);
}

/// A client as particular as any, and never by way of the machine's proxy.
fn client() -> reqwest::Client {
    // Another test of this process may have installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A server that sends back what it is sent.
struct Echo {
    port: u16,
    _server: tokio::task::JoinSet<()>,
}

impl Echo {
    async fn start() -> Echo {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        Echo { port, _server: server }
    }
}

async fn say(stream: &mut TcpStream, octets: &[u8]) -> Vec<u8> {
    stream.write_all(octets).await.unwrap();
    read(stream, octets.len()).await
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).await.unwrap();
    octets
}
