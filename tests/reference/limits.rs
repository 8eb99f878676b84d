//! Each limit that the reference names is the limit.

use toml::{Table, Value};

use super::machine::{Machine, as_file, errors, small, with};
use super::page::{Row, reference};
use super::{Home, REFERENCE, SECTIONS};

/// The lowest and the highest value that a row's meaning names: "1 to 1000", "`1s` to `10m`", "at
/// most `1h`", "at least `1s`".
fn limits(row: &Row) -> Option<(Option<String>, Option<String>)> {
    let words: Vec<_> = row.meaning.split([' ', ',', ';']).collect();
    let plain = |word: &str| word.trim_matches(|c| matches!(c, '`' | '.')).to_owned();
    let is_value = |word: &str| plain(word).starts_with(|c: char| c.is_ascii_digit());
    let is_measured = matches!(row.kind.as_str(), "integer" | "number")
        || row.kind.contains("duration") && words.iter().any(|word| word.contains('`'));
    let found = words.windows(3).find_map(|three| match *three {
        [low, "to", high] if is_value(low) && is_value(high) => {
            Some((Some(plain(low)), Some(plain(high))))
        }
        ["at", "most", high] if high.starts_with('`') => Some((None, Some(plain(high)))),
        ["at", "least", low] if low.starts_with('`') => Some((Some(plain(low)), None)),
        _ => None,
    });
    found.filter(|_| is_measured)
}

/// The value of a row that `text` stands for, and one beyond it.
fn value_and_beyond(kind: &str, text: &str, is_low: bool) -> (Value, Value) {
    let (value, beyond) = match kind {
        "integer" => {
            let number: i64 = text.parse().unwrap();
            (number.into(), (number + if is_low { -1 } else { 1 }).into())
        }
        "number" => {
            let number: f64 = text.parse().unwrap();
            (number.into(), (number + if is_low { -0.5 } else { 0.5 }).into())
        }
        _ => {
            let time = amqp_agentd::config::duration::parse(text).unwrap();
            let beyond = if is_low { time / 2 } else { time + std::time::Duration::from_secs(1) };
            (Value::from(text), Value::from(format!("{}us", beyond.as_micros())))
        }
    };
    let is_list = kind.starts_with("list");
    let wrapped = |value| if is_list { Value::Array(vec![value]) } else { value };
    (wrapped(value), wrapped(beyond))
}

#[test]
fn each_limit_that_is_told_is_the_limit() {
    let machine = Machine::new();
    let (mut tried, mut wrong) = (0, Vec::new());
    for (_, heading, home) in SECTIONS {
        for row in reference().remove(heading).unwrap() {
            let Some((low, high)) = limits(&row) else { continue };
            let passes = |value: Value| {
                let problems = match home {
                    Home::Main(table) => {
                        machine.main(&with(Table::new(), &[table], &row.name, value)).problems
                    }
                    Home::Agent(path) => {
                        machine.agent(&as_file(with(small(), path, &row.name, value))).1
                    }
                };
                errors(&problems).is_empty()
            };
            let ends = [(low, true), (high, false)];
            for (text, is_low) in ends.into_iter().filter_map(|(text, low)| Some((text?, low))) {
                let (value, beyond) = value_and_beyond(&row.kind, &text, is_low);
                tried += 1;
                if !passes(value) || passes(beyond) {
                    wrong.push(format!("{text} is no limit of `{}` under {heading}", row.name));
                }
            }
        }
    }
    assert!(tried > 20, "only {tried} limits are told");
    assert!(wrong.is_empty(), "{REFERENCE}: {wrong:#?}");
}
