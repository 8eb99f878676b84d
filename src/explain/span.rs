//! Times for people: two figures that matter, and no more.

use std::time::Duration;

/// `250 ms`, `1.75 s`, `14 min 35 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let pair = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {part}"),
    };
    match seconds {
        0 if time.is_zero() => "0 s".to_owned(),
        0 => format!("{} ms", time.as_millis()),
        1..60 => {
            let text = format!("{:.2}", time.as_secs_f64());
            format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_figures_that_matter() {
        for (millis, text) in [
            (0, "0 s"),
            (250, "250 ms"),
            (1000, "1 s"),
            (1750, "1.75 s"),
            (30_000, "30 s"),
            (59_999, "60 s"),
            (60_000, "1 min"),
            (875_500, "14 min 35 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
