//! Whose fault it is: the backend's for all who share it, this agent's, or one message's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::admin::Answer;
use crate::support::backend::Request;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Publisher, Reply, Scene, Vhost, on_every_release,
};

const BEGAN: [&str; 2] = ["ERROR", "backend unwell, holding"];
const ENDED: [&str; 2] = ["INFO", "backend well again"];

/// Agents on several threads, each with a queue of its name.
async fn on_threads<'a>(agents: impl IntoIterator<Item = &'a Agent>) -> Daemon {
    let mut daemon = Daemon::new();
    let mut settings = toml::Table::new();
    settings.insert("threads".to_owned(), 3.into());
    daemon.set_main("daemon", settings);
    for agent in agents {
        daemon.write(agent);
    }
    daemon.start().await;
    daemon
}

/// An agent that consumes `name` and tells `backend` by a path of the same name.
fn agent(name: &str, vhost: &Vhost, backend: &Backend) -> Agent {
    Agent::new(name, vhost, backend)
        .set_backend("url_pattern", format!("/{name}"))
        .set("async/amqp.queue_type", "quorum")
}

async fn publish(vhost: &Vhost, queue: &str, count: usize) {
    vhost.wait_for_consumer(queue).await;
    let mut publisher = Publisher::connect(vhost).await;
    publisher.publish_all((0..count).map(|n| Message::to(queue, format!("{queue}-{n}")))).await;
}

/// Waits until an agent holds `count` messages, as it says itself: the broker says so earlier.
async fn holds(daemon: &Daemon, agent: &str, count: usize) {
    let (path, what) = (format!("/agents/{agent}"), format!("{count} held by {agent}"));
    let is_wanted = |answer: &Answer| answer.status == 200 && answer.json()["held"] == count;
    daemon.admin().wait_for(&path, &what, is_wanted).await;
}

fn lines(daemon: &Daemon, fragments: &[&str]) -> usize {
    daemon.log().with(0, fragments).len()
}

fn bodies(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::text).collect()
}

/// Lets the backend take everything, and waits until it has taken `count` different messages.
async fn recover(backend: &Backend, count: usize) {
    let taken = Arc::new(Mutex::new(BTreeSet::new()));
    let of_backend = Arc::clone(&taken);
    backend.reply_with(move |request| {
        of_backend.lock().unwrap().insert(request.text());
        Reply::status(204)
    });
    backend.wait_until("all messages", |_| taken.lock().unwrap().len() == count).await;
}

fn attempts_max(requests: &[Request]) -> u32 {
    let attempts = requests.iter().filter_map(|request| request.header("x-amqp-attempt"));
    attempts.map(|attempt| attempt.parse::<u32>().unwrap()).max().unwrap_or(0)
}

#[tokio::test]
async fn an_outage_that_agents_share_is_one_line_and_one_probe_for_all() {
    on_every_release(|vhost| async move {
        let (gate, mut backend) = (Gate::new(), Backend::refusing());
        let shut = gate.clone();
        backend.reply_with(move |_| Reply::status(204).after(&shut));
        let names = ["one", "two", "three"];
        // However long the probe is without answer, it is the same one.
        let agents = names.map(|name| agent(name, &vhost, &backend).set("consumer.timeout", "5m"));
        let mut daemon = on_threads(&agents).await;
        for name in names {
            publish(&vhost, name, 4).await;
        }
        daemon.wait_for_log(&BEGAN).await;
        daemon.notifications().wait_for(0, &["3 agents: 3 holding"]).await;
        for name in names {
            holds(&daemon, name, 4).await;
        }
        backend.listen();
        backend.wait_for_in_flight(1).await;
        // The first probe is without answer, so there is no other, however long it takes.
        publish(&vhost, "one", 1).await;
        holds(&daemon, "one", 5).await;
        assert_eq!(backend.requests().len(), 1);
        gate.open();
        let requests = backend.wait_for(13).await;
        assert_eq!(attempts_max(&requests), 1);
        let line = daemon.wait_for_log(&ENDED).await;
        assert!(line.contains(r#""waited":13"#) && line.contains(r#""agents":3"#), "{line}");
        assert_eq!((lines(&daemon, &BEGAN), lines(&daemon, &["well again"])), (1, 1));
        daemon.notifications().wait_for(1, &["3 agents: 3 consuming"]).await;
        daemon.stop().await;
        assert_eq!(backend.requests().len(), 13);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_leaves_with_the_probe_under_way_lets_another_probe() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    backend.reply_with(|request| match request.path.as_str() {
        "/hangs" => Reply::hang(),
        _ => Reply::status(204),
    });
    let hangs = agent("hangs", &vhost, &backend).set("consumer.timeout", "5m");
    let mut daemon = Daemon::new();
    let mut settings = toml::Table::new();
    settings.insert("drain_timeout".to_owned(), "1s".into());
    settings.insert("threads".to_owned(), 2.into());
    daemon.set_main("daemon", settings);
    daemon.write(&hangs);
    daemon.start().await;
    publish(&vhost, "hangs", 1).await;
    daemon.wait_for_log(&BEGAN).await;
    backend.listen();
    backend.wait_for_in_flight(1).await;
    daemon.write(&agent("works", &vhost, &backend));
    daemon.reload().await;
    publish(&vhost, "works", 1).await;
    holds(&daemon, "works", 1).await;
    assert_eq!(backend.requests().len(), 1);
    daemon.remove("hangs");
    daemon.reload().await;
    backend.wait_until("the other agent's message", |all| bodies(all).contains("works-0")).await;
    daemon.wait_for_log(&ENDED).await;
    assert_eq!((lines(&daemon, &BEGAN), lines(&daemon, &ENDED)), (1, 1));
    daemon.stop().await;
}

/// One agent hears `Retry-After`; the message of the other waits as well.
async fn a_wish_gates_the_other_agent(wish: impl Fn() -> String + Send + Sync + 'static) {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(move |request| match request.path.as_str() {
        "/busy" => Reply::status(503).header("Retry-After", &wish()),
        _ => Reply::status(204),
    });
    let agents = ["busy", "other"].map(|name| agent(name, &vhost, &backend));
    let mut daemon = on_threads(&agents).await;
    publish(&vhost, "other", 1).await;
    backend.wait_for(1).await;
    publish(&vhost, "busy", 1).await;
    backend.wait_for(2).await;
    // The line follows on what the wish changed; the request came before its reply.
    daemon.wait_for_log(&["not delivered", "status 503"]).await;
    publish(&vhost, "other", 3).await;
    vhost.wait_for_queue("other", "all held", |q| q.unacked == 3).await;
    daemon.stop().await;
    assert_eq!(backend.requests().len(), 2, "the stop gave the messages back untried");
    vhost.wait_for_queue("other", "all back", |q| q.ready == 3).await;
}

#[tokio::test]
async fn retry_after_in_seconds_gates_every_agent_that_shares_the_backend() {
    a_wish_gates_the_other_agent(|| "3600".to_owned()).await;
}

#[tokio::test]
async fn retry_after_as_a_date_gates_every_agent_that_shares_the_backend() {
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_hours(1));
    a_wish_gates_the_other_agent(date).await;
}

#[tokio::test]
async fn an_outage_of_500s_spends_no_attempts_and_dead_letters_nothing() {
    on_every_release(|vhost| async move {
        let (gate, backend) = (Gate::new(), Backend::start());
        let shut = gate.clone();
        backend.reply_with(move |_| Reply::status(500).after(&shut));
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.prefetch_count", 20);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=20).await;
        // Were the broker slow to bring the third message, the first two would fail again and again.
        backend.wait_for_in_flight(10).await;
        gate.open();
        let line = scene.daemon.wait_for_log(&BEGAN).await;
        assert!(line.contains("status 500"), "{line}");
        let status = scene.daemon.notifications();
        status.wait_for(0, &["1 holding"]).await;
        let before = backend.requests().len();
        backend.wait_for(before + 3).await;
        recover(&backend, 20).await;
        scene.daemon.wait_for_log(&ENDED).await;
        let attempts = attempts_max(&backend.requests());
        assert!(attempts <= 3, "{attempts}");
        assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn an_outage_that_closes_every_connection_spends_no_attempts_either() {
    let vhost = Broker::any().vhost();
    let (gate, backend) = (Gate::new(), Backend::start());
    let shut = gate.clone();
    backend.reply_with(move |_| Reply::close().after(&shut));
    let agent = Agent::new("parcels", &vhost, &backend);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=10).await;
    backend.wait_for_in_flight(10).await;
    gate.open();
    scene.daemon.wait_for_log(&BEGAN).await;
    recover(&backend, 10).await;
    scene.daemon.wait_for_log(&ENDED).await;
    scene.end(0).await;
    assert!(attempts_max(&backend.requests()) <= 4);
}

#[tokio::test]
async fn an_outage_that_cuts_connections_and_then_refuses_them_is_one_outage() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::replying(|_| Reply::hang());
    let agent = Agent::new("parcels", &vhost, &backend)
        .set("consumer.timeout", "5m")
        .set("hold.release_after", "3s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=10).await;
    backend.wait_for_in_flight(10).await;
    backend.refuse().await;
    let line = scene.daemon.wait_for_log(&BEGAN).await;
    assert!(line.contains("connection lost before the reply"), "{line}");
    // By then a probe was refused.
    scene.daemon.wait_for_log(&["gave the window back"]).await;
    backend.listen();
    // A HEAD without a body, and the ten.
    recover(&backend, 11).await;
    scene.daemon.wait_for_log(&ENDED).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
    scene.end(0).await;
}

#[tokio::test]
async fn one_poison_message_among_good_ones_opens_nothing() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        Reply::status(if request.body == b"poison" { 500 } else { 204 })
    });
    let agent = Agent::new("parcels", &vhost, &backend).set("retry.in_place", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["poison"]).await;
    let poison = |all: &[Request]| all.iter().filter(|one| one.body == b"poison").count();
    backend.wait_until("many failures of one", |all| poison(all) >= 8).await;
    scene.publish(1..=20).await;
    backend.wait_until("the good ones", |all| bodies(all).len() == 21).await;
    assert_eq!(scene.lines(&BEGAN), 0);
    scene.daemon.stop().await;
}

#[tokio::test]
async fn a_bad_credential_for_one_path_holds_its_own_agent_alone() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        Reply::status(if request.path == "/secret" { 401 } else { 204 })
    });
    let agents = ["secret", "open"].map(|name| agent(name, &vhost, &backend));
    let mut daemon = on_threads(&agents).await;
    publish(&vhost, "secret", 3).await;
    daemon.wait_for_log(&BEGAN).await;
    publish(&vhost, "open", 20).await;
    vhost.wait_for_queue("open", "nothing left", |q| q.ready == 0 && q.unacked == 0).await;
    backend.wait_until("those of the other", |all| bodies(all).len() >= 21).await;
    daemon.notifications().wait_for(0, &["1 consuming, 1 holding"]).await;
    assert_eq!(lines(&daemon, &BEGAN), 1);
    daemon.stop().await;
    vhost.wait_for_queue("secret", "all back", |q| q.ready == 3).await;
}

#[tokio::test]
async fn a_backend_that_need_not_be_told_holds_nobody_who_shares_its_hosts() {
    let vhost = Broker::any().vhost();
    let (well, mut refusing) = (Backend::start(), Backend::refusing());
    let beside =
        agent("beside", &vhost, &well).backend(&refusing.url(), &[("required", false.into())]);
    let needs = agent("needs", &vhost, &refusing);
    let mut daemon = on_threads([&beside, &needs]).await;
    publish(&vhost, "needs", 1).await;
    daemon.wait_for_log(&BEGAN).await;
    publish(&vhost, "beside", 5).await;
    well.wait_for(5).await;
    refusing.listen();
    daemon.wait_for_log(&ENDED).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_service_that_answers_head_and_turns_messages_away_is_one_hold() {
    let vhost = Broker::any().vhost();
    let backend = Backend::replying(|request| {
        Reply::status(if request.method == "HEAD" { 204 } else { 401 })
    });
    let agent = agent("parcels", &vhost, &backend).set("hold.release_after", "1s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=3).await;
    scene.wait_for_lines(2, &["gave the window back"]).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 0));
    backend.reply_with(|_| Reply::status(204));
    scene.daemon.wait_for_log(&ENDED).await;
    scene.wait_for_depth(0).await;
    assert_eq!((scene.lines(&BEGAN), scene.lines(&ENDED)), (1, 1));
    scene.end(0).await;
}

#[tokio::test]
async fn a_stop_in_an_open_breaker_gives_everything_back_uncounted() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|_| Reply::status(500));
        let agent = agent("parcels", &vhost, &backend);
        let mut scene = Scene::of(vhost, &agent).await;
        scene.publish(1..=10).await;
        scene.daemon.wait_for_log(&BEGAN).await;
        scene.end(10).await;
    })
    .await;
}
