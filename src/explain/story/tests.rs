use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::agent::rehearsal::{Replies, rehearse};
use crate::config::definition::Argument;
use crate::config::definition::tests::definition;
use crate::explain::sample::built_in;
use crate::settlement::Reason;

fn rehearsed(definition: &AgentDefinition, replies: &[&str], retry_after: Option<u64>) -> Story {
    let replies = replies.iter().map(|reply| match reply.split_once('=') {
        Some((name, reply)) => (Some(name.to_owned()), reply.parse().unwrap()),
        None => (None, reply.parse().unwrap()),
    });
    let replies = Replies::new(replies.collect(), retry_after.map(Duration::from_secs));
    rehearse(definition, built_in(definition), replies, 1_700_000_000).unwrap()
}

fn told(definition: &AgentDefinition, replies: &[&str]) -> String {
    let story = rehearsed(definition, replies, None);
    Tale { definition, story: &story }.text()
}

#[test]
fn a_message_that_always_fails_goes_through_its_delay_queues_to_the_dead_letters() {
    let mut agent = definition("orders");
    agent.retry.delays = [5, 30].map(Duration::from_secs).to_vec();
    agent.retry.attempts = 3;
    let expected = "         0 s  delivery 1
         0 s    request 1: 127.0.0.1:8080: status 500 (try again); again in ~250 ms
      250 ms    request 2: 127.0.0.1:8080: status 500 (try again); again in ~500 ms
      750 ms    request 3: 127.0.0.1:8080: status 500 (try again); failed: a copy waits in orders.retry.5s for 5 s
      5.75 s  delivery 2
";
    let text = told(&agent, &["500"]);
    assert!(text.starts_with(expected), "{text}");
    let end = "\nIn the end: dead-lettered (x-agent-reason: attempts): a copy goes to the queue orders.dead; about 37.25 s after the first delivery, with 3 deliveries and 9 requests.\n";
    assert!(text.contains(end), "{text}");
    assert!(text.contains("request 9: "), "{text}");
    assert!(text.contains("orders.retry.30s"), "{text}");
}

#[test]
fn the_defaults_take_as_long_as_they_are_said_to() {
    let mut agent = definition("orders");
    agent.retry.delays = [5, 30, 120, 600].map(Duration::from_secs).to_vec();
    let story = rehearsed(&agent, &["500"], None);
    let tale = Tale { definition: &agent, story: &story };
    assert_eq!((tale.deliveries(), tale.requests()), (10, 30));
    // 5 s, 30 s, 2 min, six times 10 min, and 750 ms in the window each time.
    assert_eq!(story.after, Duration::from_millis(155_000 + 3_600_000 + 7_500));
}

#[test]
fn a_backend_that_asks_for_quiet_is_left_alone_ever_longer() {
    let agent = definition("orders");
    let text = told(&agent, &["503"]);
    // In the second delivery: four faults in a row by then.
    assert!(
        text.contains("again in ~2 s: all messages leave the backend alone that long"),
        "{text}"
    );
    let story = rehearsed(&agent, &["503"], Some(30));
    let waits = story.steps.iter().filter_map(|step| {
        if let Event::TryInPlace { wait, .. } = step.event { Some(wait) } else { None }
    });
    let asked = Duration::from_secs(30);
    let asked = crate::agent::rehearsal::Wait { middle: asked, least: asked, most: asked };
    assert!(waits.clone().count() > 0);
    assert!(waits.into_iter().all(|wait| wait == asked), "chance does not move what was asked for");
}

#[test]
fn each_result_ends_as_the_readme_says() {
    let agent = definition("orders");
    for (replies, end) in [
        (&["200"][..], "delivered: the message is acked; at once, with 1 delivery and 1 request."),
        (
            &["422"],
            "dead-lettered (x-agent-reason: refused): a copy goes to the queue orders.dead;",
        ),
        (&["301"], "(x-agent-reason: refused)"),
        (&["404"], "(x-agent-reason: attempts)"),
        (&["refused"], "never settled while the backend goes on like that: the agent holds;"),
        (&["dns"], "the agent holds;"),
        (&["tls"], "the agent holds;"),
        (&["401"], "the agent holds;"),
        (&["timeout"], "(x-agent-reason: attempts)"),
        (&["reset"], "(x-agent-reason: attempts)"),
        (&["refused", "refused", "200"], "delivered: the message is acked; about 3.25 s after"),
        (&["401", "401", "401", "401", "204"], "delivered"),
        (&["500", "500", "500", "200"], "with 2 deliveries and 4 requests."),
    ] {
        let text = told(&agent, replies);
        assert!(text.contains(end), "{replies:?}: {text}");
    }
    assert_eq!(told(&agent, &["404"]).matches("request ").count(), 6, "two tries, three times");
}

#[test]
fn a_hold_says_what_opened_it_and_that_nothing_is_counted() {
    let agent = definition("orders");
    let text = told(&agent, &["refused"]);
    for part in [
        "hold: 127.0.0.1:8080 cannot be reached",
        "No attempt is counted",
        "as a probe",
        "more probes, the same",
        "5 min    the hold lasts",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let text = told(&agent, &["403"]);
    for part in
        ["not counted, since the backend may be at fault", "hold: 127.0.0.1:8080 turns us away"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // Well again after the window went back.
    let replies = [["refused"; 20].as_slice(), &["200"]].concat();
    let text = told(&agent, &replies);
    assert!(text.contains("HEAD, without the message: 127.0.0.1:8080: status 200"), "{text}");
    assert!(text.contains("delivery 2, redelivered"), "{text}");
    assert!(text.contains("delivered: the message is acked"), "{text}");
}

#[test]
fn each_policy_is_followed() {
    let policy = |change: fn(&mut AgentDefinition), reply: &str| {
        let mut agent = definition("orders");
        agent.retry.delays = [5, 30].map(Duration::from_secs).to_vec();
        agent.retry.attempts = 4;
        change(&mut agent);
        told(&agent, &[reply])
    };
    let requeue = |agent: &mut AgentDefinition| agent.retry.strategy = RetryStrategy::Requeue;
    let text = policy(requeue, "500");
    assert!(
        text.contains("failed: kept for ~5 s, then back to the queue (basic.reject)"),
        "{text}"
    );
    assert!(text.contains("never settled") && text.contains("nothing counts that"), "{text}");
    let quorum = |agent: &mut AgentDefinition| {
        agent.retry.strategy = RetryStrategy::Requeue;
        agent.source.queue.queue_type = Some(QueueType::Quorum);
    };
    assert!(policy(quorum, "500").contains("with 4 deliveries and 12 requests"));
    let limited = |agent: &mut AgentDefinition| {
        agent.retry.strategy = RetryStrategy::Requeue;
        agent.source.queue.queue_type = Some(QueueType::Quorum);
        agent.source.queue.arguments.insert("x-delivery-limit".to_owned(), Argument::Integer(1));
    };
    assert!(policy(limited, "500").contains("delivery limit of 1 allows"));
    let native = |agent: &mut AgentDefinition| {
        agent.retry.strategy = RetryStrategy::Native;
        agent.source.queue.queue_type = Some(QueueType::Quorum);
    };
    let text = policy(native, "500");
    assert!(text.contains("back to the queue (basic.reject), where it waits for 10 s"), "{text}");
    assert!(text.contains("with 4 deliveries"), "{text}");
    let in_place = |agent: &mut AgentDefinition| agent.retry.strategy = RetryStrategy::InPlace;
    let text = policy(in_place, "500");
    assert!(text.contains("kept in the window, the next attempt in ~30 s"), "{text}");
    assert!(text.contains("with 1 delivery and 12 requests"), "{text}");
    let discard = |agent: &mut AgentDefinition| agent.source.nack_discard = true;
    assert!(policy(discard, "422").contains("discarded, since nack_discard is set"));
    assert!(policy(discard, "500").contains("discarded, since nack_discard is set"));
    let auto = |agent: &mut AgentDefinition| agent.source.auto_ack = true;
    assert!(policy(auto, "500").contains("acked after one try"));
    assert!(policy(auto, "refused").contains("acked after one try"));
    let keep = |agent: &mut AgentDefinition| agent.dead_letter = None;
    assert!(policy(keep, "422").contains("there is no dead-letter queue, so it is kept"));
    let old = |agent: &mut AgentDefinition| agent.retry.max_age = Some(Duration::from_secs(6));
    assert!(policy(old, "500").contains("(x-agent-reason: max_age)"));
}

#[test]
fn a_retry_tells_only_the_backends_that_failed() {
    let mut agent = definition("orders");
    let mut other = agent.backends[0].clone();
    other.name = Arc::from("billing");
    let mut aside = other.clone();
    (aside.name, aside.required) = (Arc::from("audit"), false);
    agent.backends.extend([other, aside]);
    let text = told(&agent, &["billing=503", "billing=503", "billing=204"]);
    let first = "request 1: 127.0.0.1:8080: status 204 (delivered), billing: status 503 (try again), audit: status 204 (delivered, which decides nothing); again in ~250 ms\n";
    assert!(text.contains(first), "{text}");
    assert!(text.contains("request 2: billing: status 503 (try again); again in"), "{text}");
    assert!(text.contains("with 1 delivery and 5 requests."), "{text}");
}

#[test]
fn a_long_story_is_cut_in_the_middle_and_whole_for_programs() {
    let mut agent = definition("orders");
    (agent.retry.attempts, agent.retry.in_place) = (50, 5);
    let story = rehearsed(&agent, &["500"], None);
    let tale = Tale { definition: &agent, story: &story };
    let text = tale.text();
    assert!(text.contains("lines like these; --json has all steps"), "{text}");
    assert!(text.lines().count() < 90, "{text}");
    let json = tale.json();
    assert_eq!(json["requests"], 300);
    let tried = json["steps"].as_array().unwrap().iter().filter(|step| step["event"] == "tried");
    assert_eq!(tried.count(), 300);
    assert_eq!(json["ending"]["reason"], "attempts");
}

/// The last of the replies comes when the message was given back already.
#[test]
fn a_hold_that_no_later_reply_ends_is_told_as_one_without_end() {
    let agent = definition("orders");
    let story = rehearsed(&agent, &["refused", "401", "429", "timeout"], Some(297));
    assert_eq!(story.ending, Ending::Never(Endless::Held));
    assert!(story.steps.len() < 20, "{:#?}", story.steps);
}

/// An agent drawn from what a file may say.
fn agents() -> impl Strategy<Value = AgentDefinition> {
    let strategies = [
        RetryStrategy::Queue,
        RetryStrategy::Native,
        RetryStrategy::InPlace,
        RetryStrategy::Requeue,
    ];
    let kinds = [None, Some(QueueType::Classic), Some(QueueType::Quorum), Some(QueueType::Stream)];
    let retry = (1_u32..30, 0_u32..5, select(strategies.to_vec()), 0.0..1.0);
    let delays = proptest::collection::vec(1_u64..100_000, 1..4);
    let rest = (select(kinds.to_vec()), any::<[bool; 4]>(), proptest::option::of(1_u64..100_000));
    (retry, delays, rest).prop_map(|(retry, delays, (kind, [discard, auto, dead, two], age))| {
        let mut agent = definition("orders");
        (agent.retry.attempts, agent.retry.in_place, agent.retry.strategy, agent.retry.jitter) =
            retry;
        agent.retry.delays = delays.into_iter().map(Duration::from_millis).collect();
        agent.retry.max_age = age.map(Duration::from_secs);
        agent.source.queue.queue_type = kind;
        if kind == Some(QueueType::Stream) {
            agent.retry.strategy = RetryStrategy::InPlace;
        }
        (agent.source.nack_discard, agent.source.auto_ack) = (discard, auto);
        if !dead {
            agent.dead_letter = None;
        }
        if two {
            let mut other = agent.backends[0].clone();
            (other.name, other.required) = (Arc::from("other"), auto);
            agent.backends.push(other);
        }
        agent
    })
}

const REPLIES: [&str; 15] = [
    "204",
    "301",
    "401",
    "404",
    "409",
    "422",
    "429",
    "500",
    "503",
    "timeout",
    "refused",
    "reset",
    "dns",
    "tls",
    "other=500",
];

proptest! {
    #[test]
    fn a_story_always_ends_or_says_that_it_does_not(
        agent in agents(),
        replies in proptest::collection::vec(select(REPLIES.to_vec()), 1..8),
        retry_after in proptest::option::of(0_u64..1000),
    ) {
        let story = rehearsed(&agent, &replies, retry_after);
        prop_assert_ne!(&story.ending, &Ending::Cut);
        let times: Vec<_> = story.steps.iter().map(|step| step.at).collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
        prop_assert!(times.last().is_none_or(|last| *last <= story.after));
        // What is written of it never fails either.
        let tale = Tale { definition: &agent, story: &story };
        prop_assert!(!tale.text().is_empty() && !tale.json()["summary"].is_null());
    }

    #[test]
    fn a_message_that_always_fails_is_delivered_as_often_as_attempts_says(
        attempts in 1_u32..60,
        in_place in 0_u32..5,
        kind in select(vec![QueueType::Classic, QueueType::Quorum]),
        reply in select(vec!["500", "502", "timeout", "reset"]),
    ) {
        let mut agent = definition("orders");
        (agent.retry.attempts, agent.retry.in_place) = (attempts, in_place);
        agent.source.queue.queue_type = Some(kind);
        let story = rehearsed(&agent, &[reply], None);
        let tale = Tale { definition: &agent, story: &story };
        prop_assert_eq!(tale.deliveries(), usize::try_from(attempts).unwrap());
        prop_assert_eq!(tale.requests(), usize::try_from(attempts * (in_place + 1)).unwrap());
        let Ending::DeadLettered { reason, .. } = story.ending else {
            panic!("{:?}", story.ending);
        };
        prop_assert_eq!(reason, Reason::Attempts);
    }
}
