//! Whether what one backend answers one agent is an outage: faults in a row, and of how many messages.
//!
//! Pure. One message that always fails must never look like an outage, and an outage that looks
//! like many failing messages must not spend their attempts.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::time::Instant;

use crate::delivery::Message;

/// So many credential or endpoint faults in a row are the backend's, not the message's.
const CREDENTIAL_IN_A_ROW: u32 = 3;

/// So many faults in a row …
const FAULTS_IN_A_ROW: u32 = 5;

/// … of so many different messages are the backend's.
const MESSAGES_IN_A_ROW: usize = 3;

/// The octets of a body that tell a message without an id from others.
const IDENTITY_BYTES_MAX: usize = 1024;

/// What a reply says of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, be it with a refusal of this message.
    Well,
    /// It turned us away: credential or endpoint.
    Credential,
    /// It failed, or asked to be left alone.
    Fault {
        /// Of which message; `None` is a probe without one.
        message: Option<u64>,
        /// It named a time, as a limit of its own would.
        asked: bool,
    },
    /// Nothing could be sent; or a probe without a message met silence.
    Unreachable,
}

/// The faults in a row of one backend.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    credential: u32,
    faults: u32,
    messages: Vec<u64>,
    asked_at: Option<Instant>,
    /// When it was last found well after a hold.
    well_at: Option<Instant>,
}

impl Breaker {
    /// Takes in a reply to a request that began at `started`; `true` where it makes an outage of
    /// them all. What began before the last outage ended is no part of a new one.
    pub(super) fn observe(&mut self, sign: Sign, started: Instant, now: Instant) -> bool {
        let is_old = |since: Option<Instant>| since.is_some_and(|since| started < since);
        match sign {
            Sign::Well => {
                self.credential = 0;
                self.faults = 0;
                self.messages.clear();
            }
            Sign::Credential => self.credential = self.credential.saturating_add(1),
            Sign::Fault { .. } if is_old(self.well_at) => {}
            // Requests that were under way together and are told the same time are one wish.
            Sign::Fault { asked: true, .. } if is_old(self.asked_at) => {}
            Sign::Fault { message, asked } => {
                self.credential = 0;
                self.faults = self.faults.saturating_add(1);
                if asked {
                    self.asked_at = Some(now);
                }
                if let Some(message) = message
                    && self.messages.len() < MESSAGES_IN_A_ROW
                    && !self.messages.contains(&message)
                {
                    self.messages.push(message);
                }
            }
            // Whether hosts can be reached is no affair of this agent alone.
            Sign::Unreachable => {}
        }
        self.credential >= CREDENTIAL_IN_A_ROW
            || (self.faults >= FAULTS_IN_A_ROW && self.messages.len() >= MESSAGES_IN_A_ROW)
    }

    /// How many faults came in a row.
    pub(super) fn faults(&self) -> u32 {
        self.faults
    }

    /// A hold ended: the row begins anew.
    pub(super) fn close(&mut self, now: Instant) {
        *self = Self { well_at: Some(now), ..Self::default() };
    }
}

/// Tells one message from others, also when it comes again as a copy.
pub(super) fn identity(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(id) = message.properties.message_id().filter(|id| !id.is_empty()) {
        id.hash(&mut hasher);
    } else {
        message.routing_key.hash(&mut hasher);
        message.body.len().hash(&mut hasher);
        message.body[..message.body.len().min(IDENTITY_BYTES_MAX)].hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::broker::properties::PropertiesBuilder;

    fn fault(message: u64) -> Sign {
        Sign::Fault { message: Some(message), asked: false }
    }

    fn opens(signs: &[Sign]) -> bool {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        signs.iter().fold(false, |_, sign| breaker.observe(*sign, now, now))
    }

    #[test]
    fn five_faults_of_three_messages_open_it_and_nothing_less() {
        assert!(opens(&[1, 2, 3, 1, 2].map(fault)));
        assert!(!opens(&[1, 2, 3, 1].map(fault)));
        assert!(!opens(&[1, 2, 1, 2, 1, 2, 1, 2, 1, 2].map(fault)));
    }

    #[test]
    fn one_message_that_always_fails_never_opens_it() {
        assert!(!opens(&[fault(1); 200]));
    }

    #[test]
    fn a_success_between_begins_the_row_anew() {
        let mut signs = [1, 2, 3, 4].map(fault).to_vec();
        signs.push(Sign::Well);
        signs.extend([5, 6, 7, 8].map(fault));
        assert!(!opens(&signs));
        signs.push(fault(9));
        assert!(opens(&signs));
    }

    #[test]
    fn three_credential_faults_open_it_even_of_one_message() {
        let credential = Sign::Credential;
        assert!(opens(&[credential; 3]));
        assert!(!opens(&[credential, credential, Sign::Well, credential, credential]));
        assert!(!opens(&[credential, credential, fault(1), credential, credential]));
    }

    #[test]
    fn hosts_that_cannot_be_reached_are_no_fault_of_an_answer() {
        assert!(!opens(&[Sign::Unreachable; 100]));
    }

    #[test]
    fn requests_under_way_together_that_are_told_a_time_are_one_fault() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for wave in 0..5_u64 {
            let sent = start + Duration::from_secs(wave * 10);
            let mut opened = false;
            for worker in 0..8 {
                let answered = sent + Duration::from_millis(worker + 1);
                let asked = Sign::Fault { message: Some(wave * 8 + worker), asked: true };
                opened |= breaker.observe(asked, sent, answered);
            }
            assert_eq!((breaker.faults(), opened), (u32::try_from(wave).unwrap() + 1, wave == 4));
        }
    }

    #[test]
    fn what_was_under_way_when_a_hold_ended_is_no_part_of_a_new_one() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let later = start + Duration::from_secs(9);
        breaker.close(later);
        for message in 0..50 {
            assert!(!breaker.observe(fault(message), start, later));
        }
        assert_eq!(breaker.faults(), 0);
    }

    #[test]
    fn a_message_is_known_by_its_id_else_by_what_it_says() {
        let message = |id: Option<&str>, key: &str, body: &'static str| Message {
            exchange: String::new(),
            routing_key: key.to_owned(),
            redelivered: false,
            properties: id
                .map_or_else(PropertiesBuilder::default, |id| {
                    PropertiesBuilder::default().message_id(id)
                })
                .build(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let same = identity(&message(Some("1"), "a", "x"));
        assert_eq!(same, identity(&message(Some("1"), "b", "y")));
        assert_ne!(same, identity(&message(Some("2"), "a", "x")));
        let without = identity(&message(None, "a", "x"));
        assert_eq!(without, identity(&message(None, "a", "x")));
        for (key, body) in [("b", "x"), ("a", "y"), ("a", "xx")] {
            assert_ne!(without, identity(&message(None, key, body)), "{key} {body}");
        }
    }
}
