//! Copies reach their queues and are told safe only when they are, on a connection of their own.

use std::path::Path;
use std::time::Duration;

use amqp_agentd::broker::properties::{Properties, PropertiesBuilder};
use amqp_agentd::broker::{
    Copy, CopyQueue, Ended, Event, NotSafe, Publisher as Copies, Publishers, Session,
};
use amqp_agentd::config::definition::{AgentDefinition, QueueType};
use amqp_agentd::config::{self, ProcessEnvironment};
use amqp_agentd::settlement::Settlement;
use bytes::Bytes;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::support::amqp::{field, long_string};
use crate::support::wait::{POLL, within};
use crate::support::{
    Agent, Message, PrivateNode, Publisher, Vhost, on_a_private_node_of_every_release,
    on_every_release,
};

/// Runs `test` on each release, as agents live: on a thread with a runtime of its own.
async fn on_every_release_alone<T: Future<Output = ()> + 'static>(
    test: fn(Vhost, Publishers) -> T,
) {
    on_every_release(move |vhost| alone(move || test(vhost, Publishers::default()))).await;
}

async fn alone<F, T>(test: F)
where
    F: FnOnce() -> T + Send + 'static,
    T: Future<Output = ()>,
{
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test());
    });
    if let Err(error) = thread.await {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// An agent that takes what is in `queue`, as its file would make it.
fn agent(vhost: &Vhost, queue: &str) -> AgentDefinition {
    let file = Agent::between(queue, &vhost.url(), "http://127.0.0.1:9")
        .set("async/amqp.declare", "skip")
        .set("async/amqp.prefetch_count", 1)
        .set("retry.strategy", "requeue");
    let path = Path::new("agents.d/agent.toml");
    let (agent, problems) = config::load_agent_text(path, &file.to_string(), &ProcessEnvironment);
    agent.unwrap_or_else(|| panic!("{problems:?}"))
}

fn copies(publishers: &mut Publishers, vhost: &Vhost, agent: &str) -> Copies {
    publishers.get(&self::agent(vhost, agent).source.brokers, agent)
}

async fn publish(copies: &Copies, copy: Copy) -> Result<(), NotSafe> {
    within("the broker to say what became of a copy", copies.publish(copy)).await
}

fn to(queue: &str, body: impl Into<Bytes>) -> Copy {
    Copy {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        properties: PropertiesBuilder::default().build(),
        body: body.into(),
        queue: None,
    }
}

fn declared(kind: QueueType, name: &str, body: &'static str) -> Copy {
    let queue = CopyQueue { name: name.to_owned(), kind, delay: None };
    Copy { queue: Some(queue), ..to(name, body) }
}

/// The properties of the next message of a queue, by way of a consumer like an agent's.
async fn take(vhost: &Vhost, queue: &str) -> (Properties, Bytes) {
    let agent = agent(vhost, queue);
    let mut session = Session::open(&agent.source.brokers[0], &agent).await.unwrap();
    let Event::Delivery(delivery) = within("a message", session.next()).await.unwrap() else {
        panic!("nothing was cancelled")
    };
    let message = delivery.message();
    let taken = (message.properties.clone(), message.body.clone());
    session.settle(delivery, Settlement::Ack, Instant::now()).await.unwrap();
    session.close().await;
    taken
}

/// Octets of every kind that a header may hold.
fn odd(queue: &str) -> Message {
    Message::to(queue, [0, 0xff, 0xfe])
        .content_type(b"\xff\xfe")
        .message_id([0xe9; 255])
        .priority(255)
        .timestamp(u64::MAX)
        .header(b"\xff", b"caf\xe9\0")
        .header("twice", "1")
        .header("twice", "2")
        .raw_header("L", b'L', &[0xff; 8])
        .raw_header("x", b'x', &long_string([0, 1, 0xff]))
        .raw_header("D", b'D', &[255, 0xff, 0xff, 0xff, 0xff])
        .raw_header("F", b'F', &long_string(field(b"\xff", b'S', &long_string(b"\xff"))))
}

#[tokio::test]
async fn a_copy_has_the_octets_of_its_message() {
    on_every_release_alone(|vhost, mut publishers| async move {
        let mut publisher = Publisher::connect(&vhost).await;
        for queue in ["orders", "beside", "copies"] {
            vhost.declare_queue(queue);
        }
        publisher.publish_all([odd("orders"), odd("beside")]).await;
        let (properties, body) = take(&vhost, "orders").await;
        let copies = copies(&mut publishers, &vhost, "orders");
        let copy = Copy { properties, body, ..to("copies", "") };
        assert_eq!(publish(&copies, copy).await, Ok(()));
        assert_eq!(publisher.get("copies").await, publisher.get("beside").await);
    })
    .await;
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    on_every_release_alone(|vhost, mut publishers| async move {
        vhost.declare_queue("copies");
        let copies = copies(&mut publishers, &vhost, "orders");
        let body: Vec<u8> = (0..1_000_003_u32).map(|number| number.to_le_bytes()[0]).collect();
        assert_eq!(publish(&copies, to("copies", body.clone())).await, Ok(()));
        assert!(take(&vhost, "copies").await.1 == body, "it is another one");
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_no_queue_takes_is_not_safe_and_those_beside_it_are() {
    on_every_release_alone(|vhost, mut publishers| async move {
        vhost.declare_queue("copies");
        let copies = copies(&mut publishers, &vhost, "orders");
        let mut answers = Vec::new();
        for number in 0..300 {
            let queue = if number % 3 == 0 { "nowhere" } else { "copies" };
            let copies = copies.clone();
            answers.push(async move { publish(&copies, to(queue, number.to_string())).await });
        }
        for (number, told) in futures_util::future::join_all(answers).await.iter().enumerate() {
            match told {
                Err(NotSafe::Returned { code: 312, .. }) => assert_eq!(number % 3, 0),
                Ok(()) => assert_ne!(number % 3, 0),
                other => panic!("{other:?}"),
            }
        }
        Publisher::connect(&vhost).await.wait_for_ready("copies", 200).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_a_copy() {
    on_every_release_alone(|vhost, mut publishers| async move {
        let full = json!({ "x-max-length": 1, "x-overflow": "reject-publish" });
        vhost.declare_queue_with("copies", &full);
        let copies = copies(&mut publishers, &vhost, "orders");
        assert_eq!(publish(&copies, to("copies", "1")).await, Ok(()));
        assert_eq!(publish(&copies, to("copies", "2")).await, Err(NotSafe::Refused));
    })
    .await;
}

#[tokio::test]
async fn a_queue_for_copies_is_declared_when_it_is_needed_and_again_when_it_was_deleted() {
    on_every_release_alone(|vhost, mut publishers| async move {
        let copies = copies(&mut publishers, &vhost, "orders");
        for kind in [QueueType::Classic, QueueType::Quorum] {
            let name = format!("orders.{kind:?}");
            assert_eq!(publish(&copies, declared(kind, &name, "1")).await, Ok(()));
            assert_eq!(&take(&vhost, &name).await.1[..], b"1");
            vhost.delete_queue(&name);
            let told = publish(&copies, declared(kind, &name, "2")).await;
            assert!(matches!(told, Err(NotSafe::Returned { code: 312, .. })), "{told:?}");
            assert_eq!(publish(&copies, declared(kind, &name, "3")).await, Ok(()));
            assert_eq!(&take(&vhost, &name).await.1[..], b"3");
            let found = vhost.wait_for_queue(&name, "its arguments", |_| true).await.all;
            assert_eq!(found["durable"], true);
            let named = format!("{kind:?}").to_lowercase();
            let mut arguments = json!({ "x-queue-type": named });
            if kind == QueueType::Quorum && vhost.broker.release >= 4 {
                arguments["x-delivery-limit"] = json!(-1);
            }
            assert_eq!(found["arguments"], arguments);
        }
    })
    .await;
}

#[tokio::test]
async fn a_delay_queue_brings_a_copy_back_after_its_time() {
    on_every_release_alone(|vhost, mut publishers| async move {
        let copies = copies(&mut publishers, &vhost, "orders");
        for kind in [QueueType::Classic, QueueType::Quorum] {
            let source = format!("orders.{kind:?}");
            let named = format!("{kind:?}").to_lowercase();
            vhost.declare_queue_with(&source, &json!({ "x-queue-type": named }));
            let name = format!("{source}.retry.1s");
            let delay = Some((Duration::from_secs(1), source.clone()));
            let queue = CopyQueue { name: name.clone(), kind, delay };
            let copy = Copy { queue: Some(queue), ..to(&name, "again") };
            assert_eq!(publish(&copies, copy).await, Ok(()));
            assert_eq!(&take(&vhost, &source).await.1[..], b"again");
        }
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_there_as_another_made_it_serves_for_dead_letters_and_not_for_a_delay() {
    on_every_release_alone(|vhost, mut publishers| async move {
        vhost.declare_queue_with("orders.dead", &json!({ "x-max-length": 7 }));
        let copies = copies(&mut publishers, &vhost, "orders");
        let dead = declared(QueueType::Quorum, "orders.dead", "1");
        assert_eq!(publish(&copies, dead.clone()).await, Ok(()));
        let mut late = dead;
        let delay = Some((Duration::from_secs(1), "orders".to_owned()));
        late.queue.as_mut().unwrap().delay = delay;
        let told = publish(&copies, late).await;
        let Err(NotSafe::Ended(Ended::ChannelClosed { code: 406, .. })) = told else {
            panic!("{told:?}")
        };
        Publisher::connect(&vhost).await.wait_for_ready("orders.dead", 1).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_broker_refuses_one_agent_disturbs_no_copy_of_another() {
    on_every_release_alone(|vhost, mut publishers| async move {
        vhost.declare_queue("copies");
        vhost.declare_queue_with("taken", &json!({ "x-max-length": 7 }));
        let poor = copies(&mut publishers, &vhost, "poor");
        let rich = copies(&mut publishers, &vhost, "rich");
        let mut wrong = declared(QueueType::Classic, "taken", "1");
        let delay = Some((Duration::from_secs(1), "orders".to_owned()));
        wrong.queue.as_mut().unwrap().delay = delay;
        let missing = Copy { exchange: "missing".to_owned(), ..to("copies", "1") };
        let refused = async {
            for _ in 0..20 {
                for (copy, wanted) in [(&wrong, 406), (&missing, 404)] {
                    let told = publish(&poor, copy.clone()).await;
                    let Err(NotSafe::Ended(Ended::ChannelClosed { code, .. })) = told else {
                        panic!("{told:?}")
                    };
                    assert_eq!(code, wanted);
                }
            }
        };
        let safe = async {
            for number in 0..200 {
                assert_eq!(publish(&rich, to("copies", number.to_string())).await, Ok(()));
            }
        };
        tokio::join!(refused, safe);
        assert_eq!(publish(&poor, to("copies", "last")).await, Ok(()));
        Publisher::connect(&vhost).await.wait_for_ready("copies", 201).await;
        assert_eq!(vhost.wait_for_connections(1).await.len(), 1);
    })
    .await;
}

// ------------------------------------------------------------------------------ the broker

/// Starts to publish the copies numbered `numbers`; what is told of each.
fn start(copies: &Copies, numbers: std::ops::Range<u32>) -> JoinSet<(u32, Result<(), NotSafe>)> {
    let mut told = JoinSet::new();
    for number in numbers {
        let copies = copies.clone();
        let mut copy = declared(QueueType::Quorum, "copies", "");
        copy.body = number.to_string().into();
        told.spawn_local(async move { (number, publish(&copies, copy).await) });
    }
    told
}

/// Takes all that is in the queue `copies`: the bodies, sorted.
async fn bodies(publisher: &mut Publisher) -> Vec<u32> {
    let mut bodies = Vec::new();
    while let Some((_, body)) = publisher.get("copies").await {
        bodies.push(String::from_utf8(body).unwrap().parse().unwrap());
    }
    bodies.sort_unstable();
    bodies
}

/// Publishes a copy as often as it takes: a broker that comes back is not there at once.
async fn go_on(copies: &Copies, body: &'static str) {
    let again = async {
        while copies.publish(declared(QueueType::Quorum, "copies", body)).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    };
    within("copies to go on", again).await;
}

async fn set_watermark(node: &PrivateNode, share: &str) {
    node.eval(&format!("vm_memory_monitor:set_vm_memory_high_watermark({share}).")).await;
}

#[tokio::test]
async fn during_an_alarm_no_copy_is_safe_and_afterwards_each_is_there_once() {
    on_a_private_node_of_every_release(|node| {
        alone(move || async move {
            let vhost = node.broker.vhost();
            let mut publishers = Publishers::default();
            let copies = copies(&mut publishers, &vhost, "orders");
            let other = self::copies(&mut publishers, &vhost, "others");
            assert_eq!(start(&copies, 0..10).join_all().await.len(), 10);
            let mut blocked = copies.blocked();
            set_watermark(&node, "0").await;
            let mut count = 10;
            // The alarm takes a moment to reach the connection.
            let mut held = loop {
                let mut one = start(&copies, count..count + 1);
                count += 1;
                tokio::select! {
                    told = one.join_next() => assert!(matches!(told, Some(Ok((_, Ok(())))))),
                    _ = blocked.wait_for(|blocked| *blocked) => break one,
                }
            };
            assert!(copies.is_blocked() && !other.is_blocked());
            let mut publisher = Publisher::connect(&vhost).await;
            assert_eq!(publisher.depth("copies").await.0, count - 1);
            // Others that come meanwhile wait too, and so does a new queue.
            let mut more = start(&other, count..count + 50);
            let elsewhere = declared(QueueType::Classic, "elsewhere", "1");
            let mut blocked = other.blocked();
            let new = self::copies(&mut publishers, &vhost, "new");
            let elsewhere = async { assert_eq!(publish(&new, elsewhere).await, Ok(())) };
            let cleared = async {
                blocked.wait_for(|blocked| *blocked).await.unwrap();
                assert!(held.try_join_next().is_none() && more.try_join_next().is_none());
                assert_eq!(publisher.depth("copies").await.0, count - 1);
                set_watermark(&node, "0.9").await;
            };
            tokio::join!(elsewhere, cleared);
            for told in held.join_all().await.into_iter().chain(more.join_all().await) {
                assert_eq!(told.1, Ok(()));
            }
            assert_eq!(bodies(&mut publisher).await, (0..count + 50).collect::<Vec<_>>());
            blocked.wait_for(|blocked| !*blocked).await.unwrap();
        })
    })
    .await;
}

#[tokio::test]
async fn what_was_told_safe_is_there_after_the_broker_is_stopped_or_killed_and_copies_go_on() {
    on_a_private_node_of_every_release(|node| {
        alone(move || async move {
            let vhost = node.broker.vhost();
            let mut publishers = Publishers::default();
            let copies = copies(&mut publishers, &vhost, "orders");
            let first = start(&copies, 0..1).join_all().await;
            assert_eq!(first, [(0, Ok(()))]);
            // In good order at first: of a quorum queue that was declared just before it is killed
            // RabbitMQ may lose all, confirmed or not.
            node.stop().await;
            node.start().await;
            go_on(&copies, "1").await;
            let mut told = start(&copies, 2..2000);
            let mut safe = vec![0, 1];
            let crash = async {
                node.kill().await;
                node.start().await;
            };
            let answers = async {
                while let Some(Ok((number, told))) = told.join_next().await {
                    match told {
                        Ok(()) => safe.push(number),
                        Err(NotSafe::Ended(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
            };
            tokio::join!(crash, answers);
            go_on(&copies, "2000").await;
            safe.push(2000);
            let mut publisher = Publisher::connect(&vhost).await;
            let there = bodies(&mut publisher).await;
            let lost: Vec<_> = safe.iter().filter(|number| !there.contains(number)).collect();
            assert!(lost.is_empty(), "{lost:?}");
        })
    })
    .await;
}
