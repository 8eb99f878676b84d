//! Several hosts of one backend.

use amqp_agentd::outcome::{NotSent, Reply};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::server::{
    Nobody, OK, accept, answer_once, definition, listen, make, message, read_request, send, status,
    url,
};

/// Answers requests, one connection at a time, and counts them.
async fn count(listener: &TcpListener, counter: &std::cell::Cell<u32>) {
    loop {
        let mut stream = accept(listener).await;
        while read_request(&mut stream).await.is_some() {
            counter.set(counter.get() + 1);
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn requests_go_to_the_hosts_in_turn() {
    let (one, two) = (listen().await, listen().await);
    let (ones, twos) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let backend = make(&definition(&[&url(&one), &url(&two)]));
    let requests = async {
        for _ in 0..6 {
            assert_eq!(status(&send(&backend, "").await.reply), Some(200));
        }
    };
    tokio::select! {
        () = requests => {}
        () = count(&one, &ones) => {}
        () = count(&two, &twos) => {}
    }
    assert_eq!((ones.get(), twos.get()), (3, 3));
}

#[tokio::test]
async fn a_host_that_refuses_is_passed_over_within_the_attempt() {
    let alive = listen().await;
    let counter = std::cell::Cell::new(0);
    let dead = Nobody::new();
    let backend = make(&definition(&[&dead.url(), &url(&alive)]));
    let requests = async {
        for _ in 0..4 {
            assert_eq!(status(&send(&backend, "").await.reply), Some(200));
        }
    };
    tokio::select! {
        () = requests => {}
        () = count(&alive, &counter) => {}
    }
    assert_eq!(counter.get(), 4);
}

#[tokio::test]
async fn the_request_that_a_host_refused_goes_to_the_next_one_whole() {
    let alive = listen().await;
    let dead = Nobody::new();
    let backend = make(&definition(&[&dead.url(), &url(&alive)]));
    let request = backend.request(&message("body"), 1).unwrap();
    let lines = request.headers.len() + 1;
    let (answer, (_stream, seen)) = tokio::join!(backend.send(request), answer_once(&alive, OK));
    assert_eq!(status(&answer.reply), Some(200));
    assert_eq!(seen.body, b"body");
    assert_eq!(seen.lines().count(), lines, "{}", seen.head);
    assert_eq!(seen.header("host"), Some(alive.local_addr().unwrap().to_string().as_str()));
}

#[tokio::test]
async fn a_host_that_answers_with_failure_is_not_passed_over() {
    let one = listen().await;
    let backend = make(&definition(&[&url(&one), "http://nonexistent.invalid/"]));
    let serve = async {
        let mut stream = accept(&one).await;
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let (answer, _) = tokio::join!(send(&backend, ""), serve);
    assert_eq!(status(&answer.reply), Some(500));
}

#[tokio::test]
async fn nothing_was_sent_only_when_every_host_failed() {
    let hosts = [Nobody::new(), Nobody::new(), Nobody::new()];
    let urls: Vec<_> = hosts.iter().map(Nobody::url).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let backend = make(&definition(&urls));
    for _ in 0..2 {
        let reply = send(&backend, "").await.reply;
        assert!(matches!(reply, Reply::NotSent(NotSent::Connect, _)), "{reply:?}");
    }
}
