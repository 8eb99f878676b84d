//! Acks are said in few frames, and none of them late, too early or never.

use std::collections::BTreeMap;

use crate::support::{
    Agent, Backend, Daemon, Gate, Message, Publisher, Reply, Vhost, on_every_release,
};

/// Answers at once, but for the messages of `slow`, which wait for the gate.
fn slow_for(slow: &'static [&'static str]) -> (Backend, Gate) {
    let gate = Gate::new();
    let shut = gate.clone();
    let backend = Backend::replying(move |request| {
        let reply = Reply::status(204);
        if slow.contains(&request.text().as_str()) { reply.after(&shut) } else { reply }
    });
    (backend, gate)
}

/// An agent that has all of `count` messages in its hands at once.
fn wide(queue: &str, vhost: &Vhost, backend: &Backend) -> Agent {
    Agent::new(queue, vhost, backend)
        .set("async/amqp.prefetch_count", 80)
        .set("consumer.workers", 80)
        .set("consumer.timeout", "2m")
}

fn numbered(queue: &str, count: u32) -> impl Iterator<Item = Message> {
    (0..count).map(move |number| Message::to(queue, number.to_string()))
}

/// How often each message has come.
fn times(backend: &Backend) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in backend.requests() {
        *times.entry(request.text()).or_default() += 1;
    }
    times
}

/// Fewer than the share of the window that makes them be said at once, and more.
#[tokio::test]
async fn what_finished_behind_a_slow_message_is_acked_and_after_a_crash_only_that_one_comes_again()
{
    on_every_release(|vhost| async move {
        for (queue, count) in [("few", 4), ("many", 60)] {
            let (backend, gate) = slow_for(&["0"]);
            let agent = wide(queue, &vhost, &backend);
            let mut daemon = Daemon::running([&agent]).await;
            vhost.wait_for_consumer(queue).await;
            let mut publisher = Publisher::connect(&vhost).await;
            publisher.publish_all(numbered(queue, count)).await;
            backend.wait_for(count as usize).await;
            // One is unacked also when the first has come and no other: so the acks are counted too.
            vhost
                .wait_for_queue(queue, "one that is not acked", |queue| {
                    queue.ready == 0 && queue.unacked == 1 && queue.acked == u64::from(count) - 1
                })
                .await;
            daemon.kill().await;
            publisher.wait_for_depth(queue, (1, 0)).await;
            gate.open();
            daemon.start().await;
            backend.wait_for(count as usize + 1).await;
            publisher.wait_for_depth(queue, (0, 1)).await;
            daemon.stop().await;
            let expected =
                (0..count).map(|number| (number.to_string(), if number == 0 { 2 } else { 1 }));
            assert_eq!(times(&backend), expected.collect());
            publisher.wait_for_depth(queue, (0, 0)).await;
        }
    })
    .await;
}

/// Between those that are acked some are given back: they come again, and no other does.
#[tokio::test]
async fn what_is_given_back_between_messages_that_are_acked_is_not_acked_with_them() {
    on_every_release(|vhost| async move {
        let (backend, gate) = slow_for(&["3", "7", "8", "30"]);
        let agent = wide("orders", &vhost, &backend);
        let mut daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish_all(numbered("orders", 60)).await;
        backend.wait_for(60).await;
        vhost
            .wait_for_queue("orders", "four that are not acked", |queue| {
                queue.ready == 0 && queue.unacked == 4 && queue.acked == 56
            })
            .await;
        // A second TERM waits for nobody.
        daemon.signal("TERM");
        daemon.wait_for_log(&["stopping: "]).await;
        daemon.signal("TERM");
        daemon.wait_for_exit().await;
        publisher.wait_for_depth("orders", (4, 0)).await;
        gate.open();
        daemon.start().await;
        backend.wait_for(64).await;
        publisher.wait_for_depth("orders", (0, 1)).await;
        daemon.stop().await;
        let again = ["3", "7", "8", "30"];
        let expected = (0..60).map(|number: u32| number.to_string()).map(|body| {
            let times = if again.contains(&body.as_str()) { 2 } else { 1 };
            (body, times)
        });
        assert_eq!(times(&backend), expected.collect());
        publisher.wait_for_depth("orders", (0, 0)).await;
    })
    .await;
}
