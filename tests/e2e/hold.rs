//! A backend that is unwell: messages wait, nothing is lost, and nothing is counted.

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Gate, Proxy, Reply, Scene, Vhost, on_every_release};

const BEGAN: [&str; 2] = ["ERROR", "backend unwell, holding"];
const ENDED: [&str; 2] = ["INFO", "backend well again"];
const CONSUMING: &[&str] = &[r#""consuming""#];
/// The whole message: the line of a release has these words too.
const AGAIN: &[&str] = &[r#""consuming again""#];

fn quorum(vhost: &Vhost, backend: &Backend) -> Agent {
    Agent::new("parcels", vhost, backend).set("async/amqp.queue_type", "quorum")
}

/// The window is kept for so long that a probe comes before its release, though the backend is late
/// to listen and two probes were refused; and the probe may wait for its reply until after it.
fn kept_for_long(vhost: &Vhost, backend: &Backend) -> Agent {
    Agent::new("parcels", vhost, backend)
        .set("consumer.timeout", "5m")
        .set("hold.release_after", "10s")
}

/// Whether a message comes as if nothing had happened to it.
fn is_innocent(request: &Request) -> bool {
    request.header("x-amqp-attempt") == Some("1")
        && request.header("x-amqp-redelivered") == Some("false")
        && request.header("x-amqp-header-x-delivery-count").is_none()
}

fn posts(requests: &[Request]) -> usize {
    requests.iter().filter(|request| request.method == "POST").count()
}

#[tokio::test]
async fn a_backend_that_refuses_is_waited_for_and_no_message_notices() {
    on_every_release(|vhost| async move {
        let (gate, mut backend) = (Gate::new(), Backend::refusing());
        let shut = gate.clone();
        backend.reply_with(move |_| Reply::status(204).after(&shut));
        // However long the probe is without answer, it is the same one.
        let agent = quorum(&vhost, &backend)
            .set("async/amqp.prefetch_count", 5)
            .set("consumer.timeout", "5m");
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=8).await;
        scene.daemon.wait_for_log(&BEGAN).await;
        scene.wait_for_depth(3).await;
        backend.listen();
        backend.wait_for_in_flight(1).await;
        // The probe is without answer: nothing else is sent.
        scene.publish([9]).await;
        scene.wait_for_depth(4).await;
        assert_eq!(backend.requests().len(), 1);
        gate.open();
        let requests = backend.wait_for(9).await;
        assert!(requests.iter().all(is_innocent), "{requests:#?}");
        scene.daemon.wait_for_log(&ENDED).await;
        assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
        assert_eq!(requests.len(), 9);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_credential_fault_holds_only_after_a_few_in_a_row() {
    let vhost = Broker::any().vhost();
    let backend =
        Backend::replying(|request| Reply::status(if request.number <= 3 { 401 } else { 204 }));
    let agent = quorum(&vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    // The probe may have come before the line did; it is answered well, so four would hold nothing.
    assert!(backend.requests().len() >= 3);
    scene.daemon.wait_for_log(&ENDED).await;
    let requests = backend.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(is_innocent), "{requests:#?}");
    scene.end(0).await;
}

#[tokio::test]
async fn two_credential_faults_hold_nothing() {
    let vhost = Broker::any().vhost();
    let backend =
        Backend::replying(|request| Reply::status(if request.number <= 2 { 403 } else { 204 }));
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    let requests = backend.wait_for(3).await;
    assert!(requests.iter().all(is_innocent), "{requests:#?}");
    // Once it has ended the log is whole.
    scene.daemon.stop().await;
    assert_eq!(scene.lines(&BEGAN), 0);
    scene.wait_for_depth(0).await;
}

#[tokio::test]
async fn one_of_two_backends_with_a_credential_fault_holds() {
    let (well, unwell) = (Backend::start(), Backend::replying(|_| Reply::status(401)));
    for order in [[&well, &unwell], [&unwell, &well]] {
        let vhost = Broker::any().vhost();
        let agent = Agent::new("parcels", &vhost, order[0]).backend(&order[1].url(), &[]);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=20).await;
        let line = scene.daemon.wait_for_log(&BEGAN).await;
        assert!(line.contains(&unwell.port().to_string()), "{line}");
        scene.end(20).await;
    }
}

#[tokio::test]
async fn a_hold_for_one_backend_does_not_tell_the_other_twice() {
    let vhost = Broker::any().vhost();
    let (well, mut refusing) = (Backend::start(), Backend::refusing());
    let agent = Agent::new("parcels", &vhost, &well).backend(&refusing.url(), &[]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=20).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    refusing.listen();
    refusing.wait_for(20).await;
    well.wait_for(20).await;
    scene.daemon.wait_for_log(&ENDED).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
    scene.end(0).await;
    assert_eq!((well.requests().len(), refusing.requests().len()), (20, 20));
}

#[tokio::test]
async fn a_hold_outlives_its_session() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    let mut proxy = Proxy::to(vhost.broker.amqp_port);
    let agent = Agent::between("parcels", &vhost.url_by(proxy.port()), &backend.url());
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    let status = scene.daemon.notifications();
    status.wait_for(1, &["1 holding"]).await;
    proxy.refuse().await;
    scene.daemon.wait_for_log(&["session ended"]).await;
    let before = status.lines().len();
    status.wait_for(1, &["1 connecting"]).await;
    proxy.listen();
    status.wait_for(before, &["1 holding"]).await;
    scene.wait_for_lines(2, CONSUMING).await;
    scene.wait_for_depth(0).await;
    backend.listen();
    backend.wait_for(3).await;
    scene.daemon.wait_for_log(&ENDED).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
    scene.end(0).await;
}

#[tokio::test]
async fn a_long_hold_gives_the_messages_back_and_asks_without_one() {
    on_every_release(|vhost| async move {
        let (gate, mut backend) = (Gate::new(), Backend::refusing());
        let shut = gate.clone();
        backend.reply_with(move |_| Reply::status(204).after(&shut));
        let agent = quorum(&vhost, &backend)
            .set("async/amqp.prefetch_count", 2)
            .set("hold.release_after", "1s");
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=3).await;
        scene.daemon.wait_for_log(&["gave the window back"]).await;
        // And no consumer. Waited for: a quorum queue that is slow to answer is said to be empty.
        scene.publisher.wait_for_depth("parcels", (3, 0)).await;
        backend.listen();
        let requests = backend.wait_for_in_flight(1).await;
        assert_eq!(requests[0].method, "HEAD");
        assert_eq!(requests[0].header("content-length"), None);
        gate.open();
        let requests = backend.wait_until("all messages", |all| posts(all) == 3).await;
        assert_eq!(requests.len(), 4);
        scene.daemon.wait_for_log(AGAIN).await;
        // A consumer again.
        scene.publisher.wait_for_depth("parcels", (0, 1)).await;
        assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn giving_the_messages_back_does_not_count_against_them() {
    // Earlier releases count every return to a quorum queue.
    let Some(broker) = Broker::all().iter().find(|broker| broker.release == 4) else { return };
    let vhost = broker.vhost();
    let mut backend = Backend::refusing();
    let agent = quorum(&vhost, &backend).set("hold.release_after", "1s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    scene.daemon.wait_for_log(&["gave the window back"]).await;
    backend.listen();
    let requests = backend.wait_until("all messages", |all| posts(all) == 3).await;
    for request in requests.iter().filter(|request| request.method == "POST") {
        assert_eq!(request.header("x-amqp-attempt"), Some("1"), "{request:?}");
    }
    scene.end(0).await;
}

#[tokio::test]
async fn a_probe_that_succeeds_after_the_messages_were_given_back_resumes() {
    let vhost = Broker::any().vhost();
    let (gate, mut backend) = (Gate::new(), Backend::refusing());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    let agent = kept_for_long(&vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    backend.listen();
    let requests = backend.wait_for_in_flight(1).await;
    assert_eq!(requests[0].method, "POST");
    scene.daemon.wait_for_log(&["gave the window back"]).await;
    gate.open();
    backend.wait_until("all messages", |all| posts(all) == 3).await;
    scene.daemon.wait_for_log(AGAIN).await;
    scene.end(0).await;
}

#[tokio::test]
async fn a_probe_that_fails_after_the_messages_were_given_back_gives_its_own_back_too() {
    let vhost = Broker::any().vhost();
    let (gate, mut backend) = (Gate::new(), Backend::refusing());
    let shut = gate.clone();
    backend.reply_with(move |request| match request.method.as_str() {
        "POST" => Reply::status(401).after(&shut),
        _ => Reply::status(401),
    });
    let agent = kept_for_long(&vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    backend.listen();
    backend.wait_for_in_flight(1).await;
    scene.wait_for_depth(2).await;
    gate.open();
    scene.wait_for_depth(3).await;
    scene.wait_for_lines(2, &BEGAN).await;
    assert_eq!((posts(&backend.requests()), scene.lines(&BEGAN)), (1, 2));
    scene.daemon.wait_for_log(&["backend reachable again: status 401"]).await;
    scene.end(3).await;
}

#[tokio::test]
async fn a_backend_that_takes_a_probe_and_is_silent_is_not_well_yet() {
    let vhost = Broker::any().vhost();
    let (gate, mut backend) = (Gate::new(), Backend::refusing());
    let shut = gate.clone();
    backend.reply_with(move |request| match request.number {
        1 => Reply::hang(),
        _ => Reply::status(204).after(&shut),
    });
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.timeout", "3s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=5).await;
    scene.daemon.wait_for_log(&BEGAN).await;
    backend.listen();
    let requests = backend.wait_for(2).await;
    assert_eq!((requests.len(), scene.lines(&ENDED)), (2, 0));
    gate.open();
    backend.wait_for(6).await;
    scene.daemon.wait_for_log(&ENDED).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
    scene.end(0).await;
}

#[tokio::test]
async fn silence_is_no_answer_to_a_probe_without_a_message() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    backend.reply_with(|request| match request.number {
        1 => Reply::hang(),
        2 => Reply::status(405),
        _ => Reply::status(204),
    });
    let agent = Agent::new("parcels", &vhost, &backend)
        // The second question is answered within this, on a busy machine too.
        .set("consumer.timeout", "5s")
        .set("hold.release_after", "1s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["gave the window back"]).await;
    backend.listen();
    let requests = backend.wait_for(3).await;
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "HEAD", "POST"]);
    scene.end(0).await;
}

#[tokio::test]
async fn a_probe_that_outlives_its_session_disturbs_no_later_one() {
    let vhost = Broker::any().vhost();
    let (gate, mut backend) = (Gate::new(), Backend::refusing());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    let proxy = Proxy::to(vhost.broker.amqp_port);
    let agent = Agent::between("parcels", &vhost.url_by(proxy.port()), &backend.url())
        .set("consumer.timeout", "5m")
        .set("hold.release_after", "1s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["gave the window back"]).await;
    backend.listen();
    let requests = backend.wait_for_in_flight(1).await;
    assert_eq!(requests[0].method, "HEAD");
    proxy.reset();
    scene.wait_for_lines(2, CONSUMING).await;
    gate.open();
    backend.wait_until("the message", |all| posts(all) >= 1).await;
    assert_eq!(scene.lines(&["session ended"]), 1);
    scene.end(0).await;
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_holds() {
    let vhost = Broker::any().vhost();
    let agent = Agent::between("parcels", &vhost.url(), "http://nowhere.invalid");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&[BEGAN[0], BEGAN[1], "nowhere.invalid"]).await;
    scene.end(1).await;
}
