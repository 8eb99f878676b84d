//! Whether a group of hosts can be reached, and until when it asked for quiet.
//!
//! A state and its transitions; time and chance come in as arguments. It is shared by every agent
//! that speaks to the group, so that all of them hold together and one probe serves all.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff;

/// Names one agent among those that share a group.
pub(super) type MemberId = u64;

/// Whoever probed last leaves the next probe to another for so long: its message may be the one
/// that this backend never answers.
const YIELD: Duration = Duration::from_millis(250);

/// The health of a group.
#[derive(Debug, Default)]
pub(super) struct Health {
    down: Option<Down>,
    quiet_until: Option<Instant>,
    /// When it last became reachable; what was sent before says nothing new.
    up_since: Option<Instant>,
}

/// It cannot be reached.
#[derive(Debug)]
struct Down {
    since: Instant,
    reason: Arc<str>,
    probes: u32,
    probe_at: Instant,
    /// Whose probe is under way.
    prober: Option<MemberId>,
    /// Whose probe was the last.
    last: Option<MemberId>,
}

impl Health {
    /// Whether there is nothing to heed at `now`; then nobody has to ask further.
    pub(super) fn is_fine(&self, now: Instant) -> bool {
        self.down.is_none() && self.quiet_until(now).is_none()
    }

    /// Until when nothing is to be sent, where that is after `now`.
    pub(super) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.quiet_until.filter(|until| *until > now)
    }

    /// Nothing is to be sent until `until`. The longest wish holds.
    pub(super) fn quiet(&mut self, until: Instant) {
        self.quiet_until = self.quiet_until.max(Some(until));
    }

    /// Why it cannot be reached, while that is so.
    pub(super) fn down(&self) -> Option<&Arc<str>> {
        self.down.as_ref().map(|down| &down.reason)
    }

    /// Nothing of a request that began at `started` could be sent. `true` where that is news.
    pub(super) fn unreachable(
        &mut self,
        started: Instant,
        now: Instant,
        reason: &str,
        chance: f64,
    ) -> bool {
        let is_old = self.up_since.is_some_and(|up| started < up);
        if self.down.is_some() || is_old {
            return false;
        }
        self.down = Some(Down {
            since: now,
            reason: Arc::from(reason),
            probes: 0,
            probe_at: now + backoff::probe(1, chance),
            prober: None,
            last: None,
        });
        true
    }

    /// Gives `member` the turn to probe, where it is time and nobody else has it.
    pub(super) fn take_turn(&mut self, member: MemberId, now: Instant) -> bool {
        match &mut self.down {
            Some(down) if down.prober.is_none() && down.turn_at(member) <= now => {
                down.prober = Some(member);
                true
            }
            Some(_) | None => false,
        }
    }

    /// When `member` may ask for the turn, if that comes by itself.
    pub(super) fn turn_at(&self, member: MemberId) -> Option<Instant> {
        let down = self.down.as_ref().filter(|down| down.prober.is_none())?;
        Some(down.turn_at(member))
    }

    /// The probe of `member` got no answer. `false` where it had not the turn.
    pub(super) fn probe_failed(&mut self, member: MemberId, now: Instant, chance: f64) -> bool {
        let Some(down) = self.down.as_mut().filter(|down| down.prober == Some(member)) else {
            return false;
        };
        down.prober = None;
        down.last = Some(member);
        down.probes = down.probes.saturating_add(1);
        down.probe_at = now + backoff::probe(down.probes.saturating_add(1), chance);
        true
    }

    /// The turn of `member` came to nothing. `false` where it had not the turn.
    pub(super) fn probe_lost(&mut self, member: MemberId) -> bool {
        let Some(down) = self.down.as_mut().filter(|down| down.prober == Some(member)) else {
            return false;
        };
        down.prober = None;
        true
    }

    /// The probe of `member` was answered: how long the group could not be reached. The answer to
    /// a request from before says nothing: a host that shuts down still finishes its last ones.
    pub(super) fn answered(&mut self, member: MemberId, now: Instant) -> Option<Duration> {
        let down = self.down.take_if(|down| down.prober == Some(member))?;
        self.up_since = Some(now);
        Some(now.saturating_duration_since(down.since))
    }
}

impl Down {
    fn turn_at(&self, member: MemberId) -> Instant {
        let yields = self.last == Some(member);
        self.probe_at + if yields { YIELD } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn down(now: Instant) -> Health {
        let mut health = Health::default();
        assert!(health.unreachable(now, now, "refused", 0.5));
        health
    }

    #[test]
    fn all_faults_of_an_outage_are_one_piece_of_news() {
        let now = Instant::now();
        let mut health = down(now);
        assert!(!health.unreachable(now, now, "refused", 0.5));
        assert_eq!(health.down().map(|reason| &**reason), Some("refused"));
        assert!(!health.is_fine(now));
    }

    #[test]
    fn one_member_at_a_time_has_the_turn() {
        let now = Instant::now();
        let mut health = down(now);
        assert!(!health.take_turn(1, now), "not before the backoff");
        assert_eq!(health.turn_at(1), Some(now + SECOND));
        assert!(health.take_turn(1, now + SECOND));
        assert!(!health.take_turn(2, now + SECOND));
        assert_eq!(health.turn_at(2), None, "it comes when the other is done");
    }

    #[test]
    fn a_lost_probe_gives_the_turn_back_at_once() {
        let now = Instant::now();
        let mut health = down(now);
        assert!(health.take_turn(1, now + SECOND));
        assert!(!health.probe_lost(2), "it is not the other's to lose");
        assert!(health.probe_lost(1));
        assert!(health.take_turn(2, now + SECOND));
    }

    #[test]
    fn failed_probes_come_at_growing_distances_and_go_to_another_first() {
        let mut now = Instant::now();
        let mut health = down(now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let at = health.turn_at(2).expect("nobody has the turn");
            waits.push((at - now).as_secs());
            now = at;
            assert!(!health.take_turn(1, now) || waits.len() == 1, "it probed last");
            health.probe_lost(1);
            assert!(health.take_turn(1, now + YIELD));
            assert!(health.probe_failed(1, now, 0.5));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn only_the_answer_to_a_probe_ends_it() {
        let now = Instant::now();
        let mut health = down(now);
        assert_eq!(health.answered(1, now), None);
        assert!(health.take_turn(1, now + SECOND));
        assert_eq!(health.answered(2, now + SECOND), None);
        assert_eq!(health.answered(1, now + SECOND * 3), Some(SECOND * 3));
        assert!(health.is_fine(now + SECOND * 3));
        assert!(!health.probe_lost(1), "the turn ended with the outage");
    }

    #[test]
    fn what_was_sent_before_it_recovered_is_no_new_outage() {
        let now = Instant::now();
        let mut health = down(now);
        assert!(health.take_turn(1, now + SECOND));
        health.answered(1, now + SECOND);
        assert!(!health.unreachable(now, now + SECOND * 9, "timed out", 0.5));
        assert!(health.unreachable(now + SECOND, now + SECOND * 9, "refused", 0.5));
    }

    #[test]
    fn the_longest_wish_for_quiet_holds() {
        let now = Instant::now();
        let mut health = Health::default();
        health.quiet(now + SECOND * 7);
        health.quiet(now + SECOND);
        assert_eq!(health.quiet_until(now + SECOND * 6), Some(now + SECOND * 7));
        assert!(health.is_fine(now + SECOND * 7));
    }
}
