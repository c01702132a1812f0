//! A source file, byte spans into it, and the line and column a person sees.

use std::fmt;
use std::sync::Arc;

/// A half-open range of byte offsets in one [`SourceFile`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Returns the span from `start` to `end`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// Returns the empty span at `offset`.
    pub const fn at(offset: u32) -> Self {
        Self { start: offset, end: offset }
    }

    /// Returns the part of this span from `from` to `to`, counted in bytes from its start.
    #[must_use]
    pub const fn slice(self, from: u32, to: u32) -> Self {
        Self { start: self.start + from, end: self.start + to }
    }
}

/// A place as editors show it: both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The name and text of one file; cheap to clone.
#[derive(Clone)]
pub struct SourceFile(Arc<Inner>);

struct Inner {
    name: String,
    text: String,
    /// The byte offset at which each line starts.
    lines: Vec<u32>,
}

impl SourceFile {
    /// The largest text a source file may hold, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// Returns a file named `name` (a path as the user would write it) with `text`.
    ///
    /// Text past [`Self::MAX_BYTES`] is cut; readers refuse such files before they get here.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if text.len() > Self::MAX_BYTES {
            let mut end = Self::MAX_BYTES;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (index, byte) in bytes.iter().enumerate() {
            let ends = match byte {
                b'\n' => true,
                b'\r' => bytes.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends {
                lines.push(u32::try_from(index + 1).unwrap_or(u32::MAX));
            }
        }
        Self(Arc::new(Inner { name: name.into(), text, lines }))
    }

    /// Returns the path as the user would write it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Returns the text of `span`, or an empty string where it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.0.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Returns the number of lines; a final line break starts one more.
    pub fn line_count(&self) -> u32 {
        u32::try_from(self.0.lines.len()).unwrap_or(u32::MAX)
    }

    /// Returns where `offset` (in bytes) is; past the end it is the end.
    pub fn position(&self, offset: u32) -> Position {
        let mut offset = (offset as usize).min(self.0.text.len());
        while !self.0.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.0.lines.partition_point(|start| *start as usize <= offset).max(1);
        let start = self.0.lines[line - 1] as usize;
        let column = self.0.text[start..offset].chars().count() + 1;
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    /// Returns the byte offset of `position`; past the end of its line it is that end.
    pub fn offset(&self, position: Position) -> u32 {
        let Some(start) = self.0.lines.get(position.line.saturating_sub(1) as usize) else {
            return u32::try_from(self.0.text.len()).unwrap_or(u32::MAX);
        };
        let line = self.line_text(position.line);
        let bytes = line
            .char_indices()
            .nth(position.column.saturating_sub(1) as usize)
            .map_or(line.len(), |(index, _)| index);
        start + u32::try_from(bytes).unwrap_or(0)
    }

    /// Returns the text of line `line` (from 1) without its line break.
    pub fn line_text(&self, line: u32) -> &str {
        let index = line.saturating_sub(1) as usize;
        let Some(start) = self.0.lines.get(index) else { return "" };
        let end = self.0.lines.get(index + 1).map_or(self.0.text.len(), |end| *end as usize);
        self.0.text[*start as usize..end].trim_end_matches(['\n', '\r'])
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({:?}, {} bytes)", self.0.name, self.0.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_every_kind_of_line_break() {
        let file = SourceFile::new("a.yml", "é1\r\nb\rc\n");
        let places: Vec<_> = [0, 2, 3, 5, 6, 7, 8, 9, 99]
            .map(|offset| file.position(offset).to_string())
            .into_iter()
            .collect();
        assert_eq!(places, ["1:1", "1:2", "1:3", "2:1", "2:2", "3:1", "3:2", "4:1", "4:1"]);
        assert_eq!(file.line_text(1), "é1");
        assert_eq!(file.offset(Position { line: 1, column: 2 }), 2);
        assert_eq!(file.offset(Position { line: 3, column: 9 }), 8);
    }
}
