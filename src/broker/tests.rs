//! What RabbitMQ cannot be made to do: a broker of raw octets springs the library's traps.
//!
//! What is asked of each is the same: the session ends with a reason, within its deadlines, and
//! nothing else of the process is disturbed. Where a deadline is the point, the clock is stopped
//! once the broker has heard the question, or put forward, so that it passes at once.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::session::{Event, Session};
use super::{Ended, rpc};
use crate::config::definition::tests::definition;
use crate::config::definition::{AgentDefinition, BrokerAddress, RetryStrategy};
use crate::delivery::{Delivery, Message};
use crate::settlement::Settlement;

/// Class and method.
pub(crate) type Method = (u16, u16);

pub(super) const CHANNEL_OPEN: Method = (20, 10);
pub(super) const QUEUE_DECLARE: Method = (50, 10);
const BASIC_QOS: Method = (60, 10);
const BASIC_CONSUME: Method = (60, 20);
pub(crate) const BASIC_CANCEL: Method = (60, 30);
const BASIC_ACK: Method = (60, 80);
pub(crate) const CHANNEL_CLOSE: Method = (20, 40);
pub(super) const CHANNEL_CLOSE_OK: Method = (20, 41);
pub(crate) const CONNECTION_CLOSE: Method = (10, 50);
pub(super) const CONNECTION_CLOSE_OK: Method = (10, 51);

/// Server properties that nobody could object to.
const PLAIN: &[u8] = b"\x07productS\x00\x00\x00\x04fake";

/// The broker's end of a connection.
pub(crate) struct Peer(pub(super) TcpStream);

impl Peer {
    /// Takes a connection and lets it log in.
    async fn greet(listener: &TcpListener, properties: &[u8]) -> Peer {
        let mut peer = Peer(listener.accept().await.unwrap().0);
        peer.0.read_exact(&mut [0; 8]).await.unwrap();
        let arguments =
            [&[0, 9][..], &long_string(properties), &long_string(b"PLAIN"), &long_string(b"en_US")];
        peer.send(0, (10, 10), &arguments.concat()).await;
        peer
    }

    pub(super) async fn log_in(listener: &TcpListener) -> Peer {
        Peer::log_in_as(listener, PLAIN).await
    }

    async fn log_in_as(listener: &TcpListener, properties: &[u8]) -> Peer {
        let mut peer = Peer::greet(listener, properties).await;
        peer.expect((10, 11)).await;
        // 2047 channels, 128 KiB, 60 s.
        peer.send(0, (10, 30), &[0x07, 0xFF, 0, 2, 0, 0, 0, 60]).await;
        peer.expect((10, 31)).await;
        peer.expect((10, 40)).await;
        peer.send(0, (10, 41), &[0]).await;
        peer
    }

    /// The same, and answers everything that comes before `silent_at`.
    pub(crate) async fn until(listener: &TcpListener, silent_at: Method) -> Peer {
        let mut peer = Peer::log_in(listener).await;
        let answers: [(Method, &[u8]); 4] = [
            (CHANNEL_OPEN, &[0; 4]),
            (QUEUE_DECLARE, b"\x06orders\x00\x00\x00\x00\x00\x00\x00\x00"),
            (BASIC_QOS, &[]),
            (BASIC_CONSUME, b"\x03tag"),
        ];
        for (question, answer) in answers {
            peer.expect(question).await;
            if question == silent_at {
                break;
            }
            peer.send(1, (question.0, question.1 + 1), answer).await;
        }
        peer
    }

    async fn deliver(&mut self, tag: u8, body: &[u8]) {
        let arguments = [b"\x03tag\0\0\0\0\0\0\0", &[tag, 0][..], b"\0\x06orders"].concat();
        self.send(1, (60, 60), &arguments).await;
        let length = u8::try_from(body.len()).unwrap();
        self.send_frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0]).await;
        self.send_frame(3, 1, body).await;
    }

    pub(crate) async fn send(&mut self, channel: u16, method: Method, arguments: &[u8]) {
        let payload = [&method.0.to_be_bytes()[..], &method.1.to_be_bytes(), arguments].concat();
        self.send_frame(1, channel, &payload).await;
    }

    pub(super) async fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let frame = [&[kind][..], &channel.to_be_bytes(), &long_string(payload), &[0xCE]].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next method that comes; `None` once the other side has gone.
    pub(crate) async fn receive(&mut self) -> Option<Method> {
        loop {
            let kind = self.0.read_u8().await.ok()?;
            self.0.read_u16().await.ok()?;
            let length = self.0.read_u32().await.ok()?;
            let mut payload = vec![0; usize::try_from(length).unwrap() + 1];
            self.0.read_exact(&mut payload).await.ok()?;
            if kind == 1 {
                let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
                return Some((number(0), number(2)));
            }
        }
    }

    pub(super) async fn expect(&mut self, method: Method) {
        assert_eq!(self.receive().await, Some(method));
    }

    /// All methods that still come until the other side has gone.
    pub(super) async fn rest(&mut self) -> Vec<Method> {
        let mut methods = Vec::new();
        while let Some(method) = self.receive().await {
            methods.push(method);
        }
        methods
    }
}

pub(super) fn long_string(octets: &[u8]) -> Vec<u8> {
    [&u32::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}

/// The arguments of `channel.close` and `connection.close`.
pub(super) fn close(code: u16, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&code.to_be_bytes()[..], &[length], text.as_bytes(), &[0; 4]].concat()
}

/// A listener, and an agent that finds its broker there.
pub(crate) async fn broker() -> (TcpListener, AgentDefinition) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut agent = definition("orders");
    agent.source.consumer_tag = Some("tag".to_owned());
    let address: &mut BrokerAddress = &mut agent.source.brokers[0];
    address.port = listener.local_addr().unwrap().port();
    address.heartbeat_seconds = 60;
    (listener, agent)
}

async fn open(agent: &AgentDefinition) -> Result<Session, Ended> {
    Session::open(&agent.source.brokers[0], agent).await
}

/// Lets time pass at once. A clock that stayed stopped would run ahead of what the network carries.
async fn leap(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Lets so much time pass that a session asks whether the broker is there.
async fn leap_to_question() {
    leap(definition("orders").reconnect.health_interval).await;
}

/// A session that consumes, and the broker's end of it.
async fn consuming() -> (Session, Peer) {
    let (listener, agent) = broker().await;
    let (session, mut peer) = tokio::join!(open(&agent), Peer::until(&listener, (0, 0)));
    peer.deliver(1, b"one").await;
    let mut session = session.unwrap();
    match session.next().await.unwrap() {
        Event::Delivery(delivery) => {
            assert_eq!(delivery.message().body, "one");
            delivery.abandon();
        }
        Event::Drained => panic!("nothing was cancelled"),
    }
    (session, peer)
}

/// What ends the session, after the broker has sent this.
async fn ended_by(channel: u16, method: Method, arguments: &[u8]) -> Ended {
    let (session, mut peer) = consuming().await;
    peer.send(channel, method, arguments).await;
    end_of(session, peer).await
}

/// What ends the session. It must not take a question that nobody answers: what kills one of the
/// library's tasks here is noticed at once.
async fn end_of(mut session: Session, mut peer: Peer) -> Ended {
    let ended = async {
        loop {
            match session.next().await {
                Ok(Event::Delivery(delivery)) => delivery.abandon(),
                Ok(Event::Drained) => panic!("nothing was cancelled"),
                Err(ended) => return ended,
            }
        }
    };
    let asked = async { while peer.receive().await != Some(BASIC_QOS) {} };
    let ended = tokio::select! {
        biased;
        ended = ended => ended,
        () = asked => panic!("the library went on as if nothing had been"),
    };
    drop(peer);
    session.close().await;
    ended
}

// --------------------------------------------------------------------------------- logging in

#[tokio::test]
async fn server_properties_of_an_odd_type_are_the_librarys_failure_and_not_ours() {
    for properties in [
        &b"\x07productI\x00\x00\x00\x01"[..],
        b"\x0ccapabilitiesS\x00\x00\x00\x01x",
        b"\x0ccapabilitiesF\x00\x00\x00\x10\x0abasic.nackI\x00\x00\x00\x01",
    ] {
        let (listener, agent) = broker().await;
        let (session, _peer) = tokio::join!(open(&agent), Peer::greet(&listener, properties));
        assert!(matches!(session.err(), Some(Ended::LibraryFailed(_))), "{properties:?}");
    }
}

#[tokio::test]
async fn server_properties_that_are_not_text_are_nobodys_failure() {
    let (listener, agent) = broker().await;
    let properties = b"\x07productS\x00\x00\x00\x02\xFF\xFE";
    let answered = async { Peer::greet(&listener, properties).await.receive().await };
    tokio::select! {
        session = open(&agent) => panic!("no session: {:?}", session.err()),
        answer = answered => assert_eq!(answer, Some((10, 11))),
    }
}

#[tokio::test]
async fn native_retries_are_refused_before_anything_is_taken_from_a_broker_that_has_none() {
    for (version, has_them) in [("4.2.9", false), ("4.3.0", true)] {
        let (listener, mut agent) = broker().await;
        agent.retry.strategy = RetryStrategy::Native;
        let properties =
            [&b"\x07productS\0\0\0\x08RabbitMQ\x07versionS"[..], &long_string(version.as_bytes())];
        let (session, next) = tokio::join!(open(&agent), async {
            let mut peer = Peer::log_in_as(&listener, &properties.concat()).await;
            peer.receive().await
        });
        if has_them {
            assert_eq!(next, Some(CHANNEL_OPEN));
            continue;
        }
        let ended = session.err().unwrap();
        assert!(matches!(ended, Ended::NoDelayedRetry(_)) && ended.needs_somebody(), "{ended}");
        assert!(ended.to_string().contains("this is RabbitMQ 4.2.9"), "{ended}");
        assert_ne!(next, Some(CHANNEL_OPEN));
    }
}

#[tokio::test]
async fn a_broker_that_takes_the_connection_and_never_says_a_word_costs_connect_timeout() {
    let (listener, mut agent) = broker().await;
    let limit = Duration::from_millis(50);
    agent.source.brokers[0].connect_timeout = limit;
    let ended = open(&agent).await.err().unwrap();
    assert_eq!(ended, Ended::ConnectTimeout(limit));
    drop(listener);
}

#[tokio::test]
async fn a_broker_that_stops_in_the_middle_of_the_login_costs_connect_timeout() {
    let (listener, agent) = broker().await;
    let limit = agent.source.brokers[0].connect_timeout;
    let (session, _peer) = tokio::join!(open(&agent), async {
        let mut peer = Peer::greet(&listener, PLAIN).await;
        peer.expect((10, 11)).await;
        leap(limit).await;
        peer
    });
    assert_eq!(session.err(), Some(Ended::ConnectTimeout(limit)));
}

#[tokio::test]
async fn a_connection_closed_after_the_brokers_greeting_is_a_refused_login() {
    let (listener, agent) = broker().await;
    let (session, ()) = tokio::join!(open(&agent), async {
        let mut peer = Peer::greet(&listener, PLAIN).await;
        peer.expect((10, 11)).await;
        drop(peer);
        // It is there, and greets whoever comes next.
        Peer::greet(&listener, PLAIN).await.rest().await;
    });
    assert_eq!(session.err(), Some(Ended::LoginRefused));
}

#[tokio::test]
async fn a_connection_closed_before_any_greeting_is_no_refused_login() {
    let (listener, agent) = broker().await;
    let balancer = async {
        loop {
            listener.accept().await.unwrap().0.set_zero_linger().unwrap();
        }
    };
    tokio::select! {
        session = open(&agent) => {
            assert!(matches!(session.err(), Some(Ended::Unreachable(_))));
        }
        () = balancer => {}
    }
}

#[tokio::test]
async fn something_that_is_no_broker_is_no_session() {
    for octets in
        [&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..], b"AMQP\0\0\x09\x01"]
    {
        let (listener, agent) = broker().await;
        let other = async {
            loop {
                let mut stream = listener.accept().await.unwrap().0;
                stream.read_exact(&mut [0; 8]).await.unwrap();
                stream.write_all(octets).await.unwrap();
            }
        };
        tokio::select! {
            session = open(&agent) => {
                assert!(matches!(session.err(), Some(Ended::Unreachable(_))));
            }
            () = other => {}
        }
    }
}

// ---------------------------------------------------------------------------------- deadlines

#[tokio::test]
async fn a_broker_that_leaves_a_question_unanswered_is_given_up_whatever_the_question() {
    for (question, what) in [
        (CHANNEL_OPEN, "channel.open"),
        (QUEUE_DECLARE, "queue.declare"),
        (BASIC_QOS, "basic.qos"),
        (BASIC_CONSUME, "basic.consume"),
    ] {
        let (listener, agent) = broker().await;
        let (session, _peer) = tokio::join!(open(&agent), async {
            let peer = Peer::until(&listener, question).await;
            tokio::time::pause();
            peer
        });
        tokio::time::resume();
        let unresponsive = Ended::Unresponsive { what, waited: rpc::ANSWER_MAX };
        assert_eq!(session.err(), Some(unresponsive));
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_an_answer_comes_is_lost_whatever_the_question() {
    for question in [CHANNEL_OPEN, QUEUE_DECLARE, BASIC_QOS, BASIC_CONSUME] {
        let (listener, agent) = broker().await;
        let (session, ()) = tokio::join!(open(&agent), async {
            drop(Peer::until(&listener, question).await);
        });
        assert_eq!(session.err(), Some(Ended::Lost), "{question:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_given_up_while_it_opens_leaves_no_connection_behind() {
    let (listener, agent) = broker().await;
    let mut peer = tokio::select! {
        biased;
        _ = open(&agent) => panic!("nobody answered"),
        peer = Peer::until(&listener, QUEUE_DECLARE) => peer,
    };
    // It says good-bye, or is simply gone.
    let left = peer.receive().await;
    assert!(matches!(left, Some(CONNECTION_CLOSE | CHANNEL_CLOSE) | None), "{left:?}");
}

#[tokio::test]
async fn a_broker_that_stays_silent_when_asked_whether_it_is_there_is_given_up() {
    let (mut session, mut peer) = consuming().await;
    tokio::time::pause();
    let (ended, ()) = tokio::join!(session.next(), peer.expect(BASIC_QOS));
    let unresponsive = Ended::Unresponsive { what: "basic.qos", waited: rpc::ANSWER_MAX };
    assert_eq!(ended.err(), Some(unresponsive));
}

#[tokio::test]
async fn a_connection_that_ends_after_a_long_silence_is_told_so() {
    let (mut session, mut peer) = consuming().await;
    leap_to_question().await;
    let silence = async {
        peer.expect(BASIC_QOS).await;
        leap(rpc::ANSWER_MAX / 2).await;
        drop(peer);
    };
    let (ended, ()) = tokio::join!(session.next(), silence);
    assert_eq!(ended.err(), Some(Ended::Silent));
}

#[tokio::test]
async fn a_broker_that_answers_is_asked_again_and_again_and_the_session_goes_on() {
    let (mut session, mut peer) = consuming().await;
    tokio::select! {
        ended = session.next() => panic!("it ended: {ended:?}"),
        () = async {
            for _ in 0..5 {
                leap_to_question().await;
                peer.expect(BASIC_QOS).await;
                peer.send(1, (60, 11), &[]).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn a_broker_that_reads_nothing_more_does_not_hold_up_a_settlement_for_ever() {
    let (mut session, _peer) = consuming().await;
    tokio::time::pause();
    let ended = loop {
        let message = Message {
            exchange: String::new(),
            routing_key: String::new(),
            redelivered: false,
            properties: super::properties::Properties::default(),
            body: Bytes::new(),
        };
        let delivery = Delivery::new(1, message);
        let told = session.settle(delivery, Settlement::Discard, Instant::now()).await;
        if let Err(ended) = told {
            break ended;
        }
    };
    assert!(matches!(ended, Ended::Unresponsive { what: "a settlement", .. }), "{ended}");
    // Nor does leaving take longer than it may.
    session.close().await;
}

#[tokio::test]
async fn a_broker_that_does_not_take_leave_is_left_all_the_same() {
    let (session, mut peer) = consuming().await;
    let leaving = async {
        peer.expect(CHANNEL_CLOSE).await;
        tokio::time::pause();
    };
    tokio::join!(session.close(), leaving);
}

// ---------------------------------------------------------------------------- a broker's whims

#[tokio::test]
async fn a_method_that_does_not_exist_ends_the_session() {
    assert_eq!(ended_by(1, (60, 99), &[]).await, Ended::Lost);
    assert_eq!(ended_by(0, (99, 1), &[]).await, Ended::Lost);
}

#[tokio::test]
async fn a_frame_for_a_channel_that_was_never_opened_ends_the_session() {
    assert_eq!(ended_by(77, (60, 11), &[]).await, Ended::Lost);
}

#[tokio::test]
async fn answers_that_nobody_asked_for_end_the_session() {
    for answer in [(20, 11), CHANNEL_CLOSE_OK, (50, 11), (60, 11), (60, 21), (60, 31)] {
        let arguments = match answer {
            (20, 11) => vec![0; 4],
            (50, 11) => vec![0; 9],
            (60, 21 | 31) => b"\x03tag".to_vec(),
            _ => Vec::new(),
        };
        assert_eq!(ended_by(1, answer, &arguments).await, Ended::Lost, "{answer:?}");
    }
    assert_eq!(ended_by(0, CONNECTION_CLOSE_OK, &[]).await, Ended::Lost);
    assert_eq!(ended_by(0, (10, 71), &[]).await, Ended::Lost);
}

#[tokio::test]
async fn content_out_of_turn_ends_the_session() {
    // A header and a body without a delivery, a body without a header, and one that is too long.
    let (session, mut peer) = consuming().await;
    peer.deliver(2, b"").await;
    peer.send_frame(3, 1, b"more").await;
    assert_eq!(end_of(session, peer).await, Ended::Lost);

    let (session, mut peer) = consuming().await;
    peer.send(1, (60, 60), b"\x03tag\0\0\0\0\0\0\0\x02\0\0\x06orders").await;
    peer.send_frame(3, 1, b"body").await;
    assert_eq!(end_of(session, peer).await, Ended::Lost);

    let (session, mut peer) = consuming().await;
    peer.send(1, (60, 60), b"\x03tag\0\0\0\0\0\0\0\x02\0\0\x06orders").await;
    peer.send_frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0]).await;
    peer.send_frame(3, 1, b"longer than two").await;
    assert_eq!(end_of(session, peer).await, Ended::Lost);
}

#[tokio::test]
async fn frames_that_are_none_end_the_session() {
    for octets in [
        // An end octet that is none, a kind that is none, and a length beyond all limits.
        &b"\x01\0\x01\0\0\0\x04\0\x3c\0\x0b\xFF"[..],
        b"\x09\0\x01\0\0\0\x04\0\x3c\0\x0b\xCE",
        b"\x01\0\x01\0\0\0\x02\0\x3c\xCE",
    ] {
        let (session, mut peer) = consuming().await;
        peer.0.write_all(octets).await.unwrap();
        assert_eq!(end_of(session, peer).await, Ended::Lost, "{octets:?}");
    }
}

#[tokio::test]
async fn a_cancelled_consumer_and_a_closed_connection_are_told_as_the_broker_said() {
    let cancelled = ended_by(1, BASIC_CANCEL, b"\x03tag\x01").await;
    assert_eq!(cancelled, Ended::ConsumerCancelled);
    let text = "CONNECTION_FORCED - bye".to_owned();
    let closed = ended_by(0, CONNECTION_CLOSE, &close(320, &text)).await;
    assert_eq!(closed, Ended::ConnectionClosed { code: 320, text });
}

#[tokio::test]
async fn of_several_reasons_the_first_is_told() {
    let (session, mut peer) = consuming().await;
    peer.send(1, CHANNEL_CLOSE, &close(406, "PRECONDITION_FAILED - first")).await;
    peer.expect(CHANNEL_CLOSE_OK).await;
    peer.send(0, CONNECTION_CLOSE, &close(504, "CHANNEL_ERROR - second")).await;
    peer.expect(CONNECTION_CLOSE_OK).await;
    let text = "PRECONDITION_FAILED - first".to_owned();
    assert_eq!(end_of(session, peer).await, Ended::ChannelClosed { code: 406, text });
}

#[tokio::test]
async fn a_broker_that_closes_while_we_do_is_left_in_peace() {
    let (session, mut peer) = consuming().await;
    let crossing = async {
        peer.expect(CHANNEL_CLOSE).await;
        peer.send(1, CHANNEL_CLOSE, &close(406, "crossing")).await;
        peer.send(1, CHANNEL_CLOSE_OK, &[]).await;
        peer.send(0, CONNECTION_CLOSE, &close(320, "crossing")).await;
        drop(peer);
    };
    tokio::join!(session.close(), crossing);
}

#[tokio::test]
async fn nothing_is_settled_on_a_channel_that_the_broker_has_closed() {
    let (mut session, mut peer) = consuming().await;
    peer.deliver(2, b"two").await;
    let Event::Delivery(delivery) = session.next().await.unwrap() else { panic!("a message") };
    peer.send(1, CHANNEL_CLOSE, &close(406, "PRECONDITION_FAILED - timeout")).await;
    let ended = session.next().await.unwrap_err();
    session.settle(delivery, Settlement::Ack, Instant::now()).await.unwrap();
    let due = session.flush_due().expect("an ack waits");
    assert_eq!(session.flush(due).await.unwrap_err(), ended);
    assert!(matches!(ended, Ended::ChannelClosed { code: 406, .. }), "{ended}");
    let ((), methods) = tokio::join!(session.close(), async {
        peer.expect(CHANNEL_CLOSE_OK).await;
        peer.receive().await
    });
    assert_ne!(methods, Some(BASIC_ACK));
}

#[tokio::test]
async fn a_question_and_a_cancellation_do_not_meet_on_the_channel() {
    let (mut session, mut peer) = consuming().await;
    leap_to_question().await;
    // The question is under way when the cancellation is wanted.
    tokio::select! {
        biased;
        () = peer.expect(BASIC_QOS) => {}
        ended = session.next() => panic!("it ended: {ended:?}"),
    }
    let (cancelled, ()) = tokio::join!(session.cancel(), async {
        // It waits for the answer, however often it has its turn.
        let turns = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            method = peer.receive() => panic!("{method:?} before the answer"),
            () = turns => {}
        }
        peer.send(1, (60, 11), &[]).await;
        peer.expect(BASIC_CANCEL).await;
        peer.deliver(2, b"sent before").await;
        peer.send(1, (60, 31), b"\x03tag").await;
    });
    cancelled.unwrap();
    let Event::Delivery(delivery) = session.next().await.unwrap() else { panic!("a message") };
    session.settle(delivery, Settlement::Ack, Instant::now()).await.unwrap();
    assert!(matches!(session.next().await.unwrap(), Event::Drained));
    // The first one is never settled, so this one waits for its time.
    let due = session.flush_due().expect("an ack waits");
    session.flush(due).await.unwrap();
    peer.expect(BASIC_ACK).await;
}

#[tokio::test]
async fn a_library_that_died_leaves_the_next_session_unharmed() {
    assert_eq!(ended_by(77, (60, 11), &[]).await, Ended::Lost);
    let (session, mut peer) = consuming().await;
    let leaving = async {
        peer.expect(CHANNEL_CLOSE).await;
        peer.send(1, CHANNEL_CLOSE_OK, &[]).await;
        peer.expect(CONNECTION_CLOSE).await;
        peer.send(0, CONNECTION_CLOSE_OK, &[]).await;
        assert_eq!(peer.rest().await, []);
    };
    tokio::join!(session.close(), leaving);
}
