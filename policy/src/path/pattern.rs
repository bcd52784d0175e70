//! Patterns of paths: `/exact`, `/prefix/*`, `/a/{one-segment}/b`.

use super::segments;

/// How a pattern's text is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PatternKind {
    /// Everything below: the text ends in a slash, and any rest may follow, also none.
    pub(crate) prefix: bool,
    /// Some segment of the text is `{…}` and stands for one segment that is not empty.
    pub(crate) parameters: bool,
}

impl PatternKind {
    const PREFIX: u8 = 1;
    const PARAMETERS: u8 = 2;

    pub(crate) fn from_bits(bits: u8) -> Option<PatternKind> {
        let known = bits & !(PatternKind::PREFIX | PatternKind::PARAMETERS) == 0;
        known.then_some(PatternKind {
            prefix: bits & PatternKind::PREFIX != 0,
            parameters: bits & PatternKind::PARAMETERS != 0,
        })
    }

    #[cfg(feature = "compile")]
    pub(crate) fn bits(self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(self.prefix, PatternKind::PREFIX) | bit(self.parameters, PatternKind::PARAMETERS)
    }

    /// Whether a canonical path matches the pattern of this kind with this text (without the `*`).
    pub(crate) fn matches(self, text: &[u8], path: &[u8]) -> bool {
        match (self.prefix, self.parameters) {
            (false, false) => path == text,
            (true, false) => path.starts_with(text),
            (prefix, true) => matches_segments(text, path, prefix),
        }
    }
}

fn matches_segments(text: &[u8], path: &[u8], prefix: bool) -> bool {
    let mut wanted = segments(text).peekable();
    let mut given = segments(path);
    loop {
        match (wanted.next(), given.next()) {
            // A prefix's text ends in a slash, so its last segment is empty and stands for any rest.
            (Some(b""), Some(_)) if prefix && wanted.peek().is_none() => return true,
            (Some([b'{', ..]), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            (None, None) => return true,
            (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: PatternKind = PatternKind { prefix: false, parameters: false };
    const PREFIX: PatternKind = PatternKind { prefix: true, parameters: false };

    #[test]
    fn an_exact_pattern_matches_itself_only() {
        assert!(EXACT.matches(b"/a", b"/a"));
        for path in [&b"/a/"[..], b"/a/b", b"/ab", b"/A", b"/"] {
            assert!(!EXACT.matches(b"/a", path));
        }
    }

    #[test]
    fn a_prefix_matches_below_and_not_beside() {
        for path in [&b"/a/"[..], b"/a/b", b"/a/b/c"] {
            assert!(PREFIX.matches(b"/a/", path));
        }
        for path in [&b"/a"[..], b"/ab", b"/ab/c", b"/"] {
            assert!(!PREFIX.matches(b"/a/", path));
        }
        assert!(PREFIX.matches(b"/", b"/"));
    }

    #[test]
    fn a_parameter_is_one_segment_that_is_not_empty() {
        let exact = PatternKind { prefix: false, parameters: true };
        assert!(exact.matches(b"/a/{x}/b", b"/a/1/b"));
        for path in [&b"/a//b"[..], b"/a/1/2/b", b"/a/1", b"/a/1/b/", b"/a/1/c", b"/a/b"] {
            assert!(!exact.matches(b"/a/{x}/b", path));
        }
        assert!(!exact.matches(b"/a/{x}", b"/a/"));
        let prefix = PatternKind { prefix: true, parameters: true };
        assert!(prefix.matches(b"/a/{x}/", b"/a/1/"));
        assert!(prefix.matches(b"/a/{x}/", b"/a/1/b/c"));
        assert!(!prefix.matches(b"/a/{x}/", b"/a/1"));
        assert!(!prefix.matches(b"/a/{x}/", b"/a//b"));
    }
}
