//! The verbs that RabbitMQ 4.3 tells apart: what is nobody's fault does not count.

use crate::support::{Agent, Backend, Broker, Daemon, Reply, Scene};

/// What the broker counted against the messages that came, from their header.
fn counted(backend: &Backend, from: usize) -> Vec<u32> {
    let requests = backend.requests();
    let counts = requests[from..].iter().filter(|request| request.method == "POST");
    counts
        .map(|request| request.header("x-amqp-header-x-delivery-count"))
        .map(|count| count.map_or(0, |count| count.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_outage_and_five_stops_cost_nothing_of_a_delivery_limit_and_a_crash_costs_one() {
    for broker in Broker::all().iter().filter(|broker| broker.release >= 4) {
        let vhost = broker.vhost();
        let mut backend = Backend::refusing();
        backend.reply_with(|_| Reply::hang());
        let agent = Agent::new("parcels", &vhost, &backend)
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.arguments", toml::toml! { x-delivery-limit = 3 })
            .set("async/amqp.prefetch_count", 5)
            .set("consumer.timeout", "1h")
            .set("hold.release_after", "1s");
        let mut daemon = Daemon::new();
        daemon.set_main("daemon", toml::toml! { drain_timeout = "1ms" });
        let mut scene = Scene::with(daemon, vhost, &agent).await;
        scene.publish(1..=5).await;
        // The outage: held, and given back.
        scene.daemon.wait_for_log(&["gave the window back"]).await;
        scene.wait_for_depth(5).await;
        backend.listen();
        // A probe without a message hangs like everything else; a new session asks with a message.
        for _ in 0..5 {
            scene.daemon.stop().await;
            scene.wait_for_depth(5).await;
            // Of the daemon that is gone nothing comes any more.
            let before = backend.wait_for_in_flight(0).await.len();
            scene.daemon.start().await;
            backend
                .wait_until("a message in flight", |all| {
                    all[before..].iter().any(|request| request.method == "POST")
                })
                .await;
        }
        assert!(counted(&backend, 0).iter().all(|count| *count == 0), "{:?}", counted(&backend, 0));
        scene.wait_for_depth(0).await;
        // Each has been sent: none may come after the kill, and look like one of afterwards.
        backend.wait_for_in_flight(5).await;
        scene.daemon.kill().await;
        let before = backend.wait_for_in_flight(0).await.len();
        backend.reply_with(|_| Reply::status(204));
        scene.daemon.start().await;
        backend.wait_until("all messages", |all| all.len() >= before + 5).await;
        assert_eq!(counted(&backend, before), [1; 5]);
        scene.end(0).await;
    }
}
