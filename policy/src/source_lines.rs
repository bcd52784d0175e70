//! The lines of a text, which turn byte offsets into lines and columns and back.

/// A text, with the offset of each of its lines.
#[derive(Clone, Debug)]
pub struct SourceLines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

/// A place in a text, as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl<'s> SourceLines<'s> {
    /// Finds the lines of a text.
    #[must_use]
    pub fn new(source: &'s str) -> SourceLines<'s> {
        let breaks = source.match_indices('\n').map(|(offset, _)| offset.saturating_add(1));
        SourceLines { source, starts: core::iter::once(0).chain(breaks).collect() }
    }

    /// Returns the line and column of a byte offset.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self.source.get(self.start(line)..offset).unwrap_or_default();
        LineColumn { line, column: before.chars().count().saturating_add(1) }
    }

    /// Returns the byte offset of a line and column. A place beyond the end of a line, or of the text, is that end.
    #[must_use]
    pub fn offset(&self, LineColumn { line, column }: LineColumn) -> usize {
        let start = if line > self.starts.len() { self.source.len() } else { self.start(line) };
        let rest = self.source.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let before = line.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>();
        start.saturating_add(before)
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_line_and_a_column_in_characters() {
        let lines = SourceLines::new("ab\ncäd\n\ne");
        for (offset, line, column) in
            [(0, 1, 1), (1, 1, 2), (2, 1, 3), (3, 2, 1), (6, 2, 3), (8, 3, 1), (9, 4, 1)]
        {
            assert_eq!(lines.line_column(offset), LineColumn { line, column }, "{offset}");
            assert_eq!(lines.offset(LineColumn { line, column }), offset);
        }
    }

    #[test]
    fn a_place_beyond_an_end_is_that_end() {
        let lines = SourceLines::new("ab\ncd");
        assert_eq!(lines.offset(LineColumn { line: 1, column: 9 }), 2);
        assert_eq!(lines.offset(LineColumn { line: 9, column: 9 }), 5);
        assert_eq!(lines.offset(LineColumn { line: 0, column: 0 }), 0);
    }
}
