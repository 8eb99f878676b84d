//! What is sent and what is made of a reply, over HTTP/1.1.

use std::time::Duration;

use amqp_agentd::backend::EXCERPT_BYTES_MAX;
use amqp_agentd::outcome::{Reply, Unanswered};
use amqp_agentd::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{
    OK, accept, answer_once, backend, definition, drain, leap, listen, make, message, read_request,
    send, status, url,
};

#[tokio::test]
async fn the_wire_carries_the_request_and_nothing_else_but_the_host() {
    let listener = listen().await;
    let backend = backend(&listener);
    let request = backend.request(&message("body"), 3).unwrap();
    let mut expected: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    expected.push(format!("host: {}", listener.local_addr().unwrap()));
    expected.sort();
    let (answer, (_stream, seen)) = tokio::join!(backend.send(request), answer_once(&listener, OK));
    assert_eq!(answer.reply, Reply::Answered { status: 200, retry_after: None });
    assert!(seen.head.starts_with("POST /orders?token=hunter2 HTTP/1.1\r\n"), "{}", seen.head);
    let mut lines: Vec<_> = seen.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(seen.body, b"body");
}

#[tokio::test]
async fn an_empty_body_has_a_length() {
    let listener = listen().await;
    let backend = backend(&listener);
    let (answer, (_stream, seen)) = tokio::join!(send(&backend, ""), answer_once(&listener, OK));
    assert_eq!(status(&answer.reply), Some(200));
    assert_eq!(seen.header("content-length"), Some("0"));
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_large_binary_body_arrives_as_it_came() {
    let listener = listen().await;
    let backend = backend(&listener);
    let body: Vec<u8> = (0..16 << 20).map(|index: u32| index.to_le_bytes()[1]).collect();
    let (answer, (_stream, seen)) =
        tokio::join!(send(&backend, body.clone()), answer_once(&listener, OK));
    assert_eq!(status(&answer.reply), Some(200));
    assert!(seen.body == body);
    assert_eq!(seen.header("content-length"), Some("16777216"));
}

#[tokio::test]
async fn a_configured_host_is_sent() {
    let listener = listen().await;
    let mut definition = definition(&[&url(&listener)]);
    definition.headers = vec![("Host".to_owned(), Secret::new("orders.internal"))];
    let backend = make(&definition);
    let (_, (_stream, seen)) = tokio::join!(send(&backend, ""), answer_once(&listener, OK));
    assert_eq!(seen.header("host"), Some("orders.internal"));
    assert_eq!(seen.lines().filter(|line| line.starts_with("host:")).count(), 1);
}

#[tokio::test]
async fn a_reply_that_takes_longer_than_a_connection_may_counts() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await.unwrap();
        leap(Duration::from_secs(20)).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(status(&answer.reply), Some(200));
}

#[tokio::test]
async fn a_probe_changes_nothing() {
    let listener = listen().await;
    let backend = backend(&listener);
    let reply = "HTTP/1.1 405 No\r\ncontent-length: 500\r\n\r\n";
    let (answer, (_stream, seen)) = tokio::join!(backend.probe(), answer_once(&listener, reply));
    assert_eq!(status(&answer.reply), Some(405));
    assert!(seen.head.starts_with("HEAD /orders?token=hunter2 HTTP/1.1\r\n"), "{}", seen.head);
    assert!(!seen.head.contains("x-amqp"), "{}", seen.head);
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let listener = listen().await;
        let backend = backend(&listener);
        let location = url(&listener);
        let reply =
            format!("HTTP/1.1 {code} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let (answer, (mut stream, _)) =
            tokio::join!(send(&backend, "body"), answer_once(&listener, &reply));
        assert_eq!(status(&answer.reply), Some(code));
        drop(backend);
        assert!(read_request(&mut stream).await.is_none());
    }
}

#[tokio::test]
async fn retry_after_and_the_start_of_a_failing_body_are_told() {
    let listener = listen().await;
    let backend = backend(&listener);
    let body = "overloaded ".repeat(1000);
    let reply = format!(
        "HTTP/1.1 503 Busy\r\nretry-after: 17\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (answer, _) = tokio::join!(send(&backend, "body"), answer_once(&listener, &reply));
    let retry_after = Some(Duration::from_secs(17));
    assert_eq!(answer.reply, Reply::Answered { status: 503, retry_after });
    assert_eq!(answer.excerpt, body.as_bytes()[..EXCERPT_BYTES_MAX]);
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        for body in ["", "hello", "hello"] {
            read_request(&mut stream).await.unwrap();
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    };
    let requests = async {
        for _ in 0..3 {
            assert_eq!(status(&send(&backend, "body").await.reply), Some(200));
        }
    };
    tokio::join!(requests, serve);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let listener = listen().await;
    let backend = backend(&listener);
    let (answer, (mut stream, _)) = tokio::join!(send(&backend, "1"), answer_once(&listener, OK));
    assert_eq!(status(&answer.reply), Some(200));
    stream.shutdown().await.unwrap();
    // Until the client has closed its side too.
    drain(&mut stream).await;
    let (answer, (_stream, seen)) = tokio::join!(send(&backend, "2"), answer_once(&listener, OK));
    assert_eq!(status(&answer.reply), Some(200));
    assert_eq!(seen.body, b"2");
}

#[tokio::test]
async fn a_kept_connection_that_closes_after_the_request_is_not_tried_again() {
    let listener = listen().await;
    let backend = backend(&listener);
    let (_, (mut stream, _)) = tokio::join!(send(&backend, "1"), answer_once(&listener, OK));
    let serve = async {
        assert!(read_request(&mut stream).await.is_some());
        drop(stream);
    };
    let (answer, ()) = tokio::join!(send(&backend, "2"), serve);
    assert!(matches!(answer.reply, Reply::Unanswered(Unanswered::Reset, _)), "{answer:?}");
    drop(backend);
    let second = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(second.is_err(), "the request was sent again");
}

#[tokio::test]
async fn a_huge_body_is_not_read() {
    for head in ["content-length: 104857600", "x-length: none", "transfer-encoding: chunked"] {
        let listener = listen().await;
        let backend = backend(&listener);
        let serve = async {
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
            let (mut stream, _) = answer_once(&listener, &head).await;
            let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000)).into_bytes();
            let mut sent = 0;
            while sent < 100 << 20 && stream.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
            }
            sent
        };
        let (answer, sent) = tokio::join!(send(&backend, "body"), serve);
        assert_eq!(status(&answer.reply), Some(200));
        assert!(sent < 100 << 20, "{head}: everything was read");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_the_reply_up() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
        let (mut stream, _) = answer_once(&listener, head).await;
        tokio::time::pause();
        drain(&mut stream).await;
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(status(&answer.reply), Some(200));
}

#[tokio::test]
async fn a_body_cut_short_does_not_change_the_reply() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let head = "HTTP/1.1 422 No\r\ncontent-length: 10\r\n\r\nabc";
        drop(answer_once(&listener, head).await);
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(status(&answer.reply), Some(422));
    assert_eq!(answer.excerpt, "abc");
}

#[tokio::test]
async fn a_reply_before_the_end_of_a_large_request_counts() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        stream.read_u8().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        drain(&mut stream).await;
    };
    let body = vec![0; 16 << 20];
    let (answer, ()) = tokio::join!(send(&backend, body), serve);
    assert_eq!(status(&answer.reply), Some(413));
}

#[tokio::test]
async fn interim_replies_are_passed_over() {
    let listener = listen().await;
    let backend = backend(&listener);
    let reply = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n{OK}");
    let (answer, _) = tokio::join!(send(&backend, "body"), answer_once(&listener, &reply));
    assert_eq!(status(&answer.reply), Some(200));
}
