//! Moments as the admin interface writes them: RFC 3339, UTC, with milliseconds.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SECONDS_A_DAY: u64 = 86_400;

/// A moment since 1970, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) SystemTime);

impl Moment {
    /// Reads what [`Display`](fmt::Display) writes.
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let (clock, millis) = time.split_once('.')?;
        let mut clock = clock.split(':').map(|part| part.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let in_range = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (hour < 24 && minute < 60 && second < 60 && millis.len() == 3);
        if !in_range {
            return None;
        }
        let seconds = days(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second;
        let since = Duration::from_secs(seconds) + Duration::from_millis(millis.parse().ok()?);
        Some(Self(SystemTime::UNIX_EPOCH + since))
    }

    /// How long it is from this moment to a later one; nothing where that is earlier.
    pub(crate) fn until(self, later: Self) -> Duration {
        later.0.duration_since(self.0).unwrap_or_default()
    }
}

/// Days from 1970 to a date of the Gregorian calendar, as years of 400 repeat it; they are reckoned
/// from March on, so that a leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that many days after 1970 began: the other way round.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (year, month, day) = date(since.as_secs() / SECONDS_A_DAY);
        let second = since.as_secs() % SECONDS_A_DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let millis = since.subsec_millis();
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("no time of RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }

    #[test]
    fn moments_are_written_as_date_says_it() {
        // Seconds by `date -u -d … +%s`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(at(seconds * 1000).to_string(), text);
        }
        assert_eq!(at(1_735_689_600_007).to_string(), "2025-01-01T00:00:00.007Z");
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in ["", "2024", "2024-13-01T00:00:00.000Z", "2024-01-01T00:00:00Z", "-Z", "T.Z"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0_u64..253_402_300_800_000) {
            prop_assert_eq!(Moment::parse(&at(millis).to_string()), Some(at(millis)));
        }
    }
}
