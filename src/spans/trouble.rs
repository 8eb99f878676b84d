//! What the log says of spans that are not taken: once at first, seldom after that, and when it is over.
//!
//! Pure: time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// How often the log tells of trouble, the same or another.
const REMIND: Duration = Duration::from_mins(5);

/// How the spans fare.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Since when they are not taken, or not all.
    since: Option<Instant>,
    /// Whether the log knows of that.
    is_told: bool,
    /// When it was last told of any.
    told_at: Option<Instant>,
    /// Lost, as far as the log knows.
    told: u64,
    /// Lost, when a batch last ended.
    seen: u64,
    /// The last batch was not taken.
    refused: bool,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// Spans are not taken, or not all; so many were lost since the log last told.
    Wrong { lost: u64 },
    /// All is well again, after so long, and so many more were lost.
    Well { after: Duration, lost: u64 },
}

impl Trouble {
    /// A batch was taken; `lost` are lost since the start.
    pub(super) fn taken(&mut self, lost: u64, now: Instant) -> Option<Say> {
        let was_refused = std::mem::take(&mut self.refused);
        // The collector takes them, but more come than it can take.
        let is_too_slow = lost > self.seen && !was_refused;
        self.seen = lost;
        if is_too_slow {
            return self.wrong(lost, now);
        }
        let since = self.since.take()?;
        if !std::mem::take(&mut self.is_told) {
            return None;
        }
        let lost = self.newly_lost(lost);
        Some(Say::Well { after: now.duration_since(since), lost })
    }

    /// A batch was not taken.
    pub(super) fn not_taken(&mut self, lost: u64, now: Instant) -> Option<Say> {
        (self.seen, self.refused) = (lost, true);
        self.wrong(lost, now)
    }

    fn wrong(&mut self, lost: u64, now: Instant) -> Option<Say> {
        self.since.get_or_insert(now);
        if self.told_at.is_some_and(|told| now.duration_since(told) < REMIND) {
            return None;
        }
        (self.told_at, self.is_told) = (Some(now), true);
        Some(Say::Wrong { lost: self.newly_lost(lost) })
    }

    fn newly_lost(&mut self, lost: u64) -> u64 {
        lost - std::mem::replace(&mut self.told, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_collector_that_is_away_is_told_once_and_then_seldom_until_it_is_back() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.taken(0, start), None);
        assert_eq!(trouble.not_taken(0, start), Some(Say::Wrong { lost: 0 }));
        for second in 1..300 {
            assert_eq!(trouble.not_taken(10, start + second * SECOND), None);
        }
        let reminded = start + REMIND;
        assert_eq!(trouble.not_taken(12, reminded), Some(Say::Wrong { lost: 12 }));
        let well = Say::Well { after: REMIND + SECOND, lost: 3 };
        assert_eq!(trouble.taken(15, reminded + SECOND), Some(well));
        assert_eq!(trouble.taken(15, reminded + 2 * SECOND), None);
    }

    #[test]
    fn one_that_comes_and_goes_is_no_flood() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let mut said = Vec::new();
        for second in (0..600).step_by(2) {
            said.extend(trouble.not_taken(0, start + second * SECOND));
            said.extend(trouble.taken(0, start + (second + 1) * SECOND));
        }
        let pair = [Say::Wrong { lost: 0 }, Say::Well { after: SECOND, lost: 0 }];
        let twice: Vec<_> = pair
            .into_iter()
            .chain([Say::Wrong { lost: 0 }, Say::Well { after: SECOND, lost: 0 }])
            .collect();
        assert_eq!(said, twice, "in ten minutes");
    }

    #[test]
    fn one_that_is_too_slow_is_told_though_it_takes_what_it_is_given() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.taken(5, start), Some(Say::Wrong { lost: 5 }));
        assert_eq!(trouble.taken(9, start + SECOND), None);
        let well = Say::Well { after: 2 * SECOND, lost: 4 };
        assert_eq!(trouble.taken(9, start + 2 * SECOND), Some(well));
    }
}
