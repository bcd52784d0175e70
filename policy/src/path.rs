//! The canonical path. Every comparison of paths compares canonical paths.
//!
//! Servers read a path differently if it contains escapes, dot segments, parameters or doubled slashes. A path that every
//! server reads alike has one canonical form. A path that some server cannot follow safely is refused. Any other path is
//! *undecided*: a rule with `paths` judges each of its [`readings`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;

use crate::limits::PATH_BYTES;

mod decoding;
mod invalid_path;
pub(crate) mod pattern;
pub(crate) mod readings;
mod segments;
mod steps;

use decoding::{Decoded, decode};
pub use invalid_path::InvalidPath;
use segments::{Shape, rebuild, separator_fault};

/// A path in canonical form: without its query, percent-decoded once, without dot segments and without empty segments
/// except for a trailing slash. The parameters of segments stay. A path is bytes, because it need not be UTF-8. It is
/// displayed percent-encoded, and the displayed text parses back to the same path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(Cow<'a, [u8]>);

impl<'a> Path<'a> {
    /// Parses a `:path`. The query, from the first `?` on, is not part of the path. A canonical path is borrowed.
    ///
    /// # Errors
    /// [`InvalidPath`] when two servers could read the path differently.
    pub fn parse(raw: &'a [u8]) -> Result<Path<'a>, InvalidPath> {
        let path = without_query(raw);
        if path.first() != Some(&b'/') {
            return Err(InvalidPath::NotAbsolute);
        }
        if path.len() > PATH_BYTES {
            return Err(InvalidPath::TooLong);
        }
        let mut plain = true;
        for byte in path {
            match byte {
                0..=b' ' | 0x7f => return Err(InvalidPath::Control),
                b'\\' => return Err(InvalidPath::Backslash),
                b'#' => return Err(InvalidPath::Fragment),
                b'%' | 0x80.. => plain = false,
                _ => {}
            }
        }
        let (decoded, escapes) = if plain {
            (Cow::Borrowed(path), false)
        } else {
            let Decoded { bytes, separators, escapes } = decode(path)?;
            if separators {
                return Err(separator_fault(&bytes));
            }
            (Cow::Owned(bytes), escapes)
        };
        let shape = Shape::new(&decoded)?;
        let canonical = match (shape.dots, shape.empty) {
            (false, false) => decoded,
            (true, _) if shape.empty || shape.bare => return Err(InvalidPath::DotsAndEmpty),
            (true, _) | (false, true) => Cow::Owned(rebuild(&decoded)?),
        };
        // These two are checked last, because such a path is undecided only if it has no other fault.
        match (escapes, shape.beginning) {
            (true, _) => Err(InvalidPath::EncodedEscape),
            (false, true) => Err(InvalidPath::EmptyBeginning),
            (false, false) => Ok(Path(canonical)),
        }
    }

    /// The canonical bytes, starting with a slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(f, "{}", char::from(*byte))?,
                // RFC 3986, section 3.3: the marks that a segment may contain unescaped.
                b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
                | b',' | b';' | b'=' | b':' | b'@' => write!(f, "{}", char::from(*byte))?,
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

/// Returns a `:path` without its query.
fn without_query(raw: &[u8]) -> &[u8] {
    raw.split(|byte| *byte == b'?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, InvalidPath> {
        Path::parse(raw.as_bytes()).map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned())
    }

    fn is(raw: &str, expected: &str) {
        assert_eq!(canonical(raw), Ok(expected.to_owned()), "{raw}");
    }

    #[test]
    fn a_plain_path_is_borrowed() {
        for raw in ["/", "/a/b", "/a/", "/.well-known/x", "/a...b/..c", "/a;x=1", "/a?b=%zz/../\\"] {
            assert!(matches!(Path::parse(raw.as_bytes()), Ok(Path(Cow::Borrowed(_)))), "{raw}");
        }
    }

    #[test]
    fn the_query_is_not_part_of_the_path() {
        is("/a?b", "/a");
        is("/a%3fb", "/a?b");
        is("/?/..", "/");
    }

    #[test]
    fn escapes_are_decoded_once() {
        is("/%61%20b", "/a b");
        is("/caf%C3%A9", "/café");
        is("/100%25", "/100%");
        is("/100%25/41", "/100%/41");
        is("/50%25-off%25a", "/50%-off%a");
    }

    #[test]
    fn an_escape_that_is_left_is_told_from_every_other_trouble() {
        for raw in [
            "/%2561dmin",
            "/a%2541",
            "/%25%36%31",
            "/x/../%2561",
            "//%2561",
            "/%25c0%25af",
            "/%25%2561",
            "/%2520",
            "/a%252fb",
            "/a%255Cb",
            "/a%252eb",
            "/a%253bb",
            "/100%2525",
        ] {
            assert_eq!(canonical(raw), Err(InvalidPath::EncodedEscape), "{raw}");
        }
        for (raw, error) in [
            ("/%2561/%252e", InvalidPath::DoubleEncoding),
            ("/a%252f%252e%252e", InvalidPath::DoubleEncoding),
            ("/a%255c../b", InvalidPath::DoubleEncoding),
            ("/%252e%253bx", InvalidPath::DoubleEncoding),
            ("/%252561", InvalidPath::DoubleEncoding),
            ("/%2500", InvalidPath::DoubleEncoding),
            ("/%2561%2fb", InvalidPath::EncodedSeparator),
            ("/%2561%2f../b", InvalidPath::DotsAndEncodedSeparator),
            ("/../%2561", InvalidPath::AboveRoot),
            ("/%2561//../b", InvalidPath::DotsAndEmpty),
            ("/%2561/..;", InvalidPath::DotParameters),
            ("/%2561%c0%af", InvalidPath::Overlong),
            ("/%2561%", InvalidPath::Escape),
        ] {
            assert_eq!(canonical(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn a_segment_of_parameters_alone_is_refused_beside_dot_segments() {
        for raw in ["/v2/;x/../a", "/;/..", "/./;x", "/a/../%3bx", "/;x/%2e%2e/a"] {
            assert_eq!(canonical(raw), Err(InvalidPath::DotsAndEmpty), "{raw}");
        }
        is("/a/;x/b", "/a/;x/b");
        is("/a//;x", "/a/;x");
        is("/a;x/../b", "/b");
    }

    #[test]
    fn dot_segments_and_doubled_slashes_are_removed() {
        is("/a/./b", "/a/b");
        is("/a/../b", "/b");
        is("/a/b/..", "/a/");
        is("/a/.", "/a/");
        is("/a/..", "/");
        is("/x/%2e%2e/a", "/a");
        is("/a///b//", "/a/b/");
        is("/a//", "/a/");
    }

    #[test]
    fn an_empty_beginning_is_told_from_every_other_trouble() {
        for raw in ["//", "///", "//a", "//a///b//", "///x/y", "//x@y/z", "//%61", "//;x/a", "//a?//b"] {
            assert_eq!(canonical(raw), Err(InvalidPath::EmptyBeginning), "{raw}");
        }
        for raw in ["//../a", "/.//a", "/..//a", "/x/..//y", "//x/../y", "/%2e//a"] {
            assert_eq!(canonical(raw), Err(InvalidPath::DotsAndEmpty), "{raw}");
        }
        assert_eq!(canonical("//a%2fb"), Err(InvalidPath::EncodedSeparator));
        assert_eq!(canonical("/\\a"), Err(InvalidPath::Backslash));
    }

    #[test]
    fn an_encoded_separator_is_told_from_every_other_trouble() {
        for raw in ["/@scope%2fname", "/a%2Fb/%61?c", "/a%5Cb", "/%2f", "/a//b%2f", "/a%2f..b", "/a%2f%2fb"] {
            assert_eq!(canonical(raw), Err(InvalidPath::EncodedSeparator), "{raw}");
        }
        for raw in [
            "/a/..%2f..%2fb",
            "/a%2f..",
            "/..%2fa",
            "/a%2f.%2fb",
            "/../a%2fb",
            "/./a%2fb",
            "/a%2f%2e%2e/b",
            "/a%5c..%5cb",
            "/a%2f..;x/b",
            "/x/../a%2fb",
        ] {
            assert_eq!(canonical(raw), Err(InvalidPath::DotsAndEncodedSeparator), "{raw}");
        }
        assert_eq!(canonical("/a%2fb%00"), Err(InvalidPath::Control));
        assert_eq!(canonical("/a%2fb%2"), Err(InvalidPath::Escape));
        assert_eq!(canonical("/a%2f%252e"), Err(InvalidPath::DoubleEncoding));
        assert_eq!(canonical("/a%2fb%c0%af"), Err(InvalidPath::Overlong));
        assert_eq!(canonical("/a%2fb\\c"), Err(InvalidPath::Backslash));
    }

    #[test]
    fn the_display_form_parses_back_to_the_same_path() {
        for raw in ["/a b%25", "/caf%C3%A9/%FF", "/%3f%23%7B"] {
            let Ok(path) = Path::parse(raw.replace(' ', "%20").as_bytes()).map(|path| path.to_string())
            else {
                panic!("{raw}")
            };
            let again = Path::parse(path.as_bytes()).map(|path| path.to_string());
            assert_eq!(again, Ok(path));
        }
    }
}
