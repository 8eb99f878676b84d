//! What has been seen of each message: the ledger that the oracle reads.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::clock::{Micros, now, show};
use super::letter::{Fate, Letter, Plan};

/// Shared by publisher, backends and oracle.
#[derive(Clone)]
pub struct Book {
    pub seed: u64,
    pages: Arc<Mutex<Pages>>,
    /// Wakes who waits for messages to be done.
    changed: watch::Sender<()>,
}

#[derive(Default)]
pub struct Pages {
    /// By number.
    pub entries: Vec<Entry>,
    /// Confirmed and not done: those that must succeed, and those that must become dead letters.
    pub open: BTreeSet<usize>,
    pub open_doomed: BTreeSet<usize>,
    /// What is wrong already, with the message that it is about.
    pub wrongs: Vec<(Option<usize>, String)>,
    /// Requests that carried a message; those without one.
    pub requests: u64,
    pub probes: u64,
    /// Whether only messages are published that nobody objects to.
    pub calm: bool,
}

/// One message.
#[derive(Debug)]
pub struct Entry {
    pub plan: Plan,
    pub published: Micros,
    pub confirmed: Option<Micros>,
    pub attempts: Vec<Attempt>,
    pub dead: Vec<Dead>,
}

/// A request as its backend saw it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub site: u8,
    /// When it had come whole: not before the daemon sent it.
    pub came: Micros,
    /// When it was answered: not after the daemon had the answer. As `came` where there was none.
    pub answered: Micros,
    pub answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Success,
    /// 422: the message's fault.
    Refused,
    /// A status that says to try again.
    Failed(u16),
    /// 401: neither the message's fault nor the moment's.
    Unwell,
    /// None, or none that is HTTP.
    Nothing,
}

/// A dead letter, as it was found.
#[derive(Debug, Clone)]
pub struct Dead {
    pub reason: String,
    pub status: Option<u64>,
}

impl Entry {
    /// Whether nothing more is owed to it.
    pub fn is_done(&self) -> bool {
        if self.plan.is_doomed() {
            return !self.dead.is_empty();
        }
        self.plan.agent.sites().iter().all(|site| self.successes(*site).next().is_some())
    }

    pub fn at(&self, site: usize) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| usize::from(attempt.site) == site)
    }

    pub fn successes(&self, site: usize) -> impl Iterator<Item = &Attempt> {
        self.at(site).filter(|attempt| attempt.answer == Answer::Success)
    }

    /// For people.
    pub fn history(&self) -> String {
        let confirmed = self.confirmed.map_or("never".to_owned(), show);
        let mut text = format!("published {}, confirmed {confirmed}", show(self.published));
        for Attempt { site, came, answered, answer } in &self.attempts {
            let took = (answered - came) / 1000;
            let line = [&show(*came), " backend ", &site.to_string()].concat();
            text.extend(["\n      ", &line, &format!(": {answer:?} after {took} ms")]);
        }
        for Dead { reason, status } in &self.dead {
            text.extend(["\n      dead letter: ", &format!("{reason}, status {status:?}")]);
        }
        text
    }
}

impl Book {
    pub fn new(seed: u64) -> Book {
        Book { seed, pages: Arc::default(), changed: watch::Sender::default() }
    }

    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("nobody panics with the book in hand")
    }

    /// A message that was published.
    pub fn letter(&self, number: usize) -> Letter {
        let plan = self.pages().entries[number].plan;
        let mut letter = Letter::new(self.seed, number);
        letter.plan = plan;
        letter
    }

    /// The next message goes out.
    pub fn publish(&self) -> (usize, Letter) {
        let mut pages = self.pages();
        let number = pages.entries.len();
        let mut letter = Letter::new(self.seed, number);
        if pages.calm {
            letter.plan.fate = Fate::Fine;
        }
        pages.entries.push(Entry {
            plan: letter.plan,
            published: now(),
            confirmed: None,
            attempts: Vec::new(),
            dead: Vec::new(),
        });
        (number, letter)
    }

    /// The broker has it safe.
    pub fn confirm(&self, number: usize) {
        let mut pages = self.pages();
        let entry = &mut pages.entries[number];
        entry.confirmed = Some(now());
        let (is_done, is_doomed) = (entry.is_done(), entry.plan.is_doomed());
        if !is_done && is_doomed {
            pages.open_doomed.insert(number);
        } else if !is_done {
            pages.open.insert(number);
        }
    }

    pub fn attempt(&self, number: usize, attempt: Attempt) {
        let mut pages = self.pages();
        pages.requests += 1;
        let entry = &mut pages.entries[number];
        entry.attempts.push(attempt);
        if entry.is_done() {
            self.done(&mut pages, number);
        }
    }

    pub fn dead(&self, number: usize, dead: Dead) {
        let mut pages = self.pages();
        let entry = &mut pages.entries[number];
        entry.dead.push(dead);
        if entry.is_done() {
            self.done(&mut pages, number);
        }
    }

    fn done(&self, pages: &mut Pages, number: usize) {
        pages.open.remove(&number);
        pages.open_doomed.remove(&number);
        self.changed.send_replace(());
    }

    /// Something is not as it must be.
    pub fn wrong(&self, number: Option<usize>, what: impl Into<String>) {
        self.pages().wrongs.push((number, what.into()));
    }

    /// From now on, publishes only messages that nobody objects to; or all kinds again.
    pub fn calm(&self, calm: bool) {
        self.pages().calm = calm;
    }

    /// Waits until every confirmed message up to `last` that must succeed has.
    pub async fn wait_until_done(&self, last: usize) {
        let mut changed = self.changed.subscribe();
        while self.pages().open.first().is_some_and(|first| *first <= last) {
            changed.changed().await.expect("the book is open");
        }
    }
}
