//! Whether messages may be handed out: the agent's answer to a backend that is unwell.
//!
//! A state and its transitions; time and chance come in as arguments. While a hold lasts the
//! window is kept unsettled, so that the broker sends no more and counts nothing, and one
//! message at a time is tried as a probe. A long hold gives the window back and probes without
//! a message.

use std::time::Duration;

use tokio::time::Instant;

use super::window::Key;
use crate::backoff;
use crate::outcome::Outcome;

/// So many credential or endpoint faults in a row are the backend's, not the message's.
const UNWELL_IN_A_ROW: u32 = 3;

/// The state of one agent's backends.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Faults in a row of each backend, by its place in the agent file.
    in_a_row: Vec<u32>,
    gate: Gate,
    current: Option<Current>,
}

/// A backend's wish for quiet: nothing is sent until then.
#[derive(Debug, Default)]
struct Gate {
    until: Option<Instant>,
}

/// A hold that lasts.
#[derive(Debug)]
pub(super) struct Current {
    /// The backend that is unwell, by its place in the agent file.
    pub(super) target: usize,
    /// When it began.
    pub(super) since: Instant,
    /// When the window was kept from; later than `since` after a release.
    kept_since: Instant,
    probes: u32,
    probe_at: Instant,
    probing: Probing,
    released: bool,
}

/// The probe that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probing {
    No,
    /// With this message, or without one.
    With(Option<Key>),
}

/// What may be handed out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// As many as there are workers.
    Any,
    /// One message, to see whether the backend is well.
    Probe,
    /// A probe without a message, since none is held.
    BareProbe {
        /// The backend, by its place in the agent file.
        target: usize,
    },
    /// Nothing.
    Nothing,
}

/// What a reply changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The hold begins.
    Began,
    /// The hold ends, after so long.
    Ended(Duration),
}

impl Hold {
    /// What may be handed out at `now`.
    pub(super) fn permit(&self, now: Instant) -> Permit {
        if self.gate.until.is_some_and(|until| until > now) {
            return Permit::Nothing;
        }
        match &self.current {
            None => Permit::Any,
            Some(current) if current.probing != Probing::No || current.probe_at > now => {
                Permit::Nothing
            }
            Some(current) if current.released => Permit::BareProbe { target: current.target },
            Some(_) => Permit::Probe,
        }
    }

    /// When to ask for a permit again, if the answer changes by itself.
    pub(super) fn next_change(&self, keep_max: Duration, now: Instant) -> Option<Instant> {
        let probe = self.current.as_ref().filter(|current| current.probing == Probing::No);
        let release = self.current.as_ref().filter(|current| !current.released);
        [
            self.gate.until.filter(|until| *until > now),
            probe.map(|current| current.probe_at).filter(|at| *at > now),
            release.map(|current| current.kept_since + keep_max),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The hold that lasts, if one does.
    pub(super) fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// A probe was sent, with this message or without one.
    pub(super) fn probe_sent(&mut self, key: Option<Key>) {
        if let Some(current) = &mut self.current {
            current.probing = Probing::With(key);
        }
    }

    /// Nothing is sent to the backends until `until`.
    pub(super) fn gate(&mut self, until: Instant) {
        self.gate.until = self.gate.until.max(Some(until));
    }

    /// Whether the window has been kept for `keep_max` and is to be given back.
    pub(super) fn is_kept_too_long(&self, keep_max: Duration, now: Instant) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| !current.released && now >= current.kept_since + keep_max)
    }

    /// The window was given back; probes carry no message from here on.
    pub(super) fn released(&mut self) {
        if let Some(current) = &mut self.current {
            current.released = true;
        }
    }

    /// Messages come again: after a release, or on a new session.
    pub(super) fn kept(&mut self, now: Instant) {
        if let Some(current) = &mut self.current {
            current.released = false;
            current.kept_since = now;
            current.probe_at = now;
        }
    }

    /// Whether messages are not asked for, because the window was given back.
    pub(super) fn is_released(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.released)
    }

    /// Takes in how a try of `key` ended at `target`; `None` is a probe without a message.
    pub(super) fn observe(
        &mut self,
        key: Option<Key>,
        target: usize,
        outcome: Outcome,
        now: Instant,
        chance: f64,
    ) -> Change {
        let is_probe =
            self.current.as_ref().is_some_and(|current| current.probing == Probing::With(key));
        let unwell = matches!(outcome, Outcome::Unwell { .. });
        if self.in_a_row.len() <= target {
            self.in_a_row.resize(target + 1, 0);
        }
        let in_a_row = &mut self.in_a_row[target];
        *in_a_row = if unwell { in_a_row.saturating_add(1) } else { 0 };
        match (&mut self.current, unwell) {
            (Some(current), true) if is_probe => {
                current.probing = Probing::No;
                current.probes = current.probes.saturating_add(1);
                current.probe_at = now + backoff::probe(current.probes.saturating_add(1), chance);
                current.target = target;
                Change::None
            }
            (Some(current), false) if is_probe && target == current.target => {
                let lasted = now.saturating_duration_since(current.since);
                self.current = None;
                Change::Ended(lasted)
            }
            (None, true) => self.begin(target, outcome, now, chance),
            (Some(_), _) | (None, false) => Change::None,
        }
    }

    /// A probe came to nothing: its session ended, or its message could not be sent anywhere.
    pub(super) fn probe_lost(&mut self, key: Option<Key>) {
        if let Some(current) = &mut self.current
            && current.probing == Probing::With(key)
        {
            current.probing = Probing::No;
        }
    }

    fn begin(&mut self, target: usize, outcome: Outcome, now: Instant, chance: f64) -> Change {
        let certain = matches!(outcome, Outcome::Unwell { certain: true });
        if !certain && self.in_a_row[target] < UNWELL_IN_A_ROW {
            return Change::None;
        }
        self.current = Some(Current {
            target,
            since: now,
            kept_since: now,
            probes: 0,
            probe_at: now + backoff::probe(1, chance),
            probing: Probing::No,
            released: false,
        });
        Change::Began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURE: Outcome = Outcome::Unwell { certain: true };
    const MAYBE: Outcome = Outcome::Unwell { certain: false };
    const KEEP: Duration = Duration::from_mins(5);

    fn key(number: u64) -> Key {
        Key::numbered(number)
    }

    #[test]
    fn a_refused_connection_holds_at_once_and_probes_with_one_message_at_a_time() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        assert_eq!(hold.permit(now), Permit::Any);
        assert_eq!(hold.observe(Some(key(1)), 0, SURE, now, 0.5), Change::Began);
        assert_eq!(hold.permit(now), Permit::Nothing);
        let later = now + Duration::from_secs(2);
        assert_eq!(hold.permit(later), Permit::Probe);
        hold.probe_sent(Some(key(2)));
        assert_eq!(hold.permit(later), Permit::Nothing);
        assert_eq!(hold.observe(Some(key(2)), 0, SURE, later, 0.5), Change::None);
        assert_eq!(hold.permit(later + Duration::from_secs(1)), Permit::Nothing);
        let well = later + Duration::from_secs(3);
        assert_eq!(hold.permit(well), Permit::Probe);
        hold.probe_sent(Some(key(2)));
        let ended = hold.observe(Some(key(2)), 0, Outcome::Delivered, well, 0.5);
        assert_eq!(ended, Change::Ended(Duration::from_secs(5)));
        assert_eq!(hold.permit(well), Permit::Any);
    }

    #[test]
    fn credential_faults_hold_only_after_a_few_in_a_row() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        assert_eq!(hold.observe(Some(key(1)), 0, MAYBE, now, 0.5), Change::None);
        assert_eq!(hold.observe(Some(key(2)), 0, MAYBE, now, 0.5), Change::None);
        assert_eq!(hold.observe(Some(key(3)), 0, Outcome::Delivered, now, 0.5), Change::None);
        assert_eq!(hold.observe(Some(key(4)), 0, MAYBE, now, 0.5), Change::None);
        assert_eq!(hold.observe(Some(key(5)), 0, MAYBE, now, 0.5), Change::None);
        assert_eq!(hold.observe(Some(key(6)), 0, MAYBE, now, 0.5), Change::Began);
    }

    #[test]
    fn the_success_of_one_backend_does_not_excuse_another() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        for number in 1..=2 {
            assert_eq!(hold.observe(Some(key(number)), 1, MAYBE, now, 0.5), Change::None);
            assert_eq!(
                hold.observe(Some(key(number)), 0, Outcome::Delivered, now, 0.5),
                Change::None
            );
        }
        assert_eq!(hold.observe(Some(key(3)), 1, MAYBE, now, 0.5), Change::Began);
    }

    #[test]
    fn a_reply_from_before_the_hold_does_not_end_it() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.observe(Some(key(1)), 0, SURE, now, 0.5);
        assert_eq!(hold.observe(Some(key(2)), 0, Outcome::Delivered, now, 0.5), Change::None);
        assert!(hold.current().is_some());
    }

    #[test]
    fn a_long_hold_gives_the_window_back_and_probes_without_a_message() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.observe(Some(key(1)), 1, SURE, now, 0.5);
        assert!(!hold.is_kept_too_long(KEEP, now + KEEP - Duration::from_millis(1)));
        assert!(hold.is_kept_too_long(KEEP, now + KEEP));
        hold.released();
        assert!(!hold.is_kept_too_long(KEEP, now + KEEP));
        assert_eq!(hold.permit(now + KEEP), Permit::BareProbe { target: 1 });
        hold.probe_sent(None);
        let ended = hold.observe(None, 1, Outcome::Delivered, now + KEEP, 0.5);
        assert_eq!(ended, Change::Ended(KEEP));
    }

    #[test]
    fn a_probe_whose_session_ended_is_sent_again() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.observe(Some(key(1)), 0, SURE, now, 0.5);
        hold.probe_sent(Some(key(2)));
        hold.probe_lost(Some(key(2)));
        assert_eq!(hold.permit(now + Duration::from_secs(2)), Permit::Probe);
    }

    #[test]
    fn a_gate_stops_everything_until_it_opens() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        let until = now + Duration::from_secs(7);
        hold.gate(until);
        hold.gate(now + Duration::from_secs(1));
        assert_eq!(hold.permit(now), Permit::Nothing);
        assert_eq!(hold.next_change(KEEP, now), Some(until));
        assert_eq!(hold.permit(until), Permit::Any);
    }
}
