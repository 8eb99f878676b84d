//! Durations as text: as an agent file writes them, and as the names of delay queues have them.

use std::fmt::{self, Display};
use std::time::Duration;

use super::value::Period;

/// Reads a duration as an agent file has it; `None` if it is none.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    Period::parse(text).map(|Period(duration)| duration)
}

/// A duration in its one canonical form, which an agent file can have too: `250ms`, `5s`, `2m`,
/// `1h30m`.
///
/// Different durations never have the same text, since queues are named by it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Shown(pub Duration);

impl Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        match (hours, minutes) {
            _ if nanos % 1_000_000 != 0 => write!(formatter, "{}ns", self.0.as_nanos()),
            _ if nanos != 0 => write!(formatter, "{}ms", self.0.as_millis()),
            _ if seconds % 60 != 0 || seconds == 0 => write!(formatter, "{seconds}s"),
            (0, minutes) => write!(formatter, "{minutes}m"),
            (hours, 0) => write!(formatter, "{hours}h"),
            (hours, minutes) => write!(formatter, "{hours}h{minutes}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::value::Period;

    #[test]
    fn a_duration_is_shown_as_a_person_writes_it() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1500, "1500ms"),
            (5_000, "5s"),
            (90_000, "90s"),
            (120_000, "2m"),
            (600_000, "10m"),
            (3_600_000, "1h"),
            (5_400_000, "1h30m"),
            (86_400_000, "24h"),
            (65_535_000, "65535s"),
        ] {
            assert_eq!(Shown(Duration::from_millis(millis)).to_string(), text);
        }
        assert_eq!(Shown(Duration::from_nanos(1_500)).to_string(), "1500ns");
    }

    proptest! {
        /// What reads back as the same duration is the text of no other.
        #[test]
        fn different_durations_never_have_the_same_text(
            hours in 0_u64..=240, seconds in 0_u64..3600, millis in 0_u64..1000,
        ) {
            let seconds = hours * 3600 + seconds;
            for duration in [
                Duration::from_millis(seconds * 1000 + millis),
                Duration::from_secs(seconds),
                Duration::from_mins(seconds / 60),
                Duration::from_hours(hours),
            ] {
                prop_assert_eq!(Period::parse(&Shown(duration).to_string()), Some(Period(duration)));
            }
        }
    }
}
