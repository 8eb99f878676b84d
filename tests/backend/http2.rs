//! HTTP/2, over TCP without asking.

use std::convert::Infallible;

use amqp_agentd::backend::{Backend, preview};
use amqp_agentd::config::definition::Http2;
use amqp_agentd::outcome::{Reply, Unanswered};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{accept, definition, listen, make, message, send, status, url};

fn backend(listener: &TcpListener) -> Backend {
    let mut definition = definition(&[&url(listener)]);
    definition.http2 = Http2::PriorKnowledge;
    make(&definition)
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.headers()["x-amqp-message-id"], "m-1");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::builder()
        .status(if body.is_empty() { 400 } else { 422 })
        .body(body.into())
        .unwrap())
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let io = TokioIo::new(accept(&listener).await);
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service_fn(echo)).await.unwrap();
    };
    let requests = async {
        let first = send(&backend, "first").await;
        assert_eq!(status(&first.reply), Some(422));
        let all = (0..50).map(|number| send(&backend, format!("body {number}")));
        for (number, answer) in futures_util::future::join_all(all).await.into_iter().enumerate() {
            assert_eq!(status(&answer.reply), Some(422));
            assert_eq!(answer.excerpt, format!("body {number}"));
        }
        assert_eq!(status(&send(&backend, "").await.reply), Some(400));
    };
    tokio::select! {
        () = requests => {}
        () = serve => panic!("the connection ended"),
    }
}

/// Tells what came, with a status whose body is kept.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let headers = request.headers().iter();
    let lines = headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    let told = format!("{}\n{}", request.uri(), lines.collect::<String>());
    Ok(Response::builder().status(422).body(told.into()).unwrap())
}

#[tokio::test]
async fn what_is_previewed_is_what_arrives() {
    let listener = listen().await;
    let mut definition = definition(&[&url(&listener)]);
    definition.http2 = Http2::PriorKnowledge;
    let backend = make(&definition);
    let serve = async {
        let io = TokioIo::new(accept(&listener).await);
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service_fn(tell)).await.unwrap();
    };
    let requests = async {
        for body in ["body", ""] {
            let request = backend.request(&message(body), 1).unwrap();
            let preview = preview(&definition, request.clone()).unwrap();
            let headers = preview.headers.iter();
            let lines =
                headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
            let told = format!("{}\n{}", preview.url, lines.collect::<String>());
            let answer = backend.send(request).await;
            assert_eq!(String::from_utf8_lossy(&answer.excerpt), told);
            assert_eq!(preview.http2, Http2::PriorKnowledge);
        }
    };
    tokio::select! {
        () = requests => {}
        () = serve => panic!("the connection ended"),
    }
}

#[tokio::test]
async fn a_server_that_only_speaks_http1_answers_garbage() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await.unwrap();
        super::server::drain(&mut stream).await;
    };
    let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
    assert!(matches!(answer.reply, Reply::Unanswered(Unanswered::Garbage, _)), "{answer:?}");
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame without flags (RFC 9113, section 4.1).
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    flagged(kind, 0, stream, payload)
}

fn flagged(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads one frame and gives its head and payload.
async fn read_frame(stream: &mut TcpStream) -> ([u8; 9], Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (head, payload)
}

/// Greets the client and reads until its request's headers are there; gives their stream.
async fn read_headers(stream: &mut TcpStream) -> u32 {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
    loop {
        let (head, _) = read_frame(stream).await;
        if head[3] == HEADERS {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_is_not_sent_again_unasked() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        let id = read_headers(&mut stream).await;
        let refused_stream = 7_u32.to_be_bytes();
        stream.write_all(&frame(RST_STREAM, id, &refused_stream)).await.unwrap();
        // Everything else that comes on this connection; another request would be headers.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        rest
    };
    let request = async {
        let answer = send(&backend, "body").await;
        drop(backend);
        answer
    };
    let (answer, rest) = tokio::join!(request, serve);
    assert!(matches!(answer.reply, Reply::Unanswered(Unanswered::Reset, _)), "{answer:?}");
    let mut frames = rest.as_slice();
    while let [a, b, c, kind, ..] = *frames {
        assert_ne!(kind, HEADERS, "the request was sent again");
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        frames = frames.get(9 + length..).unwrap_or_default();
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_a_reset_and_the_next_request_connects_anew() {
    let listener = listen().await;
    let backend = backend(&listener);
    for body in ["body", ""] {
        let serve = async {
            let mut stream = accept(&listener).await;
            read_headers(&mut stream).await;
            stream.write_all(&frame(GOAWAY, 0, &[0; 8])).await.unwrap();
            super::server::drain(&mut stream).await;
        };
        let (answer, ()) = tokio::join!(send(&backend, body), serve);
        assert!(matches!(answer.reply, Reply::Unanswered(Unanswered::Reset, _)), "{answer:?}");
    }
}

#[tokio::test]
async fn an_empty_reply_whose_end_comes_later_is_not_cut_off() {
    let listener = listen().await;
    let backend = backend(&listener);
    let serve = async {
        let mut stream = accept(&listener).await;
        let id = read_headers(&mut stream).await;
        // `:status: 200` and `content-length: 0` (RFC 7541, appendix A: 8 and 28).
        let head = [0x88, 0x0f, 0x0d, 0x01, b'0'];
        stream.write_all(&flagged(HEADERS, END_HEADERS, id, &head)).await.unwrap();
        // Each is answered, so that the client has had its time to look at the head.
        for _ in 0..5 {
            stream.write_all(&frame(PING, 0, b"are you?")).await.unwrap();
            loop {
                let (head, payload) = read_frame(&mut stream).await;
                assert_ne!(head[3], RST_STREAM, "the stream was cut off");
                if head[3] == PING && payload == b"are you?" {
                    break;
                }
            }
        }
        stream.write_all(&flagged(DATA, END_STREAM, id, &[])).await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(send(&backend, "body"), serve);
    assert_eq!(status(&answer.reply), Some(200));
}
