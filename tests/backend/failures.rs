//! Every way that a backend fails, provoked for real, and what it is called.

use std::time::Duration;

use amqp_agentd::outcome::{NotSent, Reply, Unanswered};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::server::{
    Nobody, OK, accept, answer_once, backend, definition, drain, leap, listen, make, read_request,
    send, status, url,
};

fn not_sent(reply: &Reply) -> (NotSent, &str) {
    match reply {
        Reply::NotSent(kind, text) => (*kind, text),
        Reply::Answered { .. } | Reply::Unanswered(..) | Reply::Impossible(_) => {
            panic!("unexpected: {reply:?}")
        }
    }
}

fn unanswered(reply: &Reply) -> Unanswered {
    match reply {
        Reply::Unanswered(kind, text) => {
            assert!(!text.contains("hunter2"), "{text}");
            *kind
        }
        Reply::Answered { .. } | Reply::NotSent(..) | Reply::Impossible(_) => {
            panic!("unexpected: {reply:?}")
        }
    }
}

/// The reply to a request that a server reads and then answers with `bytes` and the end of the
/// connection.
async fn reply_to_bytes(bytes: &[u8]) -> Reply {
    let listener = listen().await;
    let serve = async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await.unwrap();
        // The client may be gone before it has read everything.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        drain(&mut stream).await;
    };
    let backend = backend(&listener);
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    answer.reply
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let nobody = Nobody::new();
    let address = nobody.address();
    let backend = make(&definition(&[&format!("http://{address}/orders?token=hunter2")]));
    let reply = send(&backend, "body").await.reply;
    let (kind, text) = not_sent(&reply);
    assert_eq!(kind, NotSent::Connect);
    assert!(text.starts_with(&format!("{address}: Connection refused")), "{text}");
}

#[tokio::test]
async fn a_name_without_address_sent_nothing() {
    let backend = make(&definition(&["http://nonexistent.invalid/orders?token=hunter2"]));
    let reply = send(&backend, "body").await.reply;
    let (kind, text) = not_sent(&reply);
    assert_eq!(kind, NotSent::Dns);
    assert!(text.starts_with("nonexistent.invalid: failed to lookup address"), "{text}");
}

/// A listener whose queue of connections is full, so that the kernel drops further ones.
async fn black_hole() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the queue never fills");
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_connection_that_is_never_made_sent_nothing() {
    let (listener, _waiting) = black_hole().await;
    let backend = backend(&listener);
    tokio::time::pause();
    let reply = send(&backend, "body").await.reply;
    let (kind, text) = not_sent(&reply);
    assert_eq!(kind, NotSent::ConnectTimeout);
    assert!(text.ends_with(": gave up after 10.0s"), "{text}");
}

#[tokio::test]
async fn a_short_timeout_that_ends_while_connecting_sent_nothing() {
    let (listener, _waiting) = black_hole().await;
    let mut definition = definition(&[&url(&listener)]);
    definition.timeout = Duration::from_millis(50);
    let reply = send(&make(&definition), "body").await.reply;
    assert_eq!(not_sent(&reply).0, NotSent::ConnectTimeout);
}

#[tokio::test]
async fn a_host_that_is_never_reached_leaves_the_next_one_its_time() {
    let (dead, _waiting) = black_hole().await;
    let alive = listen().await;
    let backend = make(&definition(&[&url(&dead), &url(&alive)]));
    let mut attempt = Box::pin(send(&backend, "body"));
    assert!(futures_util::poll!(attempt.as_mut()).is_pending());
    // As long as it waits for a connection.
    leap(Duration::from_secs(10)).await;
    let (answer, _) = tokio::join!(attempt, answer_once(&alive, OK));
    assert_eq!(status(&answer.reply), Some(200));
}

#[tokio::test]
async fn a_connection_that_ends_at_once_is_no_reply() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async { drop(accept(&listener).await) };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    // Whether the request left before the end was seen is chance; either name is true.
    assert!(
        matches!(
            answer.reply,
            Reply::NotSent(NotSent::Connect, _) | Reply::Unanswered(Unanswered::Reset, _)
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_reset_after_the_request_may_have_arrived() {
    for body in ["", "body"] {
        let listener = listen().await;
        let backend = backend(&listener);
        let serve = async {
            let mut stream = accept(&listener).await;
            read_request(&mut stream).await.unwrap();
            stream.set_zero_linger().unwrap();
        };
        let (answer, ()) = tokio::join!(send(&backend, body), serve);
        assert_eq!(unanswered(&answer.reply), Unanswered::Reset);
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_large_request_may_have_arrived() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        stream.read_u8().await.unwrap();
        stream.set_zero_linger().unwrap();
    };
    let body = vec![0; 16 << 20];
    let (answer, ()) = tokio::join!(send(&backend, body), serve);
    assert_eq!(unanswered(&answer.reply), Unanswered::Reset);
}

#[tokio::test]
async fn an_end_without_reply_is_a_reset() {
    assert_eq!(unanswered(&reply_to_bytes(b"").await), Unanswered::Reset);
}

#[tokio::test]
async fn half_a_head_is_a_reset() {
    let half = reply_to_bytes(b"HTTP/1.1 200 OK\r\ncontent-le").await;
    assert_eq!(unanswered(&half), Unanswered::Reset);
}

#[tokio::test]
async fn what_is_not_http_is_garbage() {
    let garbage: [&[u8]; 7] = [
        b"\0\x01\x02\x03 not http at all\r\n\r\n",
        b"220 mail.example.org ESMTP\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ];
    for bytes in garbage {
        let reply = reply_to_bytes(bytes).await;
        assert_eq!(unanswered(&reply), Unanswered::Garbage, "{reply:?}");
    }
}

#[tokio::test]
async fn a_flood_of_headers_is_cut_off() {
    let mut flood = b"HTTP/1.1 200 OK\r\nx-flood: ".to_vec();
    flood.resize(100 << 20, b'a');
    assert_eq!(unanswered(&reply_to_bytes(&flood).await), Unanswered::Garbage);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-flood: a\r\n".repeat(10_000));
    assert_eq!(unanswered(&reply_to_bytes(many.as_bytes()).await), Unanswered::Garbage);
}

#[tokio::test]
async fn endless_interim_replies_end_with_the_timeout() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await.unwrap();
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        let mut written = 0;
        while stream.write_all(interim.as_bytes()).await.is_ok() {
            written += 1;
            if written == 100 {
                leap(Duration::from_secs(30)).await;
            }
        }
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(unanswered(&answer.reply), Unanswered::Timeout);
}

#[tokio::test]
async fn silence_after_the_request_ends_with_the_timeout() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await.unwrap();
        tokio::time::pause();
        drain(&mut stream).await;
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(unanswered(&answer.reply), Unanswered::Timeout);
}

#[tokio::test]
async fn giving_an_attempt_up_closes_its_connection() {
    let listener = listen().await;
    let backend = backend(&listener);
    let mut attempt = Box::pin(send(&backend, "body"));
    let mut stream = tokio::select! {
        _ = &mut attempt => panic!("nobody answered"),
        stream = accept(&listener) => stream,
    };
    tokio::select! {
        _ = &mut attempt => panic!("nobody answered"),
        request = read_request(&mut stream) => assert!(request.is_some()),
    }
    drop(attempt);
    drain(&mut stream).await;
}
