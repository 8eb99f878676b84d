//! Markdown as the body of a manual page, as far as our documents use it.
//!
//! A second-level heading begins a section, a third-level one a subsection. A table has no place on
//! 80 columns: each row becomes a term (its first cell) and what is said of it.

#![expect(clippy::wildcard_enum_match_arm, reason = "Markdown has more than our documents use")]

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::{roff, table};

/// The body of a page made of `markdown`. What stands before the first section is the description;
/// the title is dropped, since a page has its own.
///
/// # Panics
///
/// Where the document uses what no page can show: an image, HTML other than a comment, a footnote.
pub(crate) fn body(markdown: &str) -> String {
    let mut page = Page::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.roff
}

#[derive(Default)]
struct Page {
    roff: String,
    /// The inline text of the block that is open, escaped.
    text: String,
    heading: Option<HeadingLevel>,
    has_section: bool,
    code: Option<String>,
    table: Table,
    /// The lists that are open, and where a numbered one is.
    lists: Vec<Option<u64>>,
    /// A link elsewhere, whose address follows its text.
    links: Vec<Option<String>>,
    /// The next paragraph is the first of a list's item, which has its own request.
    begins_item: bool,
}

#[derive(Default)]
struct Table {
    columns: Vec<String>,
    cells: Vec<String>,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text.push_str(&roff::text(&text)),
            },
            Event::Code(code) => {
                let code = roff::bold_literal(&self.text, &code);
                self.text.push_str(&code);
            }
            Event::SoftBreak | Event::HardBreak => self.text.push('\n'),
            Event::Html(html) | Event::InlineHtml(html) => {
                assert!(html.trim().starts_with("<!--"), "no page can show {html}");
            }
            Event::Rule => {}
            other => panic!("no page can show {other:?}"),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.heading = Some(level),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.flush_item();
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.flush_item();
                if !self.lists.is_empty() {
                    self.roff.push_str(".RS 4\n");
                }
                self.lists.push(first);
            }
            Tag::Item => self.begins_item = true,
            Tag::Table(_) => {
                self.introduce();
                self.table = Table::default();
            }
            Tag::Emphasis => self.text.push_str("\\fI"),
            Tag::Strong => self.text.push_str("\\fB"),
            Tag::Link { dest_url, .. } => {
                let elsewhere = dest_url.starts_with("http").then(|| dest_url.to_string());
                self.links.push(elsewhere);
            }
            Tag::Paragraph | Tag::HtmlBlock | Tag::TableHead | Tag::TableRow | Tag::TableCell => {}
            other => panic!("no page can show {other:?}"),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level),
            TagEnd::Paragraph => self.end_paragraph(),
            TagEnd::CodeBlock => {
                self.introduce();
                let code = self.code.take().unwrap_or_default();
                roff::add_example(&mut self.roff, &code);
            }
            TagEnd::Item => {
                self.flush_item();
                self.begins_item = false;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.roff.push_str(".RE\n");
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                self.table.cells.push(cell);
            }
            TagEnd::TableHead => self.table.columns = std::mem::take(&mut self.table.cells),
            TagEnd::TableRow => {
                let cells = std::mem::take(&mut self.table.cells);
                self.roff.push_str(&table::row(&self.table.columns, &cells));
            }
            TagEnd::Emphasis | TagEnd::Strong => self.text.push_str("\\fR"),
            TagEnd::Link => {
                if let Some(address) = self.links.pop().flatten() {
                    self.text.extend([format!(" <{}>", roff::literal(&address))]);
                }
            }
            _ => {}
        }
    }

    /// Text before the first section needs one to stand in.
    fn introduce(&mut self) {
        if !self.has_section {
            self.has_section = true;
            roff::add_macro(&mut self.roff, "SH", "DESCRIPTION");
        }
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        self.heading = None;
        let text = std::mem::take(&mut self.text).replace('\n', " ");
        match level {
            HeadingLevel::H1 => {}
            HeadingLevel::H2 => {
                self.has_section = true;
                roff::add_macro(
                    &mut self.roff,
                    "SH",
                    &text.replace("\\fB", "").replace("\\fR", ""),
                );
            }
            HeadingLevel::H3 => {
                self.introduce();
                roff::add_macro(&mut self.roff, "SS", &text);
            }
            HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => {
                self.introduce();
                roff::add_paragraph(&mut self.roff);
                roff::add_filled(&mut self.roff, &bold(&text.replace("\\fR", "\\fB")));
            }
        }
    }

    fn end_paragraph(&mut self) {
        self.introduce();
        if self.begins_item {
            self.flush_item();
        } else if self.lists.is_empty() {
            roff::add_paragraph(&mut self.roff);
        } else {
            self.roff.push_str(".IP\n");
        }
        let text = std::mem::take(&mut self.text);
        roff::add_filled(&mut self.roff, &text);
    }

    /// The item's own request, and its text where no paragraph holds it.
    fn flush_item(&mut self) {
        if std::mem::take(&mut self.begins_item) {
            match self.lists.last_mut() {
                Some(Some(number)) => {
                    self.roff.extend([format!(".IP {number}. 4\n")]);
                    *number += 1;
                }
                _ => self.roff.push_str(".IP \\(bu 3\n"),
            }
        }
        if !self.lists.is_empty() {
            let text = std::mem::take(&mut self.text);
            roff::add_filled(&mut self.roff, &text);
        }
    }
}

fn bold(text: &str) -> String {
    format!("\\fB{text}\\fR")
}

#[test]
fn headings_paragraphs_lists_and_code_keep_their_shape() {
    let markdown = "# Title\n\nFirst *words*, [see](#there).\n\n## One\n\n- a `b-c`\n- d\n\n   more\n\n```toml\n.x = \"~\"\n```\n";
    let expected = ".SH \"DESCRIPTION\"\nFirst \\fIwords\\fR, see.\n.SH \"One\"\n\
        .IP \\(bu 3\na \\fB\\%b\\-c\\fR\n.IP \\(bu 3\nd\n.IP\nmore\n.PP\n.RS 4\n.EX\n\\&.x = \"\\(ti\"\n.EE\n.RE\n";
    assert_eq!(body(markdown), expected);
}
