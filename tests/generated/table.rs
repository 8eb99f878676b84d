//! A table's rows as terms: on 80 columns there is no place for more than two columns.

use crate::roff;

/// The first cell is the term. What is short stands beside it; the others are the text, each with
/// its column's name where it cannot be understood without.
pub(crate) fn row(columns: &[String], cells: &[String]) -> String {
    let mut page = String::new();
    let Some((term, rest)) = cells.split_first() else { return page };
    let rest = columns[1..].iter().zip(rest).filter(|(_, cell)| !cell.trim().is_empty());
    let (aside, texts): (Vec<_>, Vec<_>) = rest.partition(|(column, _)| is_aside(column));
    let aside: Vec<_> = aside.iter().map(|(column, cell)| beside_a_term(column, cell)).collect();
    let aside = if aside.is_empty() { String::new() } else { format!("  ({})", aside.join("; ")) };
    page.push_str(".TP\n");
    roff::add_line(&mut page, &format!("{term}{aside}"));
    for (number, (column, cell)) in texts.iter().enumerate() {
        if number > 0 {
            page.push_str(".br\n");
        }
        if names_its_cells(column) {
            roff::add_filled(&mut page, &format!("{}: {cell}", capitalised(column)));
        } else {
            roff::add_filled(&mut page, cell);
        }
    }
    if texts.is_empty() {
        page.push_str("\\&\n");
    }
    page
}

/// A column that is short enough to stand beside the term.
fn is_aside(column: &str) -> bool {
    matches!(column, "type" | "default")
}

fn beside_a_term(column: &str, cell: &str) -> String {
    if column == "default" && !cell.contains("required") {
        format!("default {cell}")
    } else {
        cell.to_owned()
    }
}

/// A column whose cells cannot be understood without its name.
fn names_its_cells(column: &str) -> bool {
    matches!(column, "example" | "unit" | "range" | "values")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[test]
fn each_row_of_a_table_is_a_term_and_what_is_said_of_it() {
    let table = "| key | type | default | meaning | example |\n|---|---|---|---|---|\n\
        | `max_rate` | number | 0 | messages a second | `50` |\n";
    assert_eq!(
        crate::markdown::body(table),
        ".SH \"DESCRIPTION\"\n.TP\n\\fB\\%max_rate\\fR  (number; default 0)\nmessages a second\n.br\nExample: \\fB\\%50\\fR\n"
    );
}
