//! A pause beside all that may happen meanwhile: nothing is lost, nothing is stuck.

use std::collections::BTreeSet;

use crate::support::admin::Admin;
use crate::support::wait::eventually;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Proxy, Publisher, Reply, Scene, on_every_release,
};

fn bodies(backend: &Backend) -> Vec<u32> {
    let requests = backend.requests();
    let posts = requests.iter().filter(|request| request.method == "POST");
    let mut bodies: Vec<u32> = posts.map(|request| request.text().parse().unwrap()).collect();
    bodies.sort_unstable();
    bodies
}

#[tokio::test]
async fn a_long_pause_gives_the_window_back_and_a_resume_takes_it_again() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.prefetch_count", 2)
            .set("hold.release_after", "1s");
        let mut scene = Scene::of(vhost, &agent).await;
        let admin = scene.daemon.admin();
        for round in 0..2 {
            admin.post("/agents/parcels/pause").await;
            admin.wait_for_state("parcels", "paused").await;
            scene.publish(round * 5 + 1..=round * 5 + 5).await;
            scene.publisher.wait_for_depth("parcels", (5, 0)).await;
            assert_eq!(bodies(&backend), (1..=round * 5).collect::<Vec<_>>());
            admin.post("/agents/parcels/resume").await;
            backend.wait_for(round as usize * 5 + 5).await;
        }
        // A stop while the window is given back has nothing to give back.
        admin.post("/agents/parcels/pause").await;
        scene.publisher.wait_for_depth("parcels", (0, 0)).await;
        scene.publish(11..=12).await;
        assert_eq!(bodies(&backend), (1..=10).collect::<Vec<_>>());
        scene.end(2).await;
    })
    .await;
}

async fn delivered(admin: &Admin, count: usize) {
    let what = format!("{count} delivered");
    admin
        .wait_for("/agents/parcels", &what, |agent| agent.json()["counts"]["delivered"] == count)
        .await;
}

#[tokio::test]
async fn a_pause_and_a_hold_that_both_last_end_one_after_the_other() {
    on_every_release(|vhost| async move {
        let mut backend = Backend::refusing();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("consumer.timeout", "1m")
            .set("hold.release_after", "1s");
        let mut scene = Scene::of(vhost, &agent).await;
        let admin = scene.daemon.admin();
        scene.publish(1..=3).await;
        scene.daemon.wait_for_log(&["the hold lasts: gave the window back"]).await;
        admin.post("/agents/parcels/pause").await;
        scene.daemon.wait_for_log(&["the pause lasts: gave the window back"]).await;
        backend.listen();
        // Without a request nobody knows that it is there again.
        assert_eq!(backend.requests().len(), 0);
        admin.post("/agents/parcels/resume").await;
        backend.wait_until("all three", |_| bodies(&backend) == [1, 2, 3]).await;
        delivered(&admin, 3).await;

        // A hold that begins while a pause has given the window back.
        let gate = Gate::new();
        let shut = gate.clone();
        backend.reply_with(move |request| match request.method.as_str() {
            "POST" => Reply::status(401).after(&shut),
            _ => Reply::status(204),
        });
        let before = backend.requests().len();
        scene.publish(4..=12).await;
        // Where the first is, others are soon.
        backend.wait_for(before + 1).await;
        admin.post("/agents/parcels/pause").await;
        scene.vhost.wait_for_queue("parcels", "no consumer", |queue| queue.consumers == 0).await;
        gate.open();
        scene.wait_for_depth(9).await;
        backend.reply_with(|_| Reply::status(204));
        admin.post("/agents/parcels/resume").await;
        // Some were asked for before, and answered 401: what counts is what was delivered.
        delivered(&admin, 12).await;
        let all: BTreeSet<_> = (1..=12).collect();
        assert_eq!(bodies(&backend).into_iter().collect::<BTreeSet<_>>(), all);
        scene.end(0).await;
    })
    .await;
}

#[tokio::test]
async fn one_of_two_that_share_hosts_is_paused_and_the_other_finds_them_well() {
    let vhost = Broker::any().vhost();
    let mut backend = Backend::refusing();
    let agents = ["one", "two"].map(|name| Agent::new(name, &vhost, &backend));
    let daemon = Daemon::running(&agents).await;
    let admin = daemon.admin();
    for name in ["one", "two"] {
        vhost.wait_for_consumer(name).await;
    }
    let mut publisher = Publisher::connect(&vhost).await;
    publisher.publish(Message::to("one", "1")).await;
    publisher.publish(Message::to("two", "2")).await;
    for name in ["one", "two"] {
        admin.wait_for_state(name, "holding").await;
    }
    admin.post("/agents/one/pause").await;
    admin.wait_for_state("one", "paused").await;
    backend.listen();
    backend.wait_until("the other's", |all| all.iter().any(|one| one.text() == "2")).await;
    admin.wait_for_state("two", "consuming").await;
    assert_eq!(bodies(&backend), [2]);
    admin.post("/agents/one/resume").await;
    backend.wait_until("its own", |all| all.iter().any(|one| one.text() == "1")).await;
    admin.wait_for_state("one", "consuming").await;
    assert_eq!(bodies(&backend), [1, 2]);
}

#[tokio::test]
async fn an_agent_that_is_paused_while_it_connects_begins_paused() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let mut proxy = Proxy::to(vhost.broker.amqp_port);
        let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
            .set("hold.release_after", "1s");
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        proxy.refuse().await;
        let admin = daemon.admin();
        admin.wait_for_state("orders", "connecting").await;
        let answer = admin.post("/agents/orders/pause").await.json();
        assert_eq!((&answer["state"], &answer["paused"]), (&"connecting".into(), &true.into()));
        let mut publisher = Publisher::connect(&vhost).await;
        for body in ["1", "2", "3"] {
            publisher.publish(Message::to("orders", body)).await;
        }
        proxy.listen();
        admin.wait_for_state("orders", "paused").await;
        publisher.wait_for_depth("orders", (3, 0)).await;
        // A new session has the window again for a while.
        proxy.reset();
        // The first, the one after the proxy had refused, and this one: an end that is like the one
        // before has no line.
        eventually("a third session", || {
            let sessions = daemon.log().with(0, &[r#""consuming""#]);
            if sessions.len() >= 3 { Ok(()) } else { Err(format!("{sessions:?}")) }
        })
        .await;
        admin.wait_for_state("orders", "paused").await;
        publisher.wait_for_depth("orders", (3, 0)).await;
        assert_eq!(backend.requests().len(), 0);
        admin.post("/agents/orders/resume").await;
        backend.wait_for(3).await;
        publisher.wait_for_depth("orders", (0, 1)).await;
        assert_eq!(bodies(&backend), [1, 2, 3]);
        daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn pauses_and_resumes_without_end_lose_nothing_and_hand_out_nothing_twice() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.prefetch_count", 20)
            .set("consumer.workers", 4)
            .set("hold.release_after", "1s");
        let mut scene = Scene::of(vhost, &agent).await;
        let admin = scene.daemon.admin();
        for round in 0..40 {
            scene.publish(round * 10 + 1..=round * 10 + 10).await;
            admin.post("/agents/parcels/pause").await;
            admin.post("/agents/parcels/resume").await;
            if round % 10 == 9 {
                admin.post("/reload").await;
            }
        }
        // The broker's figures are of different moments: its empty queue may be an earlier one.
        backend.wait_for(400).await;
        scene.vhost.wait_until_empty("parcels", 400).await;
        assert_eq!(bodies(&backend), (1..=400).collect::<Vec<_>>());
        scene.end(0).await;
    })
    .await;
}
