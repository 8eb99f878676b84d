//! Guests of the admin interface that are many, slow, large or mad: nobody else notices.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::admin::{Admin, Stream, parse, read_to_end};
use crate::support::wait::within;
use crate::support::{Agent, Backend, Broker, Gate, Reply, Scene};

async fn scene(backend: &Backend) -> Scene {
    let vhost = Broker::any().vhost();
    let agent = Agent::new("orders", &vhost, backend).set("consumer.timeout", "1m");
    Scene::of(vhost, &agent).await
}

async fn crowd(admin: &Admin, count: usize, octets: &[u8]) -> Vec<Box<dyn Stream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = admin.connect().await;
        // One that was sent away already is as good.
        stream.write_all(octets).await.ok();
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn idle_and_slow_guests_make_room_and_delay_neither_deliveries_nor_the_stop() {
    let backend = Backend::start();
    let mut scene = scene(&backend).await;
    let admin = scene.daemon.admin();
    let mut idle = crowd(&admin, 200, b"").await;
    assert_eq!(admin.get("/livez").await.status, 200);
    let oldest = read_to_end(idle[0].as_mut()).await;
    assert_eq!(oldest, "", "the oldest had to go");
    let newest = idle.last_mut().unwrap();
    newest.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(parse(&read_to_end(newest.as_mut()).await).body, "ok\n", "the newest may stay");

    // They never come to the end of their request, or of reading the answers.
    let mut slow = crowd(&admin, 70, b"GET /livez HTT").await;
    for octet in b"P/1.1\r\nX: y" {
        for stream in &mut slow {
            stream.write_all(&[*octet]).await.ok();
        }
    }
    let half = b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
    let _half = crowd(&admin, 70, half).await;
    assert_eq!(admin.get("/livez").await.status, 200);
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
    let _deaf = crowd(&admin, 5, request.as_bytes()).await;
    scene.publish(1..=20).await;
    backend.wait_for(20).await;
    assert_eq!(admin.get("/livez").await.status, 200);
    scene.end(0).await;
}

#[tokio::test]
async fn what_is_too_large_or_no_http_is_refused() {
    let backend = Backend::start();
    let scene = scene(&backend).await;
    let admin = scene.daemon.admin();
    let close = "Host: x\r\nConnection: close\r\n";
    let long = format!("GET / HTTP/1.1\r\n{close}X: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert_eq!(parse(&admin.send(long).await).status, 431);
    let many = format!("GET / HTTP/1.1\r\n{close}{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(parse(&admin.send(many).await).status, 431);
    let uri = format!("GET /{} HTTP/1.1\r\n{close}\r\n", "y".repeat(70_000));
    let status = parse(&admin.send(uri).await).status;
    assert!(matches!(status, 414 | 431), "{status}");

    let announced = format!("POST /reload HTTP/1.1\r\n{close}Content-Length: 1000000000\r\n\r\n");
    let answer = parse(&admin.send(announced).await);
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(answer.json()["status"], 413);
    let chunk = format!("1400\r\n{}\r\n", "y".repeat(0x1400));
    let chunked = format!("POST /reload HTTP/1.1\r\n{close}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(parse(&admin.send(chunked + &chunk).await).status, 413);
    for mad in
        ["\x16\x03\x01\x02\x00\x01", "\r\nhello\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let said = admin.send(mad).await;
        assert_eq!(parse(&said).status, 400, "{mad:?}: {said}");
    }
    let small = format!("POST /reload HTTP/1.1\r\n{close}Content-Length: 2\r\n\r\n{{}}");
    assert_eq!(parse(&admin.send(small).await).status, 200, "a small body is passed over");
    scene.end(0).await;
}

#[tokio::test]
async fn requests_may_follow_each_other_and_the_sending_half_may_be_closed() {
    let backend = Backend::start();
    let scene = scene(&backend).await;
    let admin = scene.daemon.admin();
    let last = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let said = admin.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".to_owned() + last).await;
    assert_eq!(said.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{said}");
    assert!(said.find("ok\n") < said.find("consuming"), "{said}");

    let mut half = admin.connect().await;
    half.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    half.shutdown().await.unwrap();
    assert_eq!(parse(&read_to_end(half.as_mut()).await).body, "ok\n");

    let mut short = admin.connect().await;
    short
        .write_all(b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        .await
        .unwrap();
    short.shutdown().await.unwrap();
    let said = read_to_end(short.as_mut()).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    assert_eq!(scene.lines(&["reload, as asked"]), 0, "half a request is none");
    scene.end(0).await;
}

#[tokio::test]
async fn a_daemon_that_drains_still_answers_and_takes_no_orders() {
    let (backend, gate) = (Backend::start(), Gate::new());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    let mut scene = scene(&backend).await;
    let admin = scene.daemon.admin();
    scene.publish([1]).await;
    backend.wait_for_in_flight(1).await;
    let mut kept = admin.connect().await;
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    within("an answer", kept.read_exact(&mut first)).await.unwrap();
    scene.daemon.signal("TERM");
    let ready = admin
        .wait_for("/readyz", "the daemon stops", |answer| answer.json()["stopping"] == true)
        .await;
    assert_eq!(ready.status, 503);
    assert_eq!(admin.get("/livez").await.status, 200);
    assert_eq!(admin.get("/__health").await.json()["status"], "stopping");
    assert_eq!(admin.post("/agents/orders/pause").await.status, 409);
    assert_eq!(admin.post("/reload").await.status, 422);
    gate.open();
    assert!(scene.daemon.wait_for_exit().await.success());
    // A connection that is kept alive is no reason to stay.
    assert!(read_to_end(kept.as_mut()).await.ends_with("ok\n"));
    assert!(!scene.daemon.admin_socket().exists());
}
