//! The canonical path: what every comparison of paths is made on.
//!
//! Servers disagree on what a path means once escapes, dots, parameters and doubled slashes come in. A path that every
//! server reads alike has one canonical form. A path that leads elsewhere in a reading that cannot be followed is
//! refused. A path between the two is *undecided*: the rules that look at paths judge each of its [`readings`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;

use crate::limits::PATH_BYTES;

pub(crate) mod pattern;
pub(crate) mod readings;
mod steps;

/// A path in canonical form: without query, percent-decoded once, without dot segments and empty segments (a trailing
/// slash stays), with the parameters of its segments. Bytes, because nothing says that a path is UTF-8. Displays
/// percent-encoded, which parses back to the same path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(Cow<'a, [u8]>);

/// Why a path could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It does not start with a slash; `*` is not a path either.
    #[error("the path does not start with `/`")]
    NotAbsolute,
    /// Longer than what is read.
    #[error("the path is longer than {PATH_BYTES} bytes")]
    TooLong,
    /// A control character, space or NUL, raw or encoded (an encoded space is fine).
    #[error("the path contains a control character or a raw space")]
    Control,
    /// A raw backslash: some servers take it for a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// `%2F` or `%5C`: a separator for some servers and a character for others. The path's only trouble: whichever way
    /// it is read, it holds no dot segment and nothing else that is refused.
    #[error("the path contains an encoded slash or backslash")]
    EncodedSeparator,
    /// An encoded separator, and a dot segment if it is taken for one: the reading decides where the path leads.
    #[error("the path has dot segments beside an encoded slash or backslash")]
    DotsAndEncodedSeparator,
    /// A raw `#`, which ends a path for some and not for others.
    #[error("the path contains a raw `#`")]
    Fragment,
    /// `%` without two hexadecimal digits.
    #[error("the path contains a `%` without two hexadecimal digits")]
    Escape,
    /// An escape that decodes to an escape, and a second decoding makes a dot segment, a control character or a third
    /// escape of it: `%252e%252e`, `%2500`, `%252541`.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// An escape that decodes to an escape: `%2561` is `%61` for a server that decodes once and `a` for one that decodes
    /// twice. The path's only trouble, in both readings.
    #[error("the path contains an encoded escape")]
    EncodedEscape,
    /// UTF-8 in more bytes than needed: `%c0%af` is a slash for a lax decoder.
    #[error("the path contains overlong UTF-8")]
    Overlong,
    /// More `..` than segments before them.
    #[error("the path leaves the root")]
    AboveRoot,
    /// Dot segments and empty segments together: which is removed first decides what is left. A segment of parameters
    /// alone (`/;x/`) is empty for servers that drop parameters first.
    #[error("the path has both dot segments and empty segments")]
    DotsAndEmpty,
    /// `..;x`: a dot segment for servers that drop path parameters first.
    #[error("the path has a dot segment with parameters")]
    DotParameters,
    /// `//x/y`: `x` is a segment for some servers, and a host for those that take the path for a reference to a URL.
    /// The path's only trouble.
    #[error("the path begins with more than one slash")]
    EmptyBeginning,
}

impl InvalidPath {
    /// Whether the path is left to the rules: a rule that looks at paths judges each reading of it, and to a rule that
    /// does not, the path is as any other.
    #[must_use]
    pub fn is_undecided(self) -> bool {
        matches!(
            self,
            InvalidPath::EncodedSeparator | InvalidPath::EncodedEscape | InvalidPath::EmptyBeginning
        )
    }
}

impl<'a> Path<'a> {
    /// Reads a `:path`; the query, from the first `?`, is not part of it. Borrows when nothing has to be changed.
    ///
    /// # Errors
    /// [`InvalidPath`] when two servers could read it differently.
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
                return Err(undecided(&bytes));
            }
            (Cow::Owned(bytes), escapes)
        };
        let shape = Shape::of(&decoded)?;
        let canonical = match (shape.dots, shape.empty) {
            (false, false) => decoded,
            (true, _) if shape.empty || shape.bare => return Err(InvalidPath::DotsAndEmpty),
            (true, _) | (false, true) => Cow::Owned(rebuild(&decoded)?),
        };
        // Both are asked last: they must be the only trouble.
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
                // RFC 3986, section 3.3: unreserved and what a segment may have raw.
                b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
                | b',' | b';' | b'=' | b':' | b'@' => write!(f, "{}", char::from(*byte))?,
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

/// A `:path` up to its query.
fn without_query(raw: &[u8]) -> &[u8] {
    raw.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// What is left after one decoding.
struct Decoded {
    bytes: Vec<u8>,
    /// Some of its slashes and backslashes were escapes.
    separators: bool,
    /// An escape still stands.
    escapes: bool,
}

/// Decodes every escape once and refuses those whose meaning differs between servers, but for separators and what a
/// second decoding would only spell otherwise.
fn decode(path: &[u8]) -> Result<Decoded, InvalidPath> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut separators = false;
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'%' {
            decoded.push(*byte);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(InvalidPath::Escape) };
        match hex(*high, *low).ok_or(InvalidPath::Escape)? {
            0..b' ' | 0x7f => return Err(InvalidPath::Control),
            byte => {
                separators |= matches!(byte, b'/' | b'\\');
                decoded.push(byte);
            }
        }
        rest = after;
    }
    let escapes = second_layer(&decoded)?;
    Ok(Decoded { bytes: decoded, separators, escapes })
}

/// What is wrong with a path that has encoded separators. The finest reading, which takes each of them for a separator,
/// has every dot segment that any other reading has: a coarser one joins segments, and a segment joined by a separator
/// is no dot segment for anybody who joins it.
fn undecided(decoded: &[u8]) -> InvalidPath {
    if finest_dots(decoded) > 0 {
        InvalidPath::DotsAndEncodedSeparator
    } else {
        InvalidPath::EncodedSeparator
    }
}

/// How many dot segments a path has for a server that takes every slash and backslash for a separator and drops
/// parameters.
fn finest_dots(decoded: &[u8]) -> usize {
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).filter(|segment| is_dots(segment)).count()
}

/// Whether a segment is a dot segment, with parameters or without.
fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b".." | [b'.', b';', ..] | [b'.', b'.', b';', ..])
}

/// Whether an escape is left after one decoding. What is left must not lead elsewhere for a server that decodes once
/// more, or laxly.
fn second_layer(decoded: &[u8]) -> Result<bool, InvalidPath> {
    if is_overlong(decoded) {
        return Err(InvalidPath::Overlong);
    }
    if !has_escape(decoded) {
        return Ok(false);
    }
    let twice = steps::decode_again(decoded);
    let control = twice.iter().any(|byte| matches!(byte, 0..b' ' | 0x7f));
    if control || has_escape(&twice) || finest_dots(&twice) > finest_dots(decoded) {
        return Err(InvalidPath::DoubleEncoding);
    }
    Ok(true)
}

/// Whether a `%` with two hexadecimal digits stands somewhere.
fn has_escape(path: &[u8]) -> bool {
    path.windows(3).any(|window| matches!(window, [b'%', high, low] if hex(*high, *low).is_some()))
}

/// Whether some character is in more bytes than UTF-8 needs.
fn is_overlong(path: &[u8]) -> bool {
    let overlong =
        |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, 0x80..0xc0] | [0xe0, 0x80..0xa0] | [0xf0, 0x80..0x90]);
    path.windows(2).any(overlong)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)?.checked_shl(4)? | digit(low)?)
}

/// Which of the things that need rewriting a path has.
struct Shape {
    dots: bool,
    /// Empty segments other than the last one, which is a trailing slash.
    empty: bool,
    /// The first segment is empty, and not the last.
    beginning: bool,
    /// Segments of parameters alone.
    bare: bool,
}

impl Shape {
    fn of(path: &[u8]) -> Result<Shape, InvalidPath> {
        let mut shape = Shape { dots: false, empty: false, beginning: path.starts_with(b"//"), bare: false };
        let mut segments = segments(path).peekable();
        while let Some(segment) = segments.next() {
            match segment {
                b"." | b".." => shape.dots = true,
                b"" => shape.empty |= segments.peek().is_some(),
                [b';', ..] => shape.bare = true,
                [b'.', b';', ..] | [b'.', b'.', b';', ..] => return Err(InvalidPath::DotParameters),
                _ => {}
            }
        }
        Ok(shape)
    }
}

/// The segments after the leading slash.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

/// Removes dot segments, encoded or not (RFC 3986, section 5.2.4), and merges slashes; a path never needs both.
fn rebuild(path: &[u8]) -> Result<Vec<u8>, InvalidPath> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut trailing = false;
    for segment in segments(path) {
        let dots = dots(segment);
        trailing = segment.is_empty() || dots.is_some();
        match dots {
            Some(Dots::Here) => {}
            Some(Dots::Up) => {
                kept.pop().ok_or(InvalidPath::AboveRoot)?;
            }
            None if segment.is_empty() => {}
            None => kept.push(segment),
        }
    }
    let mut rebuilt = Vec::with_capacity(path.len());
    for segment in kept {
        rebuilt.push(b'/');
        rebuilt.extend_from_slice(segment);
    }
    if trailing || rebuilt.is_empty() {
        rebuilt.push(b'/');
    }
    Ok(rebuilt)
}

/// A path as sent without its dot segments; nothing else of it is changed.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let has_dots = segments(path).any(|segment| dots(segment).is_some());
    let resolved = has_dots.then(|| rebuild(path).ok()).flatten();
    resolved.unwrap_or_else(|| path.to_vec())
}

/// A dot segment.
enum Dots {
    /// `.`
    Here,
    /// `..`
    Up,
}

/// Which dot segment this is, if it is one; each dot may be an escape.
fn dots(segment: &[u8]) -> Option<Dots> {
    let dot = |segment: &[u8]| match segment {
        [b'.', ..] => Some(1usize),
        [b'%', b'2', b'e' | b'E', ..] => Some(3),
        _ => None,
    };
    let rest = segment.get(dot(segment)?..)?;
    if rest.is_empty() {
        return Some(Dots::Here);
    }
    rest.get(dot(rest)?..)?.is_empty().then_some(Dots::Up)
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
