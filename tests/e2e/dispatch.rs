//! Several backends, and several hosts of one.

use toml::Value;

use crate::support::admin::Answer;
use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Daemon, Gate, Reply, Scene, Vhost};

/// An agent of one server whose paths are its backends.
fn agent(vhost: &Vhost, backend: &Backend, paths: &[(&str, bool)]) -> Agent {
    let mut agent = Agent::new("parcels", vhost, backend).set_backend("url_pattern", paths[0].0);
    agent = agent.set_backend("required", paths[0].1);
    for (path, required) in &paths[1..] {
        let keys = [("url_pattern", Value::from(*path)), ("required", Value::from(*required))];
        agent = agent.backend(&backend.url(), &keys);
    }
    agent
}

fn paths(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.path.as_str()).collect()
}

fn count(requests: &[Request], path: &str) -> usize {
    requests.iter().filter(|request| request.path == path).count()
}

/// Fails the first request of `path`, and succeeds otherwise.
fn failing_once(path: &'static str) -> Backend {
    Backend::replying(move |request| {
        let fails = request.path == path && request.header("x-amqp-attempt") == Some("1");
        Reply::status(if fails { 500 } else { 204 })
    })
}

#[tokio::test]
async fn all_required_backends_must_succeed_and_only_the_failed_one_is_asked_again() {
    let vhost = Broker::any().vhost();
    let backend = failing_once("/b");
    let agent = agent(&vhost, &backend, &[("/a", true), ("/b", true), ("/c", true)]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    let requests = backend.wait_for(4).await;
    scene.daemon.wait_for_log(&["delivered at last"]).await;
    assert_eq!(paths(&requests)[3], "/b");
    for (path, times) in [("/a", 1), ("/b", 2), ("/c", 1)] {
        assert_eq!(count(&backend.requests(), path), times, "{path}");
    }
    scene.end(0).await;
}

#[tokio::test]
async fn backends_in_parallel_are_told_at_the_same_time() {
    let vhost = Broker::any().vhost();
    let (gate, backend) = (Gate::new(), Backend::start());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::status(204).after(&shut));
    let agent = agent(&vhost, &backend, &[("/a", true), ("/b", true)]).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one", "two"]).await;
    let requests = backend.wait_for_in_flight(2).await;
    assert!(requests.iter().all(|request| request.text() == "one"));
    gate.admit(1);
    backend.wait_for_in_flight(1).await;
    // One backend has it: the message still waits for the other, and the worker with it.
    assert_eq!(backend.requests().len(), 2);
    gate.open();
    backend.wait_for(4).await;
    scene.end(0).await;
}

#[tokio::test]
async fn in_sequence_the_first_failure_stops_and_the_order_is_kept() {
    let vhost = Broker::any().vhost();
    let backend = failing_once("/b");
    let agent = agent(&vhost, &backend, &[("/a", true), ("/b", true), ("/c", true)])
        .set("dispatch.mode", "sequential");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["delivered at last"]).await;
    assert_eq!(paths(&backend.requests()), ["/a", "/b", "/b", "/c"]);
    assert_eq!(backend.in_flight_max(), 1);
    scene.end(0).await;
}

#[tokio::test]
async fn a_backend_that_is_not_required_may_fail_and_is_told_once() {
    for mode in ["parallel", "sequential"] {
        let vhost = Broker::any().vhost();
        let backend = Backend::replying(|request| {
            Reply::status(if request.path == "/aside" { 500 } else { 204 })
        });
        let agent = agent(&vhost, &backend, &[("/aside", false), ("/main", true)])
            .set("dispatch.mode", mode);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(["one", "two"]).await;
        backend.wait_for(4).await;
        scene.wait_for_lines(2, &["not told, and not required to be", "status 500"]).await;
        assert_eq!(count(&backend.requests(), "/main"), 2, "{mode}");
        assert_eq!(count(&backend.requests(), "/aside"), 2, "{mode}");
        scene.end(0).await;
    }
}

#[tokio::test]
async fn a_backend_that_is_not_required_may_hang_or_refuse_without_holding_anything_up() {
    let vhost = Broker::any().vhost();
    let (backend, refusing) = (Backend::start(), Backend::refusing());
    backend.reply_with(|request| match request.path.as_str() {
        "/aside" => Reply::hang(),
        _ => Reply::status(204),
    });
    let agent = agent(&vhost, &backend, &[("/aside", false), ("/main", true)])
        .backend(&refusing.url(), &[("required", false.into())])
        .set("consumer.timeout", "5m")
        .set("consumer.workers", 1);
    let mut daemon = Daemon::new();
    daemon.set_main("daemon", toml::toml! { drain_timeout = "1s" });
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    scene.publish(1..=10).await;
    backend.wait_until("all messages", |requests| count(requests, "/main") == 10).await;
    backend.wait_until("an aside", |all| count(all, "/aside") > 0).await;
    backend.wait_for_in_flight(1).await;
    // A stop waits for so short a time that a reply which is on its way might not be heard.
    let is_done = |answer: &Answer| answer.json()["counts"]["delivered"] == 10;
    scene.daemon.admin().wait_for("/agents/parcels", "all delivered", is_done).await;
    let asides = count(&backend.requests(), "/aside");
    assert_eq!(asides, 1, "one aside hangs, and no more are sent beside it");
    assert_eq!(scene.lines(&["holding"]), 0);
    scene.end(0).await;
}

#[tokio::test]
async fn a_failed_required_backend_does_not_tell_the_others_twice() {
    let vhost = Broker::any().vhost();
    let backend = failing_once("/b");
    let agent = agent(&vhost, &backend, &[("/a", true), ("/b", true), ("/aside", false)]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=4).await;
    scene.wait_for_lines(4, &["delivered at last"]).await;
    // The asides may come last: nobody waits for them.
    backend.wait_for(16).await;
    for (path, times) in [("/a", 4), ("/b", 8), ("/aside", 4)] {
        assert_eq!(count(&backend.requests(), path), times, "{path}");
    }
    scene.end(0).await;
}

#[tokio::test]
async fn hosts_of_a_backend_take_turns() {
    let vhost = Broker::any().vhost();
    let hosts = [Backend::start(), Backend::start(), Backend::start()];
    let agent = Agent::new("parcels", &vhost, &hosts[0])
        .set("consumer.workers", 1)
        .set_backend("host", hosts.iter().map(Backend::url).collect::<Vec<_>>());
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(0..6).await;
    for (place, host) in hosts.iter().enumerate() {
        let bodies: Vec<_> = host.wait_for(2).await.iter().map(Request::text).collect();
        assert_eq!(bodies, [place.to_string(), (place + 3).to_string()]);
    }
    scene.end(0).await;
}

#[tokio::test]
async fn a_host_that_refuses_is_passed_over_and_nothing_is_held_or_counted() {
    let vhost = Broker::any().vhost();
    let (mut well, mut refusing) = (Backend::start(), Backend::refusing());
    let agent =
        Agent::new("parcels", &vhost, &well).set_backend("host", vec![refusing.url(), well.url()]);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=20).await;
    let requests = well.wait_for(20).await;
    assert!(requests.iter().all(|request| request.header("x-amqp-attempt") == Some("1")));
    assert_eq!(scene.lines(&["holding"]), 0);
    well.wait_for_in_flight(0).await;
    refusing.listen();
    well.refuse().await;
    scene.publish(1..=20).await;
    refusing.wait_for(20).await;
    assert_eq!(scene.lines(&["holding"]), 0);
    scene.end(0).await;
}
