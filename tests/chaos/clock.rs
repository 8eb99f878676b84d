//! The wall clock, which the daemon's log tells the time by too.

use std::time::SystemTime;

/// Microseconds since 1970.
pub type Micros = i64;

/// This moment.
pub fn now() -> Micros {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    Micros::try_from(since.as_micros()).expect("the clock is right")
}

/// A time as the daemon logs it, `2026-11-22T14:00:00.123456Z`.
pub fn parse(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let date = whole.split(['-', 'T', ':']).map(|part| part.parse::<i64>().ok());
    let [year, month, day, hour, minute, second] = date.collect::<Option<Vec<_>>>()?[..] else {
        return None;
    };
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    // Days since 1970 by the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

/// Hours, minutes, seconds and milliseconds of the day, UTC.
pub fn show(at: Micros) -> String {
    let milliseconds = at.rem_euclid(86_400_000_000) / 1000;
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
