//! Every finding once where it has to be said, and once where it must not.

use std::time::Duration;

use super::*;
use crate::broker::{Answer, CopyQueue, Server};
use crate::config::definition::tests::definition;
use crate::config::definition::{DeadLetter, Declare, ManagementAddress};
use crate::secret::Secret;
use crate::tls::TlsSettings;

/// An agent and what is known of its queue, to be changed by a case.
struct Case {
    agent: AgentDefinition,
    facts: Facts,
}

type Change = fn(&mut Case);

impl Case {
    /// Defaults on RabbitMQ 4.3, whose quorum queue was looked up and has all that is advised.
    fn sound() -> Self {
        let mut agent = definition("orders");
        agent.source.queue.queue_type = Some(QueueType::Quorum);
        let mut queue = QueueFacts::declared(&agent.source);
        queue.known = Known::LookedUp;
        queue.delivery_limit = Some(20);
        let mut case = Self { agent, facts: Facts { server: server("4.3.6"), queue } };
        case.policy("dead-letter-exchange", "dlx");
        case.policy("dead-letter-strategy", "at-least-once");
        case.policy("overflow", "reject-publish");
        case
    }

    /// What the agent file alone tells of it.
    fn only_declared(&mut self) {
        self.facts.queue = QueueFacts::declared(&self.agent.source);
    }

    fn policy(&mut self, name: &str, value: &str) {
        self.facts.queue.policy.insert(name.to_owned(), Argument::Text(value.to_owned()));
    }

    fn policy_number(&mut self, name: &str, value: i64) {
        self.facts.queue.policy.insert(name.to_owned(), Argument::Integer(value));
    }

    fn argument(&mut self, name: &str, value: Argument) {
        self.agent.source.queue.arguments.insert(name.to_owned(), value.clone());
        self.facts.queue.arguments.insert(name.to_owned(), value);
    }

    fn without_dead_letter_exchange(&mut self) {
        self.facts.queue.policy.clear();
    }

    fn classic(&mut self) {
        self.agent.source.queue.queue_type = Some(QueueType::Classic);
        self.facts.queue.kind = Some(QueueType::Classic);
        self.facts.queue.delivery_limit = None;
    }

    fn native(&mut self) {
        self.agent.retry.strategy = RetryStrategy::Native;
        self.policy("delayed-retry-type", "failed");
    }

    fn requeue(&mut self) {
        self.agent.retry.strategy = RetryStrategy::Requeue;
    }

    fn discard(&mut self) {
        self.agent.source.nack_discard = true;
        self.agent.dead_letter = None;
    }

    fn on(&mut self, version: &str) {
        self.facts.server = server(version);
        self.facts.queue.delivery_limit = None;
    }
}

fn server(version: &str) -> Server {
    Server { product: "RabbitMQ".to_owned(), version: version.to_owned() }
}

fn found(change: Change) -> Vec<Finding> {
    let mut case = Case::sound();
    change(&mut case);
    audit(&case.agent, &case.facts).into_iter().map(|found| found.finding).collect()
}

#[test]
fn nothing_is_found_where_all_is_as_advised() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(found(Case::native), []);
}

#[test]
fn defaults_alone_are_no_reason_to_warn_of() {
    for kind in [None, Some(QueueType::Classic), Some(QueueType::Quorum)] {
        for version in ["3.10.8", "4.3.6"] {
            let mut case = Case::sound();
            case.agent.source.queue.queue_type = kind;
            case.on(version);
            case.only_declared();
            let mut found = audit(&case.agent, &case.facts);
            found.retain(|found| found.finding.weight() != Weight::Note);
            assert_eq!(found, [], "{kind:?} on {version}");
        }
    }
}

/// Each finding, where it holds, and where it does not.
fn each_holds(rows: &[(Finding, Change, Change)]) {
    for (finding, where_it_is, where_it_is_not) in rows {
        let (there, elsewhere) = (found(*where_it_is), found(*where_it_is_not));
        assert!(there.contains(finding), "no {finding:?} in {there:?}");
        assert!(!elsewhere.contains(finding), "{finding:?} in {elsewhere:?}");
        let said = Found { finding: finding.clone(), doubt: Doubt::None }.to_string();
        assert!(said.starts_with(char::is_lowercase) && said.contains("; "), "{said}");
        assert!(!finding.keys().is_empty(), "{said}");
    }
}

#[test]
fn native_retries_where_they_cannot_be_are_found() {
    each_holds(&[
        (
            Finding::NoDelayedRetry(server("4.2.9")),
            |case| {
                case.native();
                case.on("4.2.9");
            },
            |case| case.on("4.2.9"),
        ),
        (
            Finding::NotQuorum(QueueType::Classic),
            |case| {
                case.native();
                case.classic();
            },
            Case::native,
        ),
        (
            Finding::DelayedRetryOff,
            |case| {
                case.native();
                case.policy("delayed-retry-type", "returned");
            },
            |case| {
                case.native();
                case.policy("delayed-retry-type", "all");
            },
        ),
        (
            Finding::DelayedRetryUnknown,
            |case| {
                case.native();
                case.agent.source.declare = Declare::Passive;
                case.only_declared();
            },
            Case::native,
        ),
    ]);
}

#[test]
fn dead_letters_that_would_be_lost_are_found() {
    each_holds(&[
        (Finding::NoDeadLetters, |case| case.agent.dead_letter = None, Case::discard),
        (
            Finding::DiscardDrops,
            |case| {
                case.discard();
                case.without_dead_letter_exchange();
            },
            Case::discard,
        ),
        (
            Finding::AtMostOnce { quorum: true },
            |case| case.policy("dead-letter-strategy", "at-most-once"),
            Case::without_dead_letter_exchange,
        ),
        (
            Finding::AtMostOnce { quorum: true },
            |case| case.policy("overflow", "drop-head"),
            Case::classic,
        ),
        (
            Finding::AtMostOnce { quorum: false },
            |case| {
                case.classic();
                case.discard();
            },
            Case::classic,
        ),
    ]);
}

#[test]
fn a_queue_that_ends_messages_before_us_or_never_is_found() {
    const HALF_A_MINUTE: i64 = 30_000;
    let held = Duration::from_mins(5);
    each_holds(&[
        (
            Finding::LimitBelowAttempts { limit: 9, attempts: 10 },
            |case| {
                case.requeue();
                case.facts.queue.delivery_limit = Some(9);
            },
            |case| case.facts.queue.delivery_limit = Some(9),
        ),
        (
            Finding::LimitOff,
            |case| case.facts.queue.delivery_limit = Some(-1),
            |case| case.facts.queue.delivery_limit = Some(20),
        ),
        (
            Finding::LimitOff,
            |case| {
                case.only_declared();
                case.argument("x-delivery-limit", Argument::Integer(-1));
            },
            |case| {
                case.only_declared();
                case.on("3.10.8");
            },
        ),
        (Finding::LimitOff, |case| case.on("3.10.8"), |case| case.on("4.0.0")),
        (Finding::LimitDrops(20), Case::without_dead_letter_exchange, |_| {}),
        (
            Finding::AttemptsUncounted,
            |case| {
                case.requeue();
                case.classic();
            },
            Case::requeue,
        ),
        (
            Finding::ConsumerTimeout { limit: Duration::from_secs(30), held },
            |case| case.policy_number("consumer-timeout", HALF_A_MINUTE),
            |case| case.policy_number("consumer-timeout", 300_000),
        ),
        (
            // Between its attempts it may be held for longer.
            Finding::ConsumerTimeout {
                limit: Duration::from_mins(10),
                held: Duration::from_mins(15),
            },
            |case| {
                case.agent.retry.strategy = RetryStrategy::InPlace;
                case.agent.retry.delays = vec![Duration::from_mins(3)];
                case.policy_number("consumer-timeout", 600_000);
            },
            |case| {
                case.agent.retry.strategy = RetryStrategy::InPlace;
                case.agent.retry.delays = vec![Duration::from_mins(1)];
                case.policy_number("consumer-timeout", 600_000);
            },
        ),
        (
            Finding::ConsumerTimeout { limit: Duration::from_secs(30), held },
            |case| case.argument("x-consumer-timeout", Argument::Integer(HALF_A_MINUTE)),
            |case| {
                case.classic();
                case.argument("x-consumer-timeout", Argument::Integer(HALF_A_MINUTE));
            },
        ),
    ]);
}

#[test]
fn a_queue_that_does_not_last_or_holds_too_much_is_found() {
    each_holds(&[
        (
            Finding::NotDurable,
            |case| case.facts.queue.durable = false,
            |case| {
                case.facts.queue.durable = false;
                case.agent.source.queue.durable = false;
            },
        ),
        (
            Finding::AutoDelete,
            |case| case.facts.queue.auto_delete = true,
            |case| {
                case.facts.queue.auto_delete = true;
                case.agent.source.queue.auto_delete = true;
            },
        ),
        (
            Finding::Expires(Duration::from_secs(30)),
            |case| case.policy_number("expires", 30_000),
            |case| case.argument("x-expires", Argument::Integer(30_000)),
        ),
        (
            Finding::Mirrored,
            |case| {
                case.classic();
                case.policy("ha-mode", "all");
            },
            |case| case.policy("ha-mode", "all"),
        ),
        (
            Finding::LargeWindow(2001),
            |case| case.agent.source.prefetch_count = 2001,
            |case| case.agent.source.prefetch_count = 2000,
        ),
        (
            Finding::QueueUnknown,
            |case| {
                case.agent.source.declare = Declare::Passive;
                case.only_declared();
            },
            |case| case.agent.source.declare = Declare::Passive,
        ),
    ]);
}

#[test]
fn what_check_says_of_the_file_alone_is_not_said_again() {
    let says_so: Change = |case| {
        case.requeue();
        case.argument("x-delivery-limit", Argument::Integer(9));
        case.facts.queue.delivery_limit = Some(9);
    };
    assert_eq!(found(says_so), []);
}

#[test]
fn what_a_policy_may_say_otherwise_is_said_with_that() {
    let mut case = Case::sound();
    case.discard();
    case.only_declared();
    let found = audit(&case.agent, &case.facts);
    let drops = found.iter().find(|found| found.finding == Finding::DiscardDrops).unwrap();
    assert!(drops.to_string().contains("a policy may say otherwise, name `management`"), "{drops}");
    case.agent.source.management = vec![ManagementAddress {
        url: "http://127.0.0.1:15672/".parse().unwrap(),
        username: "guest".to_owned(),
        password: Secret::new("guest"),
        tls: TlsSettings::default(),
    }];
    let found = audit(&case.agent, &case.facts);
    let drops = found.iter().find(|found| found.finding == Finding::DiscardDrops).unwrap();
    assert!(drops.to_string().ends_with("a policy may say otherwise)"), "{drops}");
    case.facts.queue.known = Known::LookedUp;
    let found = audit(&case.agent, &case.facts);
    let drops = found.iter().find(|found| found.finding == Finding::DiscardDrops).unwrap();
    assert!(!drops.to_string().contains("otherwise"), "{drops}");
}

#[test]
fn the_lower_delivery_limit_is_in_force_and_none_is_above_any() {
    let mut case = Case::sound();
    case.facts.queue.delivery_limit = None;
    for (argument, policy, limit) in
        [(7, 3, Ok(3)), (-1, 5, Ok(5)), (5, -1, Ok(5)), (-1, -1, Err(NoLimit))]
    {
        case.argument("x-delivery-limit", Argument::Integer(argument));
        case.policy_number("delivery-limit", policy);
        assert_eq!(case.facts.delivery_limit(), Some(limit), "{argument} {policy}");
    }
}

/// An agent, what the broker says, and how each line of it begins.
type Asked<'a> = (&'a AgentDefinition, Inspection, Vec<(Weight, &'a str)>);

fn each_is_told(rows: &[Asked<'_>]) {
    for (agent, inspection, expected) in rows {
        let found = of_inspection(agent, inspection);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (weight, text)) in found.iter().zip(expected) {
            assert_eq!(found.finding.weight(), *weight, "{found}");
            assert!(found.to_string().starts_with(text), "{found}");
        }
    }
}

fn fine() -> Inspection {
    Inspection {
        server: server("4.3.6"),
        exchange: Some(Answer::Fine),
        queue: Answer::Fine,
        dead_letter: Some(Answer::Fine),
        copies: Vec::new(),
        publishing: Some(Answer::Fine),
        has_alarm: false,
    }
}

fn refused(code: u16) -> Answer {
    Answer::Refused { code, text: "NO - no".to_owned() }
}

fn passive() -> AgentDefinition {
    let mut passive = definition("orders");
    passive.source.declare = Declare::Passive;
    let exchange = "dlx".to_owned();
    passive.dead_letter = Some(DeadLetter { exchange, routing_key: None, declare: false });
    passive
}

#[test]
fn what_a_broker_refuses_is_told_with_what_it_needs() {
    let (create, passive) = (definition("orders"), passive());
    each_is_told(&[
        (&create, fine(), vec![]),
        (
            &create,
            Inspection { queue: Answer::Missing, ..fine() },
            vec![(Weight::Note, "the queue does not exist; it is declared")],
        ),
        (
            &create,
            Inspection { queue: refused(406), ..fine() },
            vec![(Weight::Error, "the broker refuses the queue: 406 NO - no; let the file say")],
        ),
        (
            &create,
            Inspection { queue: refused(405), ..fine() },
            vec![(Weight::Note, "the broker refuses the queue: 405")],
        ),
        (
            &passive,
            Inspection { queue: Answer::Missing, exchange: Some(Answer::Missing), ..fine() },
            vec![
                (Weight::Error, "the exchange does not exist; declare it"),
                (Weight::Error, "the queue does not exist; declare it"),
            ],
        ),
        (
            &passive,
            Inspection { exchange: Some(refused(403)), ..fine() },
            vec![(Weight::Error, "the broker refuses the exchange: 403 NO - no; give the user")],
        ),
    ]);
}

#[test]
fn copies_that_could_not_be_made_are_told() {
    let (create, passive) = (definition("orders"), passive());
    let copy = |name: &str, delay: Option<Duration>, answer| {
        let delay = delay.map(|delay| (delay, "orders".to_owned()));
        (CopyQueue { name: name.to_owned(), kind: QueueType::Quorum, delay }, answer)
    };
    let retry = Some(Duration::from_secs(5));
    each_is_told(&[
        (&create, Inspection { publishing: None, dead_letter: None, ..fine() }, vec![]),
        (
            &create,
            Inspection { publishing: None, has_alarm: true, ..fine() },
            vec![(Weight::Warning, "the broker answers nothing once a message was published")],
        ),
        (
            &create,
            Inspection { copies: vec![copy("orders.dead", None, Answer::Fine)], ..fine() },
            vec![],
        ),
        (
            &create,
            Inspection {
                copies: vec![copy("orders.retry.5s", retry, refused(403))],
                publishing: Some(refused(403)),
                ..fine()
            },
            vec![
                (
                    Weight::Error,
                    "the broker refuses copies to queues, by the default exchange: 403",
                ),
                (Weight::Error, "the broker refuses the queue `orders.retry.5s` for retries: 403"),
            ],
        ),
        (
            &create,
            Inspection { copies: vec![copy("orders.retry.5s", retry, refused(406))], ..fine() },
            vec![(
                Weight::Error,
                "the broker refuses the queue `orders.retry.5s` for retries: 406",
            )],
        ),
        (
            &passive,
            Inspection { dead_letter: Some(Answer::Missing), ..fine() },
            vec![(Weight::Error, "the exchange `dlx` for dead letters does not exist")],
        ),
    ]);
}
