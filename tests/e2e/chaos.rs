//! Everything goes wrong at once, at random, where messages go round by requeue: nothing is lost.
//!
//! `tests/chaos` does the same by a seed, with brokers and daemon that die, for delay queues.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Proxy, Reply, Scene, on_every_release};

/// What is published in each round: at work when the session ends, when the backend goes away,
/// and while it is away. So there is always enough left to be told, however fast all that was.
const BATCHES: [usize; 3] = [60, 20, 10];
const ROUNDS: usize = 2;
const MESSAGES: usize = ROUNDS * (BATCHES[0] + BATCHES[1] + BATCHES[2]);

/// Fails every third request in any way there is, and notes which messages it took. Not so often
/// that it is taken for unwell most of the time, and asked ever more seldom.
fn moody(taken: &Arc<Mutex<BTreeSet<String>>>) -> impl Fn(&Request) -> Reply + use<> {
    let taken = Arc::clone(taken);
    move |request| match fastrand::u32(0..50) {
        _ if request.method == "HEAD" => Reply::status(204),
        0 => Reply::hang(),
        1..3 => Reply::reset(),
        3..5 => Reply::close(),
        5..7 => Reply::raw("garbage\r\n\r\n"),
        7..9 => Reply::status(400),
        9..11 => Reply::status(302).header("Location", "/"),
        11..13 => Reply::status(500).body(vec![0; 100_000]),
        15 => Reply::status(503).header("Retry-After", "0"),
        16 => Reply::status(429),
        17 => Reply::status(401),
        18..20 => Reply::status(404),
        _ => {
            taken.lock().unwrap().insert(request.text());
            Reply::status(200).body(request.body.clone())
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_when_backend_and_network_fail_at_random() {
    on_every_release(|vhost| async move {
        let taken = Arc::new(Mutex::new(BTreeSet::new()));
        let mut backend = Backend::replying(moody(&taken));
        let proxy = Proxy::to(vhost.broker.amqp_port);
        let limit = toml::toml! { x-delivery-limit = 1000 };
        let agent = Agent::between("parcels", &vhost.url_by(proxy.port()), &backend.url())
            .set("async/amqp.queue_type", "quorum")
            .set("async/amqp.arguments", limit)
            .set("async/amqp.prefetch_count", 100)
            .set("consumer.workers", 50)
            .set("consumer.timeout", "1s")
            .set("hold.release_after", "1s")
            .set("retry.in_place", 1)
            .set("retry.strategy", "requeue")
            .set("retry.attempts", 1000)
            .set_backend("status", toml::toml! { retry = ["3xx", 400] });
        let mut scene = Scene::of(vhost, &agent).await;
        let mut messages = 0..MESSAGES;
        for _ in 0..ROUNDS {
            let before = backend.requests().len();
            scene.publish(messages.by_ref().take(BATCHES[0])).await;
            backend.wait_for(before + 40).await;
            proxy.reset();
            let before = backend.requests().len();
            scene.publish(messages.by_ref().take(BATCHES[1])).await;
            backend.wait_for(before + 20).await;
            backend.refuse().await;
            scene.publish(messages.by_ref().take(BATCHES[2])).await;
            scene.daemon.wait_for_log(&["holding"]).await;
            backend.listen();
        }
        // From here on it is in a better mood.
        let is_well = Arc::clone(&taken);
        backend.reply_with(move |request| {
            if request.method != "HEAD" {
                is_well.lock().unwrap().insert(request.text());
            }
            Reply::status(204)
        });
        backend.wait_until("every message", |_| taken.lock().unwrap().len() == MESSAGES).await;
        // One that was taken and whose reply was lost comes again: in another life of the daemon, and
        // before one that is published then. No request of that life is given up.
        scene.daemon.stop().await;
        scene.daemon.write(&agent.set("consumer.timeout", "5m"));
        scene.daemon.start().await;
        scene.publish(["last"]).await;
        backend.wait_until("the last", |all| all.iter().any(|one| one.text() == "last")).await;
        scene.daemon.stop().await;
        scene.wait_for_depth(0).await;
        for fault in ["panic", "dropped unsettled"] {
            assert_eq!(scene.lines(&[fault]), 0, "{fault}");
        }
    })
    .await;
}
