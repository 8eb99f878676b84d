//! A report as Markdown.

use std::fmt::Write;

use crate::report::{Column, Report, Row};
use crate::stats::Figures;

/// Heading, setting, table and notes.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("### {}\n\n{}\n\n", report.scenario, report.setting);
    let mut heads = vec![report.subject.to_owned()];
    for column in &report.columns {
        heads.push(column.head.to_owned());
        if let (true, Some(baseline)) = (column.has_ratio, &report.baseline) {
            heads.push(format!("× {baseline}"));
        }
    }
    line(&mut text, &heads);
    line(&mut text, &vec!["---".to_owned(); heads.len()]);
    for row in &report.rows {
        let mut cells = vec![row.name.clone()];
        for column in &report.columns {
            cells.push(cell(row.figures(column.key), column.decimals));
            if column.has_ratio && report.baseline.is_some() {
                cells.push(ratio(report, row, column));
            }
        }
        line(&mut text, &cells);
    }
    let notes = report.rows.iter().flat_map(|row| row.notes.iter().map(move |note| (row, note)));
    for (number, (row, note)) in notes.enumerate() {
        let before = if number == 0 { "\n" } else { "" };
        let note = note.trim().replace('\n', "\n  ");
        // Writing to a string does not fail.
        writeln!(text, "{before}- {}: {note}", row.name).ok();
    }
    text
}

fn line(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).ok();
}

/// The median, and least and most where there was more than one round.
fn cell(figures: Option<&Figures>, decimals: usize) -> String {
    let Some((figures, median)) = figures.and_then(|some| Some((some, some.median()?))) else {
        return "–".to_owned();
    };
    match (figures.least(), figures.most()) {
        (Some(least), Some(most)) if figures.all().len() > 1 => {
            format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
        }
        _ => format!("{median:.decimals$}"),
    }
}

fn ratio(report: &Report, row: &Row, column: &Column) -> String {
    report.ratio(row, column.key).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}
