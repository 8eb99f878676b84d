//! What has to be true of every message, whatever happened.
//!
//! - **Conservation**: each confirmed message has a success from every required backend, or is a
//!   dead letter with a reason.
//! - **Integrity**: what a backend and a dead-letter queue get is what was published. (Checked
//!   where it comes: `letter`.)
//! - **No victims**: dead letters are only messages that a backend refuses or fails for ever, each
//!   with the reason and status that fit.
//! - **Bounded duplicates**: a success beyond a backend's first for a message has a cause that
//!   excuses it, and an excuse covers no more than can have been in flight.
//! - **No hot loop**: between two tries of a message at a backend lies its backoff.
//! - **Liveness**: all of it within a bound after each fault. (Checked by waiting: `run`.)
//!
//! *Excuses.* A *session* that began, or a fault at the broker or on the way to it, can hand out
//! again, or leave twice, what was unsettled just then: at most one window. While a backend's
//! *network* is harmed, or its connections are torn down, a reply may have been lost: each success
//! of that time is in doubt, and repeated rightly.

use std::collections::{BTreeMap, HashMap};

use super::book::{Answer, Attempt, Entry, Pages};
use super::clock::{Micros, show};
use super::daemon::Counts;
use super::fault::{Kind, Mood, Place};
use super::letter::Fate;
use super::world::{ATTEMPTS, IN_PLACE, WINDOW_MAX};

/// The smallest backoff: 250 ms less a fifth, for a quick try and for a delay alike.
const GAP_MIN: Micros = 200_000;

/// How late we may see what happened, and how early the daemon's clock may tell of it.
const SLACK: Micros = 300_000;

/// How long after a harm to a backend's network a reply may still come too late.
const AFTERMATH: Micros = 2_000_000;

/// The most tries in any one second of a message that may be there more than once.
const TRIES_A_SECOND_MAX: usize = 12;

/// When a fault was.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub kind: Kind,
    /// The backend that it is about.
    pub site: Option<usize>,
    pub from: Micros,
    pub to: Option<Micros>,
}

/// What happened, beside what the book tells.
#[derive(Default)]
pub struct Record {
    windows: Vec<Window>,
    /// Beginnings of sessions, by agent.
    sessions: HashMap<String, Vec<Micros>>,
    /// Of the daemon's present process, by agent: the sums, and what the last summary held.
    counts: BTreeMap<String, Counts>,
}

impl Record {
    /// Gives its number.
    pub fn fault_began(&mut self, window: Window) -> usize {
        self.windows.push(window);
        self.windows.len() - 1
    }

    pub fn fault_ended(&mut self, number: usize, at: Micros) {
        self.windows[number].to = Some(at);
    }

    pub fn process_began(&mut self) {
        self.counts.clear();
    }

    pub fn session_began(&mut self, agent: &str, at: Micros) {
        self.sessions.entry(agent.to_owned()).or_default().push(at);
    }

    pub fn summed_up(&mut self, agent: &str, counts: Counts) {
        let sum = self.counts.entry(agent.to_owned()).or_default();
        sum.received += counts.received;
        sum.gone += counts.gone;
        sum.held = counts.held;
    }

    /// What is wrong with the counts of a process that ended in good order.
    pub fn process_ended(&mut self) -> Vec<String> {
        let counts = std::mem::take(&mut self.counts);
        let is_wrong = |counts: &Counts| counts.received != counts.gone || counts.held != 0;
        counts
            .into_iter()
            .filter(|(_, counts)| is_wrong(counts))
            .map(|(agent, counts)| format!("the counts of {agent} do not add up: {counts:?}"))
            .collect()
    }

    /// The faults and sessions, in words.
    pub fn told(&self) -> Vec<String> {
        let fault = |Window { kind, site, from, to }: &Window| {
            let to = to.map_or("now".to_owned(), show);
            let site = site.map(|site| format!(" (backend {site})")).unwrap_or_default();
            format!("{} to {to}: {}{site}", show(*from), kind.name())
        };
        let mut told: Vec<_> = self.windows.iter().map(fault).collect();
        for (agent, sessions) in &self.sessions {
            told.extend(sessions.iter().map(|at| format!("{}: {agent} consumes", show(*at))));
        }
        told.sort();
        told
    }

    /// Whether between the two moments something happened that can double a message.
    fn may_double(&self, agent: &str, from: Micros, to: Micros) -> bool {
        let sessions = self.sessions.get(agent).map(Vec::as_slice).unwrap_or_default();
        let first = sessions.partition_point(|at| *at < from - SLACK);
        sessions.get(first).is_some_and(|at| *at <= to) || self.at_broker(from, to)
    }

    fn at_broker(&self, from: Micros, to: Micros) -> bool {
        self.broker_windows().any(|window| window.touches(from, to))
    }

    fn broker_windows(&self) -> impl Iterator<Item = &Window> {
        let places = [Place::Broker, Place::BrokerLeg];
        self.windows.iter().filter(move |window| places.contains(&window.kind.place()))
    }

    /// Whether the daemon may not have got what a backend said then.
    fn is_in_doubt(&self, site: usize, at: Micros) -> bool {
        self.windows.iter().any(|window| {
            let tears = window.kind.place() == Place::BackendLeg
                || window.kind == Kind::Backend(Mood::Refusing);
            tears && window.site == Some(site) && window.touches(at - AFTERMATH, at + SLACK)
        })
    }

    /// The most messages that an agent can rightly have told a backend twice for want of an ack.
    fn duplicates_max(&self, agent: &str) -> usize {
        let sessions = self.sessions.get(agent).map_or(0, Vec::len);
        (sessions + self.broker_windows().count()) * usize::from(WINDOW_MAX)
    }
}

impl Window {
    fn touches(&self, from: Micros, to: Micros) -> bool {
        self.from <= to && self.to.is_none_or(|end| end >= from)
    }
}

/// What came out, in figures and in words.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    pub published: usize,
    pub confirmed: usize,
    pub requests: u64,
    pub probes: u64,
    pub successes: usize,
    /// Excused by a reply that may have been lost.
    pub duplicates_in_doubt: usize,
    /// Excused by a session or the broker.
    pub duplicates_of_sessions: usize,
    pub duplicates_max: usize,
    pub dead_letters: BTreeMap<String, usize>,
    pub doubled_dead_letters: usize,
    pub lost: usize,
    /// Between two tries that nothing excuses, in microseconds.
    pub gap_min: Option<Micros>,
    pub wrongs: Vec<(Option<usize>, String)>,
}

/// Reads the book. Once the run `is_over`, what is not done is lost.
pub fn examine(pages: &Pages, record: &Record, is_over: bool) -> Findings {
    let mut findings = Findings {
        published: pages.entries.len(),
        requests: pages.requests,
        probes: pages.probes,
        wrongs: pages.wrongs.clone(),
        ..Findings::default()
    };
    let mut of_sessions: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (number, entry) in pages.entries.iter().enumerate() {
        let mut case = Case { number, entry, record, findings: &mut findings };
        case.conservation(is_over);
        case.dead_letters();
        for site in entry.plan.agent.sites() {
            let duplicates = case.duplicates(*site);
            *of_sessions.entry((entry.plan.agent.name(), *site)).or_default() += duplicates;
            case.gaps(*site);
        }
    }
    for ((agent, site), duplicates) in of_sessions {
        let max = record.duplicates_max(agent);
        findings.duplicates_max += max;
        if duplicates > max {
            let what = format!("{duplicates} duplicates at backend {site}, at most {max} are due");
            findings.wrongs.push((None, what));
        }
    }
    findings
}

/// One message before the court.
struct Case<'a> {
    number: usize,
    entry: &'a Entry,
    record: &'a Record,
    findings: &'a mut Findings,
}

impl Case<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.findings.wrongs.push((Some(self.number), what.into()));
    }

    fn conservation(&mut self, is_over: bool) {
        if self.entry.confirmed.is_none() {
            return;
        }
        self.findings.confirmed += 1;
        if is_over && !self.entry.is_done() {
            self.findings.lost += 1;
            self.wrong("LOST: it was confirmed, and is nowhere");
        }
    }

    fn dead_letters(&mut self) {
        let entry = self.entry;
        for (index, dead) in entry.dead.iter().enumerate() {
            *self.findings.dead_letters.entry(dead.reason.clone()).or_default() += 1;
            self.findings.doubled_dead_letters += usize::from(index > 0);
            let fits = match entry.plan.fate {
                Fate::Refused => dead.reason == "refused" && dead.status == Some(422),
                // The last try may have met with a fault.
                Fate::Poison => dead.reason == "attempts",
                Fate::Fine | Fate::Later(_) => false,
            };
            if !fits {
                let fate = entry.plan.fate;
                self.wrong(format!("dead-lettered ({dead:?}), while its fate is {fate:?}"));
            }
        }
        let may_double = self.may_double_since_published(Micros::MAX);
        if entry.dead.len() > 1 && !may_double {
            self.wrong("dead-lettered twice without a cause");
        }
        let failures =
            entry.attempts.iter().filter(|attempt| matches!(attempt.answer, Answer::Failed(_)));
        // Of what is there twice there are twice as many; and what is tried while a backend is
        // taken for unwell does not count, which may be once a second.
        let (first, last) = (entry.attempts.first(), entry.attempts.last());
        let life = first.zip(last).map_or(0, |(first, last)| last.came - first.came);
        let probes = usize::try_from(life / 1_000_000).unwrap_or_default();
        let most = ATTEMPTS * (1 + IN_PLACE) * entry.plan.agent.sites().len() + probes;
        if failures.count() > most && !may_double {
            self.wrong("tried more often than its attempts allow");
        }
    }

    fn may_double_since_published(&self, until: Micros) -> bool {
        self.record.may_double(self.entry.plan.agent.name(), self.entry.published, until)
    }

    /// Counts successes beyond the first; gives those that a session has to answer for.
    fn duplicates(&mut self, site: usize) -> usize {
        let successes: Vec<&Attempt> = self.entry.successes(site).collect();
        self.findings.successes += successes.len();
        let mut of_sessions = 0;
        for pair in successes.windows(2) {
            let [first, second] = pair else { continue };
            if self.record.is_in_doubt(site, first.answered) {
                self.findings.duplicates_in_doubt += 1;
            } else if self.may_double_since_published(second.came) {
                of_sessions += 1;
            } else {
                self.wrong(format!("told backend {site} twice without a cause"));
            }
        }
        self.findings.duplicates_of_sessions += of_sessions;
        of_sessions
    }

    fn gaps(&mut self, site: usize) {
        let mut tries: Vec<&Attempt> = self.entry.at(site).collect();
        tries.sort_by_key(|attempt| attempt.came);
        for pair in tries.windows(2) {
            let [one, next] = pair else { continue };
            // Once the backend is well again, all that waited for it is tried: no backoff of a
            // message's own. Only the count below tells a loop there.
            if one.answer == Answer::Unwell || self.may_double_since_published(next.came) {
                continue;
            }
            // What was on its way through a harmed network came late, or all at once.
            if self.record.is_in_doubt(site, one.answered) {
                continue;
            }
            let gap = next.came - one.answered;
            let least = self.findings.gap_min.get_or_insert(gap);
            *least = gap.min(*least);
            if gap < GAP_MIN {
                let gap = gap / 1000;
                self.wrong(format!("hot loop: tried again at backend {site} after {gap} ms"));
            }
        }
        let in_a_second =
            |first: &&Attempt| tries.iter().filter(|try_| first.is_within_a_second(try_)).count();
        let most = tries.iter().map(in_a_second).max().unwrap_or_default();
        if most > TRIES_A_SECOND_MAX {
            self.wrong(format!("hot loop: {most} tries in a second at backend {site}"));
        }
    }
}

impl Attempt {
    /// Whether `other` came in the second that begins with this one.
    fn is_within_a_second(&self, other: &Attempt) -> bool {
        (self.came..self.came + 1_000_000).contains(&other.came)
    }
}
