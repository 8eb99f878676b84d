//! What RabbitMQ cannot be made to do, or not when it is wanted: a broker of raw octets.

use std::cell::Cell;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::LocalSet;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::*;
use crate::broker::properties::PropertiesBuilder;
use crate::broker::rpc;
use crate::broker::tests::{
    CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN, CONNECTION_CLOSE, CONNECTION_CLOSE_OK, Method,
    Peer, close,
};
use crate::config::definition::tests::definition;

const CONFIRM_SELECT: Method = (85, 10);
const BASIC_PUBLISH: Method = (60, 40);
const BASIC_RETURN: Method = (60, 50);
const BASIC_ACK: Method = (60, 80);
const BASIC_NACK: Method = (60, 120);
const EXCHANGE_DECLARE: Method = (40, 10);

impl Peer {
    /// Lets a channel be opened that confirms.
    async fn open_lane(&mut self, channel: u16) {
        self.expect(CHANNEL_OPEN).await;
        self.send(channel, (20, 11), &[0; 4]).await;
        self.expect(CONFIRM_SELECT).await;
        self.send(channel, (85, 11), &[]).await;
    }

    async fn confirm(&mut self, channel: u16, method: Method, tag: u8, bits: u8) {
        self.send(channel, method, &[0, 0, 0, 0, 0, 0, 0, tag, bits]).await;
    }

    /// Sends a message to the queue `orders` back.
    async fn give_back(&mut self, channel: u16, body: &[u8]) {
        let arguments = [&[1, 56][..], b"\x08NO_ROUTE\0\x06orders"].concat();
        self.send(channel, BASIC_RETURN, &arguments).await;
        let length = u8::try_from(body.len()).unwrap();
        self.send_frame(2, channel, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0]).await;
        self.send_frame(3, channel, body).await;
    }
}

fn copy(body: &'static str) -> Copy {
    Copy {
        exchange: String::new(),
        routing_key: "orders".to_owned(),
        properties: PropertiesBuilder::default().build(),
        body: Bytes::from_static(body.as_bytes()),
        queue: None,
    }
}

fn through(exchange: &str) -> Copy {
    Copy { exchange: exchange.to_owned(), ..copy("through") }
}

async fn broker() -> (TcpListener, Vec<BrokerAddress>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut brokers = definition("orders").source.brokers;
    brokers[0].port = listener.local_addr().unwrap().port();
    brokers[0].heartbeat_seconds = 60;
    (listener, brokers)
}

/// A publisher, and the broker's end once it has published `bodies`, numbers 1 and on.
async fn published(
    publishers: &mut Publishers,
    bodies: &[&'static str],
) -> (Publisher, Peer, JoinSet<(&'static str, Told)>) {
    let (listener, brokers) = broker().await;
    let publisher = publishers.get(&brokers, "orders");
    let mut answers = JoinSet::new();
    for &body in bodies {
        let publisher = publisher.clone();
        answers.spawn_local(async move { (body, publisher.publish(copy(body)).await) });
    }
    let mut peer = Peer::log_in(&listener).await;
    peer.open_lane(1).await;
    for _ in bodies {
        peer.expect(BASIC_PUBLISH).await;
    }
    (publisher, peer, answers)
}

/// What the connector tells of confirms.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        // As long as there is one dispatcher in all, `tracing` asks only the thread that comes to a
        // line first whether it is heard, and that of another test would say no for this one too.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&SECOND);
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, level: &str) -> usize {
        let text = format!("{self:?}");
        let lines = text.lines().filter(|line| line.contains("publisher::connector"));
        lines.filter(|line| line.contains(level)).count()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0.lock().unwrap()))
    }
}

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lost() -> Told {
    Err(NotSafe::Ended(Ended::Lost))
}

fn returned() -> Told {
    Err(NotSafe::Returned { code: 312, text: "NO_ROUTE".to_owned() })
}

type Told = Result<(), NotSafe>;

fn start(publisher: &Publisher, copy: Copy) -> JoinSet<Told> {
    let publisher = publisher.clone();
    let mut task = JoinSet::new();
    task.spawn_local(async move { publisher.publish(copy).await });
    task
}

async fn end_of(mut task: JoinSet<Told>) -> Told {
    task.join_next().await.unwrap().unwrap()
}

/// All answers, by the bodies.
async fn told(answers: JoinSet<(&'static str, Told)>) -> Vec<(&'static str, Told)> {
    let mut told = answers.join_all().await;
    told.sort_by_key(|(body, _)| *body);
    told
}

#[tokio::test]
async fn each_copy_is_told_its_own_fate_in_whichever_order_the_broker_confirms() {
    let test = async {
        let mut publishers = Publishers::default();
        let bodies = ["1", "2", "3", "4", "5", "6"];
        let (_publisher, mut peer, answers) = published(&mut publishers, &bodies).await;
        peer.confirm(1, BASIC_ACK, 4, 0).await;
        peer.confirm(1, BASIC_NACK, 2, 0).await;
        peer.give_back(1, b"3").await;
        peer.confirm(1, BASIC_ACK, 5, 1).await;
        peer.confirm(1, BASIC_NACK, 6, 1).await;
        let refused = || Err(NotSafe::Refused);
        let results = [Ok(()), refused(), returned(), Ok(()), Ok(()), refused()];
        let wanted: Vec<_> = bodies.into_iter().zip(results).collect();
        assert_eq!(told(answers).await, wanted);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn copies_without_a_confirm_are_not_safe_when_the_connection_ends() {
    let test = async {
        let mut publishers = Publishers::default();
        let (_publisher, mut peer, answers) = published(&mut publishers, &["1", "2"]).await;
        peer.give_back(1, b"2").await;
        drop(peer);
        assert_eq!(told(answers).await, [("1", lost()), ("2", lost())]);

        let mut publishers = Publishers::default();
        let (_publisher, mut peer, answers) = published(&mut publishers, &["1"]).await;
        let text = "CONNECTION_FORCED - bye".to_owned();
        peer.send(0, CONNECTION_CLOSE, &close(320, &text)).await;
        let ended = Ended::ConnectionClosed { code: 320, text };
        assert_eq!(told(answers).await, [("1", Err(NotSafe::Ended(ended)))]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn copies_are_not_safe_when_a_task_of_the_library_dies() {
    let test = async {
        // A frame for a channel that nobody opened, and an answer to no question.
        for (channel, method) in [(77, (60, 11)), (1, (50, 11))] {
            let mut publishers = Publishers::default();
            let (_publisher, mut peer, answers) = published(&mut publishers, &["1"]).await;
            peer.send(channel, method, &[0; 9]).await;
            assert_eq!(told(answers).await, [("1", lost())]);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_costs_only_its_own_agent() {
    let test = async {
        let mut publishers = Publishers::default();
        let (listener, brokers) = broker().await;
        let (poor, rich) = (publishers.get(&brokers, "poor"), publishers.get(&brokers, "rich"));
        let poor_told = start(&poor, copy("poor"));
        let mut peer = Peer::log_in(&listener).await;
        peer.open_lane(1).await;
        peer.expect(BASIC_PUBLISH).await;
        let rich_told = start(&rich, copy("rich"));
        peer.open_lane(2).await;
        peer.expect(BASIC_PUBLISH).await;
        let text = "ACCESS_REFUSED - no".to_owned();
        peer.send(1, CHANNEL_CLOSE, &close(403, &text)).await;
        peer.expect(CHANNEL_CLOSE_OK).await;
        let ended = Ended::ChannelClosed { code: 403, text };
        assert_eq!(end_of(poor_told).await, Err(NotSafe::Ended(ended)));
        peer.confirm(2, BASIC_ACK, 1, 0).await;
        assert_eq!(end_of(rich_told).await, Ok(()));
        // The next one finds a channel again, on the same connection.
        let told = start(&poor, copy("again"));
        peer.open_lane(3).await;
        peer.expect(BASIC_PUBLISH).await;
        peer.confirm(3, BASIC_ACK, 1, 0).await;
        assert_eq!(end_of(told).await, Ok(()));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_exchange_that_is_missing_is_no_harm_to_copies_that_wait() {
    let test = async {
        let mut publishers = Publishers::default();
        let (publisher, mut peer, answers) = published(&mut publishers, &["1"]).await;
        let text = "NOT_FOUND - no exchange".to_owned();
        for channel in [2, 3] {
            let told = start(&publisher, through("missing"));
            if channel == 2 {
                peer.expect(CHANNEL_OPEN).await;
                peer.send(channel, (20, 11), &[0; 4]).await;
                peer.expect(EXCHANGE_DECLARE).await;
                peer.send(channel, CHANNEL_CLOSE, &close(404, &text)).await;
                peer.expect(CHANNEL_CLOSE_OK).await;
            }
            // The second time it is not asked for: the refusal is still fresh.
            let ended = Ended::ChannelClosed { code: 404, text: text.clone() };
            assert_eq!(end_of(told).await, Err(NotSafe::Ended(ended)));
        }
        peer.confirm(1, BASIC_ACK, 1, 0).await;
        assert_eq!(told(answers).await, [("1", Ok(()))]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_broker_that_does_not_confirm_is_waited_for_and_told_of_once() {
    let (log, _guard) = Log::start();
    let test = async {
        let mut publishers = Publishers::default();
        let (publisher, mut peer, answers) = published(&mut publishers, &["1"]).await;
        let brokers = publishers.connectors[0].brokers.clone();
        assert!(!publisher.is_blocked());
        tokio::time::pause();
        let mut blocked = publisher.blocked();
        blocked.wait_for(|blocked| *blocked).await.unwrap();
        // Nor does it answer questions: an alarm is no reason to give the connection up.
        let asked = start(&publisher, through("shop"));
        peer.expect(CHANNEL_OPEN).await;
        tokio::time::sleep(rpc::ANSWER_MAX * 2).await;
        assert!(publisher.is_blocked());
        // One that has nothing there yet is held up just the same.
        let other = publishers.get(&brokers, "others");
        let others = start(&other, copy("other"));
        peer.expect(CHANNEL_OPEN).await;
        other.blocked().wait_for(|blocked| *blocked).await.unwrap();
        tokio::time::resume();
        peer.confirm(1, BASIC_ACK, 1, 0).await;
        assert_eq!(told(answers).await, [("1", Ok(()))]);
        blocked.wait_for(|blocked| !*blocked).await.unwrap();
        peer.send(2, (20, 11), &[0; 4]).await;
        peer.expect(EXCHANGE_DECLARE).await;
        assert_eq!((log.count("WARN"), log.count("INFO")), (1, 0), "{log:?}");
        peer.send(3, (20, 11), &[0; 4]).await;
        peer.expect(CONFIRM_SELECT).await;
        peer.send(3, (85, 11), &[]).await;
        peer.expect(BASIC_PUBLISH).await;
        assert_eq!((log.count("WARN"), log.count("INFO")), (1, 1), "{log:?}");
        peer.confirm(3, BASIC_ACK, 1, 0).await;
        assert_eq!(end_of(others).await, Ok(()));
        peer.send(2, (40, 11), &[]).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.push(peer.receive().await.unwrap());
        }
        // The channel of the question is closed behind the copy's back.
        seen.sort_unstable();
        assert_eq!(seen, [CHANNEL_CLOSE, BASIC_PUBLISH]);
        peer.confirm(1, BASIC_ACK, 2, 0).await;
        assert_eq!(end_of(asked).await, Ok(()));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_broker_that_answers_nothing_at_all_is_given_up() {
    let test = async {
        let mut publishers = Publishers::default();
        let (listener, brokers) = broker().await;
        let publisher = publishers.get(&brokers, "orders");
        let told = start(&publisher, copy("1"));
        let mut peer = Peer::log_in(&listener).await;
        peer.expect(CHANNEL_OPEN).await;
        tokio::time::pause();
        let unresponsive = Ended::Unresponsive { what: "channel.open", waited: rpc::ANSWER_MAX };
        assert_eq!(end_of(told).await, Err(NotSafe::Ended(unresponsive)));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_tried_again_only_after_a_wait() {
    let test = async {
        let mut publishers = Publishers::default();
        let (listener, brokers) = broker().await;
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        let mut balancer = JoinSet::new();
        balancer.spawn_local(async move {
            loop {
                listener.accept().await.unwrap().0.set_zero_linger().unwrap();
                counted.set(counted.get() + 1);
            }
        });
        // Time stands still, however long this takes: while something blocks, a clock that is
        // stopped does not run ahead.
        let (go_on, blocks) = std::sync::mpsc::channel::<()>();
        let still = tokio::task::spawn_blocking(move || blocks.recv());
        tokio::time::pause();
        let publisher = publishers.get(&brokers, "orders");
        let first = publisher.publish(copy("1")).await;
        assert!(matches!(first, Err(NotSafe::Ended(Ended::Unreachable(_)))), "{first:?}");
        let tried = connections.get();
        for _ in 0..10 {
            assert_eq!(publisher.publish(copy("2")).await, first);
        }
        assert_eq!(publishers.get(&brokers, "others").publish(copy("3")).await, first);
        assert_eq!(connections.get(), tried);
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        drop(go_on);
        still.await.unwrap().unwrap_err();
        assert_eq!(publisher.publish(copy("4")).await, first);
        assert!(connections.get() > tried);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_first_broker_that_takes_it_has_the_connection() {
    let test = async {
        let mut publishers = Publishers::default();
        // Nobody listens there, and nobody else is given the port.
        let dead = TcpSocket::new_v4().unwrap();
        dead.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (listener, living) = broker().await;
        let mut brokers = living.clone();
        brokers[0].port = dead.local_addr().unwrap().port();
        brokers.extend(living);
        let publisher = publishers.get(&brokers, "orders");
        let told = start(&publisher, copy("1"));
        let mut peer = Peer::log_in(&listener).await;
        peer.open_lane(1).await;
        peer.expect(BASIC_PUBLISH).await;
        peer.confirm(1, BASIC_ACK, 1, 0).await;
        assert_eq!(end_of(told).await, Ok(()));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_connection_is_given_up_when_nobody_publishes_any_more() {
    let test = async {
        // Because the handle is gone, because all are, and because nobody uses it.
        for how in 0..3 {
            let mut publishers = Publishers::default();
            let (publisher, mut peer, answers) = published(&mut publishers, &["1"]).await;
            peer.confirm(1, BASIC_ACK, 1, 0).await;
            told(answers).await;
            let mut publisher = Some(publisher);
            let mut ending = JoinSet::new();
            tokio::time::pause();
            match how {
                0 => drop(publisher.take()),
                1 => {
                    publisher.take();
                    ending.spawn_local(publishers.end());
                }
                _ => {}
            }
            let mut methods = Vec::new();
            while !methods.contains(&CONNECTION_CLOSE) {
                tokio::select! {
                    method = peer.receive() => methods.push(method.unwrap()),
                    // Where time is stopped, it passes at once when all wait for it.
                    () = tokio::time::sleep(Duration::from_secs(20)) => {
                        peer.send_frame(8, 0, &[]).await;
                    }
                }
            }
            tokio::time::resume();
            peer.send(0, CONNECTION_CLOSE_OK, &[]).await;
            assert_eq!(peer.rest().await, []);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_connection_that_has_lost_many_channels_is_replaced() {
    let test = async {
        let mut publishers = Publishers::default();
        let (listener, brokers) = broker().await;
        let publisher = publishers.get(&brokers, "orders");
        let broker = async {
            let mut peer = Peer::log_in(&listener).await;
            peer.open_lane(1).await;
            for channel in 2.. {
                match peer.receive().await {
                    Some(CHANNEL_OPEN) => {}
                    Some(BASIC_PUBLISH) => panic!("no exchange was there"),
                    // It leaves.
                    _ => break,
                }
                peer.send(channel, (20, 11), &[0; 4]).await;
                peer.expect(EXCHANGE_DECLARE).await;
                peer.send(channel, CHANNEL_CLOSE, &close(404, "NOT_FOUND")).await;
                peer.expect(CHANNEL_CLOSE_OK).await;
            }
            let mut peer = Peer::log_in(&listener).await;
            peer.open_lane(1).await;
            peer.expect(BASIC_PUBLISH).await;
            peer.confirm(1, BASIC_ACK, 1, 0).await;
            peer.rest().await
        };
        let agent = async {
            for number in 0..connection::LOST_CHANNELS_MAX {
                let told = publisher.publish(through(&number.to_string())).await;
                let text = "NOT_FOUND".to_owned();
                assert_eq!(told, Err(NotSafe::Ended(Ended::ChannelClosed { code: 404, text })));
            }
            assert_eq!(publisher.publish(copy("1")).await, Ok(()));
        };
        tokio::select! {
            () = agent => {}
            methods = broker => panic!("it left too early: {methods:?}"),
        }
    };
    LocalSet::new().run_until(test).await;
}
