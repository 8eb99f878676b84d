//! The groups of hosts that agents share, across all threads: what one learns holds for all.
//!
//! While a group is well and asks for no quiet, asking costs one atomic load. The lock is taken
//! only while something is wrong, or changes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::clients::{self, Key as ClientKey};
use super::health::{Health, MemberId};
use crate::config::definition::BackendDefinition;

/// All groups of the daemon. A group lives as long as an agent uses it.
#[derive(Debug, Default)]
pub struct Groups {
    known: Mutex<Vec<Weak<Group>>>,
}

/// What makes backends share their fate: the same hosts, in any order, spoken to in the same way.
#[derive(Debug, PartialEq)]
struct Key {
    origins: Vec<String>,
    client: ClientKey,
}

#[derive(Debug)]
struct Group {
    key: Key,
    /// Whether the lock has to be taken at all.
    is_troubled: AtomicBool,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    health: Health,
    members: Vec<(MemberId, Arc<Seat>)>,
    next_member: MemberId,
}

/// What a group knows of one agent.
#[derive(Debug)]
struct Seat {
    bell: Arc<Notify>,
    /// The most messages that it held at a time since the outage began.
    waited: AtomicUsize,
}

/// One agent's place in a group; dropping it leaves the group, and gives back a turn.
#[derive(Debug)]
pub struct Member {
    group: Arc<Group>,
    id: MemberId,
    seat: Arc<Seat>,
}

/// The turn to probe a group that cannot be reached; dropping it gives the turn to another.
#[derive(Debug)]
pub struct Turn {
    group: Arc<Group>,
    member: MemberId,
}

/// A change that is to be told once, by whoever caused it.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The group cannot be reached.
    Down {
        /// The agents that share it.
        agents: usize,
    },
    /// It can be reached again.
    Up {
        /// For how long it could not.
        after: Duration,
        /// The messages that waited, over all agents.
        waited: usize,
        /// The agents that share it.
        agents: usize,
    },
}

impl Groups {
    /// Joins the group of `definition`'s hosts; `bell` rings when something changes there.
    #[must_use]
    pub fn join(&self, definition: &BackendDefinition, bell: &Arc<Notify>) -> Member {
        let key = Key::of(definition);
        let mut known = lock(&self.known);
        known.retain(|group| group.strong_count() > 0);
        let found = known.iter().filter_map(Weak::upgrade).find(|group| group.key == key);
        let group = found.unwrap_or_else(|| {
            let group = Arc::new(Group::new(key));
            known.push(Arc::downgrade(&group));
            group
        });
        drop(known);
        Member::of(group, bell)
    }
}

impl Key {
    fn of(definition: &BackendDefinition) -> Self {
        let origins = definition.urls.iter().map(|url| url.origin().ascii_serialization());
        let mut origins: Vec<_> = origins.collect();
        origins.sort();
        origins.dedup();
        Self { origins, client: clients::key(definition) }
    }
}

impl Group {
    fn new(key: Key) -> Self {
        Self { key, is_troubled: AtomicBool::new(false), shared: Mutex::default() }
    }

    /// The state, where there is anything to heed. Cheap where there is not.
    fn trouble(&self, now: Instant) -> Option<MutexGuard<'_, Shared>> {
        if !self.is_troubled.load(Ordering::Acquire) {
            return None;
        }
        let shared = lock(&self.shared);
        if shared.health.is_fine(now) {
            self.is_troubled.store(false, Ordering::Release);
            return None;
        }
        Some(shared)
    }

    /// Changes the state; the lock is held while the flag is set, so that neither is ever old.
    fn change<T>(&self, now: Instant, change: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = lock(&self.shared);
        let changed = change(&mut shared);
        self.is_troubled.store(!shared.health.is_fine(now), Ordering::Release);
        changed
    }
}

impl Member {
    fn of(group: Arc<Group>, bell: &Arc<Notify>) -> Self {
        let seat = Arc::new(Seat { bell: Arc::clone(bell), waited: AtomicUsize::new(0) });
        let mut shared = lock(&group.shared);
        let id = shared.next_member;
        shared.next_member += 1;
        shared.members.push((id, Arc::clone(&seat)));
        drop(shared);
        Self { group, id, seat }
    }

    /// Whether both belong to the same group.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.group, &other.group)
    }

    /// Until when the group wants quiet, where that is after `now`.
    #[must_use]
    pub fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.group.trouble(now)?.health.quiet_until(now)
    }

    /// The group asked for quiet until `until`.
    pub fn quiet(&self, until: Instant, now: Instant) {
        self.group.change(now, |shared| shared.health.quiet(until));
    }

    /// Why the group cannot be reached, while that is so.
    #[must_use]
    pub fn down(&self, now: Instant) -> Option<Arc<str>> {
        self.group.trouble(now)?.health.down().map(Arc::clone)
    }

    /// When to ask for the turn again, where that is known.
    #[must_use]
    pub fn turn_at(&self, now: Instant) -> Option<Instant> {
        self.group.trouble(now)?.health.turn_at(self.id)
    }

    /// The turn to probe the group, where it is time and nobody else has it.
    #[must_use]
    pub fn take_turn(&self, now: Instant) -> Option<Turn> {
        let taken = self.group.trouble(now)?.health.take_turn(self.id, now);
        taken.then(|| Turn { group: Arc::clone(&self.group), member: self.id })
    }

    /// This agent holds so many messages while the group cannot be reached.
    pub fn waits(&self, messages: usize) {
        self.seat.waited.fetch_max(messages, Ordering::Relaxed);
    }

    /// Nothing of a request that began at `started` could be sent, for this reason.
    #[must_use]
    pub fn unreachable(
        &self,
        started: Instant,
        now: Instant,
        reason: &str,
        chance: f64,
    ) -> Option<News> {
        self.group.change(now, |shared| {
            if shared.health.probe_failed(self.id, now, chance) {
                shared.ring();
                return None;
            }
            if !shared.health.unreachable(started, now, reason, chance) {
                return None;
            }
            for (_, seat) in &shared.members {
                seat.waited.store(0, Ordering::Relaxed);
            }
            shared.ring();
            Some(News::Down { agents: shared.members.len() })
        })
    }

    /// A request arrived and nothing came back: no proof that a group is well that was not.
    pub fn silent(&self, now: Instant, chance: f64) {
        if let Some(mut shared) = self.group.trouble(now)
            && shared.health.probe_failed(self.id, now, chance)
        {
            shared.ring();
        }
    }

    /// The group answered, whatever it said.
    #[must_use]
    pub fn answered(&self, now: Instant) -> Option<News> {
        // Nothing to learn for one that was well.
        drop(self.group.trouble(now)?);
        self.group.change(now, |shared| {
            let after = shared.health.answered(self.id, now)?;
            shared.ring();
            let seats = shared.members.iter();
            let waited = seats.map(|(_, seat)| seat.waited.load(Ordering::Relaxed)).sum();
            Some(News::Up { after, waited, agents: shared.members.len() })
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut shared = lock(&self.group.shared);
        shared.members.retain(|(id, _)| *id != self.id);
        if shared.health.probe_lost(self.id) {
            shared.ring();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut shared = lock(&self.group.shared);
        if shared.health.probe_lost(self.member) {
            shared.ring();
        }
    }
}

impl Shared {
    fn ring(&self) {
        for (_, seat) in &self.members {
            // A bell that rings while nobody listens is heard by the next who does.
            seat.bell.notify_one();
        }
    }
}

/// No panic leaves these half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config::definition::tests::definition;
    use crate::tls::TlsSettings;

    const SECOND: Duration = Duration::from_secs(1);

    fn backend(urls: &[&str]) -> BackendDefinition {
        let mut backend = definition("test").backends.remove(0);
        backend.urls = urls.iter().map(|url| url.parse().unwrap()).collect();
        backend
    }

    fn join(groups: &Groups, urls: &[&str]) -> (Member, Arc<Notify>) {
        let bell = Arc::new(Notify::new());
        (groups.join(&backend(urls), &bell), bell)
    }

    fn has_rung(bell: &Notify) -> bool {
        bell.notified().now_or_never().is_some()
    }

    #[test]
    fn backends_of_the_same_hosts_share_a_group_whatever_path_and_order() {
        let groups = Groups::default();
        let (one, _) = join(&groups, &["http://a.internal/x", "http://b.internal/x"]);
        let (two, _) = join(&groups, &["http://b.internal/y?z=1", "http://a.internal:80/y"]);
        assert!(one.is_beside(&two));
        for urls in [
            &["http://a.internal/"][..],
            &["http://a.internal/", "http://b.internal:81/"],
            &["https://a.internal/", "https://b.internal/"],
        ] {
            assert!(!one.is_beside(&join(&groups, urls).0), "{urls:?}");
        }
        let mut other = backend(&["https://c.internal/"]);
        let plain = groups.join(&other, &Arc::default());
        other.tls = TlsSettings { server_name: Some("d".to_owned()), ..TlsSettings::default() };
        assert!(!plain.is_beside(&groups.join(&other, &Arc::default())));
    }

    #[test]
    fn a_group_ends_with_its_last_member() {
        let groups = Groups::default();
        let (one, _) = join(&groups, &["http://a.internal/"]);
        let now = Instant::now();
        one.quiet(now + SECOND, now);
        drop(one);
        let (two, _) = join(&groups, &["http://a.internal/"]);
        assert_eq!(two.quiet_until(now), None);
        assert_eq!(lock(&groups.known).len(), 1);
    }

    #[test]
    fn an_outage_is_told_once_at_each_end_and_rings_every_bell() {
        let groups = Groups::default();
        let (one, bell_one) = join(&groups, &["http://a.internal/"]);
        let (two, bell_two) = join(&groups, &["http://a.internal/"]);
        let now = Instant::now();
        let began = one.unreachable(now, now, "refused", 0.5);
        assert_eq!(began, Some(News::Down { agents: 2 }));
        assert_eq!(two.unreachable(now, now, "refused", 0.5), None);
        assert!(has_rung(&bell_one) && has_rung(&bell_two));
        assert_eq!(two.down(now).as_deref(), Some("refused"));
        for (member, messages) in [(&one, 5), (&two, 7), (&two, 2)] {
            member.waits(messages);
        }
        let later = now + SECOND;
        let turn = two.take_turn(later).expect("it is time");
        assert!(one.take_turn(later).is_none());
        assert_eq!(one.answered(later), None, "from before");
        let ended = two.answered(later);
        assert_eq!(ended, Some(News::Up { after: SECOND, waited: 12, agents: 2 }));
        assert!(has_rung(&bell_one) && has_rung(&bell_two));
        drop(turn);
        assert_eq!((one.down(later), two.answered(later)), (None, None));
    }

    #[test]
    fn a_turn_that_is_dropped_and_a_member_that_leaves_let_another_probe() {
        let groups = Groups::default();
        let (one, _) = join(&groups, &["http://a.internal/"]);
        let (two, bell) = join(&groups, &["http://a.internal/"]);
        let now = Instant::now();
        assert!(one.unreachable(now, now, "refused", 0.5).is_some());
        assert!(has_rung(&bell));
        let later = now + SECOND;
        drop(one.take_turn(later).expect("it is time"));
        assert!(has_rung(&bell));
        drop(two.take_turn(later).expect("it was given back"));
        let turn = one.take_turn(later).expect("it was given back");
        assert_eq!(two.turn_at(later), None);
        drop(one);
        assert!(two.take_turn(later).is_some());
        drop(turn);
    }

    #[test]
    fn silence_ends_a_probe_and_not_the_outage() {
        let groups = Groups::default();
        let (one, _) = join(&groups, &["http://a.internal/"]);
        let now = Instant::now();
        one.silent(now, 0.5);
        assert_eq!(one.down(now), None, "silence alone is no outage of all");
        assert!(one.unreachable(now, now, "refused", 0.5).is_some());
        let later = now + SECOND;
        let _turn = one.take_turn(later).expect("it is time");
        one.silent(later, 0.5);
        assert!(one.down(later).is_some());
        assert!(one.turn_at(later) > Some(later));
    }

    #[test]
    fn a_wish_for_quiet_holds_for_all_who_share_the_group() {
        let groups = Groups::default();
        let (one, _) = join(&groups, &["http://a.internal/"]);
        let (two, _) = join(&groups, &["http://a.internal/"]);
        let now = Instant::now();
        assert_eq!(two.quiet_until(now), None);
        one.quiet(now + SECOND, now);
        assert_eq!(two.quiet_until(now), Some(now + SECOND));
        assert_eq!(two.quiet_until(now + SECOND), None);
        assert!(!two.group.is_troubled.load(Ordering::Acquire), "asking is cheap again");
    }
}
