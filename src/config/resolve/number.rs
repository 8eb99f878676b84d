//! Numbers, durations and words of a list, within their limits.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use crate::config::duration::Shown;
use crate::config::report::{Report, quoted};
use crate::config::suggest::nearest;
use crate::config::value::Period;

/// What a key's value may be.
pub(super) struct Limits<T> {
    /// The key.
    pub key: &'static str,
    /// The least.
    pub lowest: T,
    /// The most.
    pub highest: T,
    /// Why, where the limits alone do not say.
    pub because: &'static str,
}

impl<T: PartialOrd + Display> Limits<T> {
    fn check<V>(&self, key: &Spanned<V>, value: &T, report: &mut Report<'_>) -> bool {
        let within = *value >= self.lowest && *value <= self.highest;
        if !within {
            let shown = report.quote(&key.span(), &value.to_string());
            let shown = shown.trim_matches('`');
            report.spoil(
                &key.span(),
                format!(
                    "`{}` is {}",
                    self.key,
                    if shown == "the value" { "out of range" } else { shown }
                ),
                format!("use {} to {}{}", self.lowest, self.highest, self.because),
            );
        }
        within
    }
}

/// A whole number within limits, or `None` where there is none.
pub(super) fn whole<T: TryFrom<i64>>(
    key: Option<&Spanned<i64>>,
    limits: &Limits<i64>,
    report: &mut Report<'_>,
) -> Option<T> {
    let key = key?;
    if !limits.check(key, key.get_ref(), report) {
        return None;
    }
    T::try_from(*key.get_ref()).ok()
}

/// A whole number within a range, or `None` where there is none.
pub(in crate::config) fn whole_within<T: TryFrom<i64>>(
    key: Option<&Spanned<i64>>,
    name: &'static str,
    range: RangeInclusive<i64>,
    report: &mut Report<'_>,
) -> Option<T> {
    let limits = Limits { key: name, lowest: *range.start(), highest: *range.end(), because: "" };
    whole(key, &limits, report)
}

/// A number within limits, and so not NaN, or `None` where there is none.
pub(super) fn number(
    key: Option<&Spanned<f64>>,
    limits: &Limits<f64>,
    report: &mut Report<'_>,
) -> Option<f64> {
    let key = key?;
    limits.check(key, key.get_ref(), report).then_some(*key.get_ref())
}

/// A number from 0 to 1, or `None` where there is none.
pub(in crate::config) fn share(
    key: Option<&Spanned<f64>>,
    name: &'static str,
    report: &mut Report<'_>,
) -> Option<f64> {
    number(key, &Limits { key: name, lowest: 0.0, highest: 1.0, because: "" }, report)
}

/// A duration within limits, or `None` where there is none.
pub(super) fn period(
    key: Option<&Spanned<Period>>,
    limits: &Limits<Duration>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let key = key?;
    let shown = Limits {
        key: limits.key,
        lowest: Shown(limits.lowest),
        highest: Shown(limits.highest),
        because: limits.because,
    };
    shown.check(key, &Shown(key.get_ref().0), report).then_some(key.get_ref().0)
}

/// A duration within a range, or `None` where there is none.
pub(in crate::config) fn period_within(
    key: Option<&Spanned<Period>>,
    name: &'static str,
    range: RangeInclusive<Duration>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let limits = Limits { key: name, lowest: *range.start(), highest: *range.end(), because: "" };
    period(key, &limits, report)
}

/// One word of a few, whatever its case, or `None` where there is none.
pub(in crate::config) fn choice<T: Copy>(
    key: Option<&Spanned<String>>,
    name: &str,
    choices: &[(&'static str, T)],
    report: &mut Report<'_>,
) -> Option<T> {
    let key = key?;
    let word = key.get_ref();
    if let Some((_, value)) = choices.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
        return Some(*value);
    }
    let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
    let shown = report.quote(&key.span(), word);
    let remedy = match nearest(word, &known).filter(|_| !report.is_concealed(&key.span())) {
        Some(meant) => format!("did you mean {}?", quoted(meant)),
        None => format!("use {}", listed(&known)),
    };
    let problem = if report.is_concealed(&key.span()) {
        format!("`{name}` is none of its values")
    } else {
        format!("`{name}` is {shown}, which is none of its values")
    };
    report.spoil(&key.span(), problem, remedy);
    None
}

/// `a`, `b` or `c`
fn listed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
