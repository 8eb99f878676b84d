//! The texts of all files in one address space, so that a span alone says file, line and column.
//!
//! A value that an agent inherits from the main file keeps the span that it has there: each
//! file's text starts at a base of its own, as in rustc.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::Place;

/// Bytes in the common address space.
pub(super) type Span = Range<usize>;

/// Which file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(usize);

/// All files that have been read.
#[derive(Debug, Default)]
pub(super) struct SourceMap<'t> {
    files: Vec<SourceFile<'t>>,
}

#[derive(Debug)]
struct SourceFile<'t> {
    path: PathBuf,
    base: usize,
    text: &'t str,
}

impl<'t> SourceMap<'t> {
    /// Takes in a file.
    pub(super) fn add(&mut self, path: &Path, text: &'t str) -> FileId {
        let base = self.files.last().map_or(0, |file| file.base + file.text.len() + 1);
        self.files.push(SourceFile { path: path.to_owned(), base, text });
        FileId(self.files.len() - 1)
    }

    /// What `file`'s spans start at.
    pub(super) fn base(&self, file: FileId) -> usize {
        self.files[file.0].base
    }

    /// The path of `file`, as it was named.
    pub(super) fn path(&self, file: FileId) -> &Path {
        &self.files[file.0].path
    }

    /// The file that `span` lies in.
    pub(super) fn file(&self, span: &Span) -> FileId {
        FileId(self.files.partition_point(|file| file.base <= span.start).saturating_sub(1))
    }

    /// The text that `span` covers, as it stands in the file.
    pub(super) fn excerpt(&self, span: &Span) -> &'t str {
        let file = &self.files[self.file(span).0];
        let range = span.start - file.base..span.end.saturating_sub(file.base);
        file.text.get(range).unwrap_or("")
    }

    /// Where `span` starts.
    pub(super) fn place(&self, span: &Span) -> Place {
        let file = &self.files[self.file(span).0];
        let offset = (span.start - file.base).min(file.text.len());
        let before = String::from_utf8_lossy(&file.text.as_bytes()[..offset]);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: file.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_says_its_file_line_and_column() {
        let mut sources = SourceMap::default();
        let first = sources.add(Path::new("a.toml"), "x = 1\ny = 2");
        let second = sources.add(Path::new("b.toml"), "\u{fc} = 1\n\u{fc}\u{fc} = 2\n");
        let place = |file, offset| {
            let start = sources.base(file) + offset;
            sources.place(&(start..start)).to_string()
        };
        assert_eq!(place(first, 0), "a.toml:1:1");
        assert_eq!(place(first, 6), "a.toml:2:1");
        assert_eq!(place(first, 11), "a.toml:2:6", "the end of the text");
        assert_eq!(place(second, 0), "b.toml:1:1");
        assert_eq!(place(second, 14), "b.toml:2:6", "columns count characters");
    }

    #[test]
    fn an_empty_file_has_a_place_of_its_own() {
        let mut sources = SourceMap::default();
        let first = sources.add(Path::new("a.toml"), "");
        let second = sources.add(Path::new("b.toml"), "");
        for (file, path) in [(first, "a.toml:1:1"), (second, "b.toml:1:1")] {
            let base = sources.base(file);
            assert_eq!(sources.place(&(base..base)).to_string(), path);
        }
    }
}
