//! The oracle on trial: made-up books, each with one thing wrong or nothing. One that overlooked
//! what it is there for would let every run pass.

use super::book::{Answer, Attempt, Dead, Entry, Pages};
use super::clock::{self, Micros};
use super::daemon::Counts;
use super::fault::{Deck, Harm, Kind, Mood};
use super::letter::{Agent, Fate, Plan};
use super::oracle::{Record, Window, examine};

/// Long after 1970, in microseconds.
const START: Micros = 1_000_000_000;
const MILLISECOND: Micros = 1000;

/// A case: what it is, what the daemon did, what went on around it, and the words by which the
/// oracle has to tell it; none where all is well.
type Case = (&'static str, Entry, Record, Option<&'static str>);

/// Tries all cases; tells those that came out otherwise than they must.
pub fn failures() -> Vec<String> {
    let mut failures = Vec::new();
    for (name, entry, record, wanted) in cases().into_iter().chain(repeats()) {
        let pages = Pages { entries: vec![entry], ..Pages::default() };
        let wrongs = examine(&pages, &record, true).wrongs;
        let is_right = match (wanted, &wrongs[..]) {
            (None, []) => true,
            (Some(words), [(_, what)]) => what.contains(words),
            (None | Some(_), _) => false,
        };
        if !is_right {
            failures.push(format!("the oracle on {name}: {wrongs:?}, not {wanted:?}"));
        }
    }
    let deal = |seed| {
        let mut deck = Deck::new(seed, &[], 3);
        let faults = (0..100).filter_map(|_| deck.deal());
        faults.map(|fault| format!("{fault:?}")).collect::<Vec<_>>()
    };
    if deal(7) != deal(7) || deal(7) == deal(8) {
        failures.push("the seed does not decide the faults".to_owned());
    }
    let time = "2026-02-28T23:59:59.5Z";
    if clock::parse(time) != Some(1_772_323_199_500_000) {
        failures.push(format!("{time} is read as {:?}", clock::parse(time)));
    }
    failures.extend(counts());
    failures
}

fn counts() -> Option<String> {
    let sum = |received: u64, gone: u64, held: u64| {
        let mut record = Record::default();
        record.summed_up("orders", Counts { received, gone: 1, held: 0 });
        record.summed_up("orders", Counts { received: 0, gone: gone - 1, held });
        record.process_ended().len()
    };
    let found = [sum(5, 5, 0), sum(5, 4, 0), sum(5, 6, 0), sum(5, 4, 1)];
    (found != [0, 1, 1, 1]).then(|| format!("counts are judged {found:?}"))
}

fn cases() -> Vec<Case> {
    let quiet = Record::default;
    let told = |site, at| attempt(site, at, Answer::Success);
    let failed = |site, at| attempt(site, at, Answer::Failed(500));
    let fine = |attempts| entry(Fate::Fine, attempts, &[]);
    let both = vec![told(0, 10), told(1, 10)];
    let poison: Vec<_> = (0..60).map(|number| failed(0, number * 300)).collect();
    vec![
        ("a delivery", fine(both.clone()), quiet(), None),
        ("a loss", fine(vec![]), quiet(), Some("LOST")),
        ("half a delivery", fine(vec![told(0, 10)]), quiet(), Some("LOST")),
        ("a success that was none", fine(vec![told(0, 10), failed(1, 10)]), quiet(), Some("LOST")),
        ("a refused one", entry(Fate::Refused, vec![], &[("refused", 422)]), quiet(), None),
        ("a refused one lost", entry(Fate::Refused, vec![], &[]), quiet(), Some("LOST")),
        (
            "another reason",
            entry(Fate::Refused, vec![], &[("attempts", 422)]),
            quiet(),
            Some("dead-lettered"),
        ),
        ("a victim", entry(Fate::Fine, both, &[("refused", 422)]), quiet(), Some("dead-lettered")),
        (
            "two dead letters",
            entry(Fate::Refused, vec![], &[("refused", 422), ("refused", 422)]),
            quiet(),
            Some("dead-lettered twice"),
        ),
        (
            "a hot loop",
            fine(vec![failed(0, 10), told(0, 150), told(1, 10)]),
            quiet(),
            Some("after 139 ms"),
        ),
        (
            "a redelivery after a lost session",
            fine(vec![failed(0, 10), told(0, 150), told(1, 10)]),
            session(140),
            None,
        ),
        (
            "a loop beside a session",
            fine((0..14).map(|number| told(0, number * 10)).chain([told(1, 10)]).collect()),
            session(10),
            Some("tries in a second"),
        ),
        (
            "tries without end",
            entry(Fate::Poison, poison, &[("attempts", 500)]),
            quiet(),
            Some("more often"),
        ),
    ]
}

/// A backend that is told twice.
fn repeats() -> Vec<Case> {
    let told = |site, at| attempt(site, at, Answer::Success);
    let fine = |attempts| entry(Fate::Fine, attempts, &[]);
    let twice = vec![told(0, 10), told(1, 10), told(0, 900)];
    let words = Some("twice without a cause");
    vec![
        ("a repeat", fine(twice.clone()), Record::default(), words),
        ("a repeat after a session began", fine(twice.clone()), session(500), None),
        ("a repeat before any session", fine(twice.clone()), session(2000), words),
        ("a reply lost", fine(twice.clone()), harm(0, Kind::BackendLeg(Harm::Cut)), None),
        ("a reply lost elsewhere", fine(twice.clone()), harm(1, HANGING), words),
        ("a mood that loses no reply", fine(twice), harm(0, HANGING), words),
    ]
}

/// A session of the agent's that began so many milliseconds after the start.
fn session(at: Micros) -> Record {
    let mut record = Record::default();
    record.session_began("orders", START + at * MILLISECOND);
    record
}

/// A mood in which no reply is lost.
const HANGING: Kind = Kind::Backend(Mood::Hanging);

/// A fault at a backend throughout.
fn harm(site: usize, kind: Kind) -> Record {
    let mut record = Record::default();
    record.fault_began(Window { kind, site: Some(site), from: START, to: None });
    record
}

/// Came `at` milliseconds after the start, and was answered one later.
fn attempt(site: u8, at: Micros, answer: Answer) -> Attempt {
    let came = START + at * MILLISECOND;
    Attempt { site, came, answered: came + MILLISECOND, answer }
}

fn entry(fate: Fate, attempts: Vec<Attempt>, dead: &[(&str, u64)]) -> Entry {
    Entry {
        plan: Plan { agent: Agent::Orders, fate, site: 0 },
        published: START,
        confirmed: Some(START),
        attempts,
        dead: dead
            .iter()
            .map(|(reason, status)| Dead { reason: (*reason).to_owned(), status: Some(*status) })
            .collect(),
    }
}
