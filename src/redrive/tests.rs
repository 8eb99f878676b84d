use std::time::Duration;

use bytes::Bytes;

use super::selection;
use super::*;
use crate::broker::properties::PropertiesBuilder;
use crate::broker::{Added, Fate};
use crate::config::definition::{DeadLetter, tests::definition};
use crate::copies::headers;
use crate::delivery::{Message, Properties};

const NOW: u64 = 1_000_000;
const ORIGIN: Origin<'_> = Origin { agent: "orders", queue: "orders" };

fn message(properties: Properties) -> Message {
    Message {
        exchange: String::new(),
        routing_key: "orders.dead".to_owned(),
        redelivered: false,
        properties,
        body: Bytes::new(),
    }
}

fn letter(added: &[(&'static str, Added)]) -> Message {
    let plain = PropertiesBuilder::default().build();
    message(plain.with_headers(|_| Fate::Keep, added.iter().cloned()))
}

fn text(text: &str) -> Added {
    Added::Text(text.as_bytes().to_vec())
}

#[test]
fn everything_that_is_asked_for_has_to_be_so() {
    let letter = letter(&[
        (headers::DEAD_LETTERED_BY, text("orders")),
        (headers::REASON, text("refused")),
        (headers::LAST_FAILURE, Added::Timestamp(NOW - 3600)),
        ("tenant", text("acme")),
        ("shop", Added::Integer(-7)),
    ]);
    let all = Selection::default();
    let hour = Duration::from_hours(1);
    let second = Duration::from_secs(1);
    let header = |name: &str, value: &str| Selection {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..Selection::default()
    };
    for (selection, verdict) in [
        (all.clone(), Verdict::Selected),
        (Selection { reason: Some("refused".into()), ..all.clone() }, Verdict::Selected),
        (Selection { reason: Some("refuse".into()), ..all.clone() }, Verdict::PassedOver),
        (Selection { older_than: Some(hour), ..all.clone() }, Verdict::Selected),
        (Selection { older_than: Some(hour + second), ..all.clone() }, Verdict::PassedOver),
        (Selection { newer_than: Some(hour), ..all.clone() }, Verdict::PassedOver),
        (Selection { newer_than: Some(hour + second), ..all.clone() }, Verdict::Selected),
        (header("tenant", "acme"), Verdict::Selected),
        (header("tenant", "acm"), Verdict::PassedOver),
        (header("shop", "-7"), Verdict::Selected),
        (header("none", ""), Verdict::PassedOver),
    ] {
        assert_eq!(selection.judge(&letter, ORIGIN, NOW), verdict, "{selection:?}");
    }
    assert_eq!(selection::reason(&letter).as_deref(), Some("refused"));
}

#[test]
fn what_has_no_time_is_neither_old_nor_new() {
    let letter = letter(&[]);
    let zero = Some(Duration::ZERO);
    let old = Selection { older_than: zero, ..Selection::default() };
    let new = Selection { newer_than: Some(Duration::MAX), ..Selection::default() };
    for selection in [old, new] {
        assert_eq!(selection.judge(&letter, ORIGIN, NOW), Verdict::PassedOver);
    }
    assert_eq!(Selection::default().judge(&letter, ORIGIN, NOW), Verdict::Selected);
}

#[test]
fn a_dead_letter_of_another_agent_goes_only_when_it_is_asked_for() {
    let letter = letter(&[(headers::DEAD_LETTERED_BY, text("letters"))]);
    assert_eq!(Selection::default().judge(&letter, ORIGIN, NOW), Verdict::Foreign);
    let named = (headers::DEAD_LETTERED_BY.to_owned(), "letters".to_owned());
    let asked = Selection { headers: vec![named], ..Selection::default() };
    assert_eq!(asked.judge(&letter, ORIGIN, NOW), Verdict::Selected);
}

#[test]
fn the_agents_dead_letter_queue_is_known_or_has_to_be_named() {
    let mut agent = definition("orders");
    assert_eq!(dead_letter_queue(&agent, None).as_deref(), Ok("orders.dead"));
    assert_eq!(dead_letter_queue(&agent, Some("else")).as_deref(), Ok("else"));
    assert!(dead_letter_queue(&agent, Some("orders")).is_err());
    let to = |exchange: &str, routing_key: Option<&str>| DeadLetter {
        exchange: exchange.to_owned(),
        routing_key: routing_key.map(str::to_owned),
        declare: false,
    };
    for target in [None, Some(to("dead", Some("orders"))), Some(to("", None))] {
        agent.dead_letter = target;
        let problem = dead_letter_queue(&agent, None).expect_err("it is not known");
        assert!(problem.contains("--queue"), "{problem}");
        assert_eq!(dead_letter_queue(&agent, Some("else")).as_deref(), Ok("else"));
    }
}

#[test]
fn reasons_without_number_are_one_row() {
    let mut count = Count::of(1000);
    for number in 0..1000 {
        let name = count.looked_at(Some(format!("reason {number}")));
        count.selected(&name, Some("id"));
    }
    let table = count.table(true).to_string();
    assert!(table.lines().count() < 60, "{table}");
    assert!(table.contains("others "), "{table}");
    assert_eq!((count.total.looked_at, count.total.selected), (1000, 1000));
}
