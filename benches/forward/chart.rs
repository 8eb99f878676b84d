//! A report as a drawing: a panel for each measure that is worth one, a bar for each row.
//!
//! Plain SVG without scripts or fonts of its own. Colours follow the reader's light or dark scheme.

use std::fmt::Write;

use crate::report::{Column, Report};
use crate::stats::Figures;

const WIDTH: usize = 760;
const NAMES_WIDTH: usize = 128;
const VALUES_WIDTH: usize = 70;
const RATIOS_WIDTH: usize = 56;
const BAR_HEIGHT: usize = 16;
const ROW_HEIGHT: usize = 26;
const HEAD_HEIGHT: usize = 52;
const PANEL_HEAD_HEIGHT: usize = 34;
const PANEL_GAP: usize = 18;

const STYLE: &str = "<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.measure { font-weight: 600 }
.name { text-anchor: end }
.value { text-anchor: end; font-variant-numeric: tabular-nums }
.ratio { text-anchor: end; font-variant-numeric: tabular-nums; fill: #59636e }
.ours text { font-weight: 600 }
.soft { fill: #59636e }
.track { fill: #8c959f; opacity: .13 }
.bar { fill: #8c959f }
.ours .bar { fill: #1a7f64 }
.baseline .bar { fill: #4a6fa5 }
.spread { stroke: #1f2328; stroke-width: 1.5; opacity: .6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .soft, .ratio { fill: #9198a1 }
  .bar { fill: #7d8590 }
  .ours .bar { fill: #3fb68b }
  .baseline .bar { fill: #6f9bd8 }
  .spread { stroke: #e6edf3 }
}
</style>";

/// The chart: how many times the baseline's a figure is stands beside it. Medians are bars, least and most a thin line over them.
pub fn svg(report: &Report) -> String {
    let drawn: Vec<_> =
        report.columns.iter().filter_map(|column| Some((column, column.drawn_as?))).collect();
    let panel_height = PANEL_HEAD_HEIGHT + report.rows.len() * ROW_HEIGHT;
    let height = HEAD_HEIGHT + drawn.len() * (panel_height + PANEL_GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{} of amqp-agentd and others</title>\n{STYLE}\n",
        report.scenario
    );
    put(&mut text, "title", 12, 26, report.scenario);
    put(&mut text, "soft", 12, 46, &short(&report.setting));
    for (number, (column, head)) in drawn.into_iter().enumerate() {
        let top = HEAD_HEIGHT + number * (panel_height + PANEL_GAP);
        put(&mut text, "measure", 12, top + 22, head);
        panel(&mut text, report, column, top);
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, report: &Report, column: &Column, top: usize) {
    let most = report.rows.iter().filter_map(|row| row.figures(column.key)?.most());
    let full = most.fold(f64::MIN_POSITIVE, f64::max);
    for (number, row) in report.rows.iter().enumerate() {
        let y = top + PANEL_HEAD_HEIGHT + number * ROW_HEIGHT;
        let class = match &report.baseline {
            _ if row.name == "daemon" => "ours",
            Some(baseline) if *baseline == row.name => "baseline",
            Some(_) | None => "other",
        };
        writeln!(text, "<g class=\"{class}\">").ok();
        let middle = y + BAR_HEIGHT - 3;
        put(text, "name", NAMES_WIDTH - 10, middle, &row.name);
        if let Some(figures) = row.figures(column.key) {
            bar(text, figures, full, y);
            let median = figures.median().unwrap_or(f64::NAN);
            let value = format!("{median:.decimals$}", decimals = column.decimals);
            put(text, "value", WIDTH - RATIOS_WIDTH - 12, middle, &value);
        }
        if let Some(ratio) = report.ratio(row, column.key).filter(|_| column.has_ratio) {
            put(text, "ratio", WIDTH - 12, middle, &format!("× {ratio:.2}"));
        }
        text.push_str("</g>\n");
    }
}

fn bar(text: &mut String, figures: &Figures, full: f64, y: usize) {
    let room = (WIDTH - NAMES_WIDTH - VALUES_WIDTH - RATIOS_WIDTH - 24) as f64;
    let x = |figure: f64| NAMES_WIDTH as f64 + figure / full * room;
    let (Some(median), Some(least), Some(most)) =
        (figures.median(), figures.least(), figures.most())
    else {
        return;
    };
    let begin = NAMES_WIDTH;
    let length = x(median) - begin as f64;
    writeln!(
        text,
        "<rect class=\"track\" x=\"{begin}\" y=\"{y}\" width=\"{room:.0}\" height=\"{BAR_HEIGHT}\" \
         rx=\"3\"/>\n<rect class=\"bar\" x=\"{begin}\" y=\"{y}\" width=\"{length:.1}\" \
         height=\"{BAR_HEIGHT}\" rx=\"3\"/>",
    )
    .ok();
    if most > least {
        let (least, most, middle) = (x(least), x(most), y + BAR_HEIGHT / 2);
        writeln!(text, "<path class=\"spread\" d=\"M{least:.1} {middle}H{most:.1}\"/>").ok();
    }
}

fn put(text: &mut String, class: &str, x: usize, y: usize, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(text, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>").ok();
}

/// What fits into a line.
fn short(setting: &str) -> String {
    setting.split_once(';').map_or(setting, |(first, _)| first).to_owned()
}
