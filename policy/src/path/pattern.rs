//! Path patterns: `/exact`, `/prefix/*`, `/a/{one-segment}/b`.

use super::segments::segments;

/// The way in which a pattern's text is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PatternKind {
    /// Whether the pattern matches everything below its text. The text ends in a slash, and any rest may follow, even
    /// an empty one.
    pub(crate) prefix: bool,
    /// Whether some segment of the text is `{…}`, which matches any one segment that is not empty.
    pub(crate) parameters: bool,
    /// The letters that are equal.
    pub(crate) case: Case,
}

/// The comparison of letters between a pattern and a path. The variants are ordered: letters that are equal for one
/// variant are equal for every later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Case {
    /// Only identical letters are equal.
    #[default]
    Exact,
    /// The two cases of an ASCII letter are equal.
    Ascii,
    /// A letter, its lower-case form and its upper-case form are equal, and so are letters that share one of these
    /// forms: `k`, `K` and the Kelvin sign.
    Every,
}

impl PatternKind {
    const PREFIX: u8 = 1;
    const PARAMETERS: u8 = 2;
    const ASCII: u8 = 4;
    const EVERY: u8 = 8;

    pub(crate) fn from_bits(bits: u8) -> Option<PatternKind> {
        let known = bits
            & !(PatternKind::PREFIX | PatternKind::PARAMETERS | PatternKind::ASCII | PatternKind::EVERY)
            == 0;
        let case = match (bits & PatternKind::ASCII != 0, bits & PatternKind::EVERY != 0) {
            (false, false) => Case::Exact,
            (true, false) => Case::Ascii,
            (false, true) => Case::Every,
            (true, true) => return None,
        };
        known.then_some(PatternKind {
            prefix: bits & PatternKind::PREFIX != 0,
            parameters: bits & PatternKind::PARAMETERS != 0,
            case,
        })
    }

    #[cfg(feature = "compile")]
    pub(crate) fn bits(self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(self.prefix, PatternKind::PREFIX)
            | bit(self.parameters, PatternKind::PARAMETERS)
            | bit(self.case == Case::Ascii, PatternKind::ASCII)
            | bit(self.case == Case::Every, PatternKind::EVERY)
    }

    /// Returns whether a canonical path matches the pattern of this kind with this text, which has no `*`.
    pub(crate) fn matches(self, text: &[u8], path: &[u8]) -> bool {
        match (self.case, self.prefix, self.parameters) {
            (Case::Exact, false, false) => path == text,
            (Case::Exact, true, false) => path.starts_with(text),
            (case, prefix, _) => matches_segments(text, path, prefix, case),
        }
    }
}

impl Case {
    /// Returns whether two segments are equal.
    pub(crate) fn is_same(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Case::Exact => one == other,
            Case::Ascii => one.eq_ignore_ascii_case(other),
            Case::Every if one.is_ascii() && other.is_ascii() => one.eq_ignore_ascii_case(other),
            Case::Every => folded(one).eq(folded(other)),
        }
    }
}

/// Folds the letters of a text: each becomes the lower-case form of its upper-case form. A byte that is not UTF-8 stays
/// as it is. Each letter is first lower-cased, because `ẞ` is its own upper-case form. `İ` becomes `i`, its simple
/// lower-case form, because the full form adds a dot, which `i` lacks.
pub(crate) fn folded(text: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    text.utf8_chunks().flat_map(|chunk| {
        let letters = chunk.valid().chars().map(|letter| if letter == '\u{130}' { 'i' } else { letter });
        let letters = letters.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
        let letters = letters.flat_map(char::to_lowercase);
        letters.map(Ok).chain(chunk.invalid().iter().copied().map(Err))
    })
}

fn matches_segments(text: &[u8], path: &[u8], prefix: bool, case: Case) -> bool {
    let mut wanted = segments(text).peekable();
    let mut given = segments(path);
    loop {
        match (wanted.next(), given.next()) {
            // A prefix's text ends in a slash, so its last segment is empty and matches any rest.
            (Some(b""), Some(_)) if prefix && wanted.peek().is_none() => return true,
            (Some([b'{', ..]), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(given)) if case.is_same(wanted, given) => {}
            (None, None) => return true,
            (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: PatternKind = PatternKind { prefix: false, parameters: false, case: Case::Exact };
    const PREFIX: PatternKind = PatternKind { prefix: true, ..EXACT };

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
        let exact = PatternKind { parameters: true, ..EXACT };
        assert!(exact.matches(b"/a/{x}/b", b"/a/1/b"));
        for path in [&b"/a//b"[..], b"/a/1/2/b", b"/a/1", b"/a/1/b/", b"/a/1/c", b"/a/b"] {
            assert!(!exact.matches(b"/a/{x}/b", path));
        }
        assert!(!exact.matches(b"/a/{x}", b"/a/"));
        let prefix = PatternKind { prefix: true, parameters: true, case: Case::Exact };
        assert!(prefix.matches(b"/a/{x}/", b"/a/1/"));
        assert!(prefix.matches(b"/a/{x}/", b"/a/1/b/c"));
        assert!(!prefix.matches(b"/a/{x}/", b"/a/1"));
        assert!(!prefix.matches(b"/a/{x}/", b"/a//b"));
    }

    #[test]
    fn letters_are_the_same_as_far_as_the_pattern_says() {
        let of = |kind: PatternKind, case| PatternKind { case, ..kind };
        for case in [Case::Ascii, Case::Every] {
            assert!(of(EXACT, case).matches(b"/Keys/a", b"/kEYS/A"));
            assert!(of(PREFIX, case).matches(b"/keys/", b"/KEYS/x"));
            assert!(of(PREFIX, case).matches(b"/", b"/x"));
            assert!(of(PatternKind { parameters: true, ..EXACT }, case).matches(b"/{x}/keys", b"/1/Keys"));
            for path in [&b"/KEYS"[..], b"/KEY/x", b"/KEYSX/x", b"/"] {
                assert!(!of(PREFIX, case).matches(b"/keys/", path));
            }
        }
        for (text, path) in [
            ("/keys", "/\u{212a}eys"),
            ("/\u{212a}eys", "/KEYS"),
            ("/secret", "/\u{17f}ecret"),
            ("/caf\u{e9}", "/CAF\u{c9}"),
            ("/stra\u{df}e", "/STRASSE"),
            ("/admin", "/ADM\u{131}N"),
            ("/admin", "/ADM\u{130}N"),
            ("/adm\u{130}n", "/ADMIN"),
            ("/stra\u{df}e", "/STRA\u{1e9e}E"),
            ("/strasse", "/STRA\u{1e9e}E"),
        ] {
            let (text, path) = (text.as_bytes(), path.as_bytes());
            assert!(of(EXACT, Case::Every).matches(text, path));
            assert!(!of(EXACT, Case::Ascii).matches(text, path));
        }
        assert!(of(EXACT, Case::Every).matches(b"/A\xff", b"/a\xff"));
        assert!(!of(EXACT, Case::Every).matches(b"/a\xff", b"/a\xfe"));
    }

    #[test]
    fn each_letter_is_the_same_as_its_forms_in_either_case() {
        let fold = |text: &str| folded(text.as_bytes()).collect::<Vec<_>>();
        for letter in '\0'..=char::MAX {
            let lower = match letter {
                // The standard library knows the full form alone.
                '\u{130}' => "i".to_owned(),
                letter => letter.to_lowercase().to_string(),
            };
            let (own, upper) = (letter.to_string(), letter.to_uppercase().to_string());
            assert_eq!(fold(&own), fold(&lower), "{letter:?}");
            assert_eq!(fold(&own), fold(&upper), "{letter:?}");
        }
    }

    #[test]
    fn bits_round_trip_and_others_are_refused() {
        for bits in 0..=u8::MAX {
            match PatternKind::from_bits(bits) {
                Some(kind) => assert_eq!(kind.bits(), bits),
                None => assert!(bits >= 12),
            }
        }
    }
}
