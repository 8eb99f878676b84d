//! How a copy takes a message's place: published, confirmed by the broker, and only then is the
//! message acked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::attempt::{Finished, Report};
use super::judge::seconds_since_1970;
use super::line::{self, Action, Failed};
use super::window::{Due, Held, Key};
use super::{Agent, Targets};
use crate::backoff::{self, Strategy};
use crate::broker::{Copy, Ended, NotSafe, Publisher, Session};
use crate::copies::{self, Failure};
use crate::outcome::Reply;
use crate::settlement::{CopyTo, Reason, Settlement, requeue_later};

/// How often a trouble that stays the same is said again.
const REMIND: Duration = Duration::from_mins(5);

/// The copies of one agent.
pub(super) struct Copying {
    publisher: Publisher,
    /// Whether the broker confirms none: it has an alarm, perhaps.
    pub(super) blocked: watch::Receiver<bool>,
    under_way: usize,
    /// By where the copies go: while one place takes none, another may be fine.
    trouble: HashMap<Arc<str>, Trouble>,
}

/// Copies to one place are not safe, and since when.
struct Trouble {
    reason: NotSafe,
    since: Instant,
    said: Instant,
}

/// A copy that is to take a message's place, and what the log says when it has.
pub(super) struct Leaving {
    to: CopyTo,
    copy: Copy,
    failed: Failed,
    /// How often it was published without being known to be safe.
    not_safe: u32,
}

impl Copying {
    pub(super) fn new(publisher: Publisher) -> Self {
        Self { blocked: publisher.blocked(), publisher, under_way: 0, trouble: HashMap::new() }
    }

    /// Copies that wait for their confirm.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }
}

impl Agent {
    /// Makes the copy that is to take a message's place, and publishes it.
    pub(super) fn copy(&mut self, key: Key, to: CopyTo, report: &Report, chance: f64) {
        let Some(held) = self.window.get(key) else { return };
        let name = self.targets.get(report.target).name();
        let mut failed = Failed::new(held, name, report);
        let failure = failure(&self.definition.name, held, &self.targets, &failed, report);
        let message = held.delivery.message();
        let source = &self.definition.source;
        let (to, copy) = match to {
            CopyTo::Retry(delay) => {
                let (queue, kind) = (&source.queue.name, source.copy_kind());
                (to, copies::retry(message, &failure, queue, kind, delay))
            }
            CopyTo::DeadLetter(reason) => {
                let reason = match report.reply {
                    Reply::Impossible(_) => Reason::Impossible,
                    Reply::Answered { .. } | Reply::NotSent(..) | Reply::Unanswered(..) => reason,
                };
                let copy = self.definition.dead_letter.as_ref().map(|target| {
                    copies::dead_letter(message, &failure, reason, target, source.copy_kind())
                });
                (CopyTo::DeadLetter(reason), copy)
            }
        };
        if let Some(copy) = copy {
            let by_name = copy.exchange.is_empty();
            let place = if by_name { &copy.routing_key } else { &copy.exchange };
            failed.to = Some(Arc::from(place.as_str()));
            held.leaving = Some(Box::new(Leaving { to, copy, failed, not_safe: 0 }));
            return self.publish(key);
        }
        // Its headers are too large to carry more: it has to go round itself.
        let decision = requeue_later(None, held.attempts, &self.policy, chance);
        self.keep(key, decision, Some(report), chance, Instant::now());
    }

    /// Publishes the copy of a message, once more or for the first time.
    pub(super) fn publish(&mut self, key: Key) {
        let Some(leaving) = self.window.get(key).and_then(|held| held.leaving.as_ref()) else {
            return;
        };
        let (copy, publisher) = (leaving.copy.clone(), self.copying.publisher.clone());
        let to = leaving.failed.to.clone().unwrap_or_default();
        self.copying.under_way += 1;
        self.jobs.push(Box::pin(async move {
            Finished::Copied(key, to, publisher.publish(copy).await)
        }));
    }

    /// Takes in how the publishing of a copy ended: the message is acked if its copy is safe,
    /// else it stays, and the copy is published again after a wait.
    pub(super) async fn copied(
        &mut self,
        session: &mut Session,
        key: Key,
        to: &Arc<str>,
        told: Result<(), NotSafe>,
        now: Instant,
    ) -> Result<(), Ended> {
        self.copy_finished(to, &told);
        let Some(held) = self.window.get(key) else { return Ok(()) };
        let Some(leaving) = held.leaving.as_deref_mut() else { return Ok(()) };
        if told.is_err() {
            leaving.not_safe = leaving.not_safe.saturating_add(1);
            let strategy = Strategy::ExponentialJitter;
            let wait = backoff::reconnect(strategy, leaving.not_safe, fastrand::f64());
            self.window.wait(key, now + wait, Due::Copy);
            return Ok(());
        }
        let settlement = Settlement::Replaced(leaving.to);
        let wait = match leaving.to {
            CopyTo::Retry(delay) => Some(delay),
            CopyTo::DeadLetter(_) => None,
        };
        if let Some(leaving) = held.leaving.take() {
            let action = Action::of(settlement);
            self.tally.failed(&leaving.failed);
            line::failed(&self.definition.name, held, &leaving.failed, action, wait);
        }
        self.settle_judged(session, key, settlement, now).await
    }

    /// Says once that copies to one place are not safe, and once that they are again.
    pub(super) fn copy_finished(&mut self, to: &Arc<str>, told: &Result<(), NotSafe>) {
        self.copying.under_way -= 1;
        let agent = &self.definition.name;
        let now = Instant::now();
        match (told, self.copying.trouble.remove(to)) {
            (Ok(()), None) => {}
            (Ok(()), Some(trouble)) => {
                let after_s = now.duration_since(trouble.since).as_secs();
                info!(agent = %agent, to = %to, after_s, "copies of messages are safe again");
            }
            (Err(reason), Some(trouble))
                if trouble.reason == *reason && now.duration_since(trouble.said) < REMIND =>
            {
                debug!(agent = %agent, to = %to, "copy not safe: {reason}");
                self.copying.trouble.insert(Arc::clone(to), trouble);
            }
            (Err(reason), trouble) => {
                let since = trouble.map_or(now, |trouble| trouble.since);
                error!(
                    agent = %agent,
                    to = %to,
                    for_s = now.duration_since(since).as_secs(),
                    "copy not safe: {reason}; its message is kept and not acked, trying on"
                );
                let trouble = Trouble { reason: reason.clone(), since, said: now };
                self.copying.trouble.insert(Arc::clone(to), trouble);
            }
        }
    }
}

/// What a copy tells of the failure that made it.
fn failure<'a>(
    agent: &'a str,
    held: &'a Held,
    targets: &'a Targets,
    failed: &'a Failed,
    report: &'a Report,
) -> Failure<'a> {
    let now = seconds_since_1970();
    let done = held.done.iter().enumerate().filter(|(_, done)| **done);
    Failure {
        agent,
        backend: &failed.backend,
        error: failed.reply.clone(),
        status: failed.status,
        excerpt: &report.excerpt,
        attempts: held.attempts.before.saturating_add(1),
        tries: held.attempts.tries(),
        first: held.first_failure.unwrap_or(now),
        last: now,
        traceparent: held.span.as_ref().and_then(|span| span.traceparent_for_copy()),
        done: done.map(|(target, _)| &**targets.get(target).name()).collect(),
    }
}

#[cfg(test)]
impl Leaving {
    pub(super) fn for_tests() -> Self {
        Self {
            to: CopyTo::DeadLetter(Reason::Refused),
            copy: Copy {
                exchange: String::new(),
                routing_key: String::new(),
                properties: crate::delivery::Properties::default(),
                body: bytes::Bytes::new(),
                queue: None,
            },
            failed: Failed {
                backend: "shop".into(),
                status: Some(422),
                reply: "status 422".to_owned(),
                attempt: 1,
                to: None,
            },
            not_safe: 0,
        }
    }
}
