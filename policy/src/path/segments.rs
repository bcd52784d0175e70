//! The segments of paths: dot segments and empty segments are removed.

use super::InvalidPath;

/// Returns the fault of a path with encoded separators. The reading that treats all of them as separators has every dot
/// segment of every other reading: other readings only join segments, and a joined segment is no dot segment.
pub(super) fn separator_fault(decoded: &[u8]) -> InvalidPath {
    if count_dot_segments(decoded) > 0 {
        InvalidPath::DotsAndEncodedSeparator
    } else {
        InvalidPath::EncodedSeparator
    }
}

/// Counts the dot segments of a path for a server that treats every slash and backslash as a separator, and drops
/// parameters.
pub(super) fn count_dot_segments(decoded: &[u8]) -> usize {
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).filter(|segment| is_dots(segment)).count()
}

/// Returns whether a segment is a dot segment, with or without parameters.
pub(super) fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b".." | [b'.', b';', ..] | [b'.', b'.', b';', ..])
}

/// The features of a path that require a rewrite or a refusal.
pub(super) struct Shape {
    /// Whether the path has dot segments.
    pub(super) dots: bool,
    /// Whether the path has empty segments, apart from a trailing slash.
    pub(super) empty: bool,
    /// Whether the path begins with several slashes.
    pub(super) beginning: bool,
    /// Whether some segment consists of parameters only.
    pub(super) bare: bool,
}

impl Shape {
    pub(super) fn new(path: &[u8]) -> Result<Shape, InvalidPath> {
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

/// Returns the segments after the leading slash.
pub(super) fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

/// Removes dot segments, encoded or not (RFC 3986, section 5.2.4), and merges slashes. No accepted path needs both.
pub(super) fn rebuild(path: &[u8]) -> Result<Vec<u8>, InvalidPath> {
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

/// Removes the dot segments of a path as sent, and changes nothing else.
pub(super) fn without_dots(path: &[u8]) -> Vec<u8> {
    let has_dots = segments(path).any(|segment| dots(segment).is_some());
    let resolved = has_dots.then(|| rebuild(path).ok()).flatten();
    resolved.unwrap_or_else(|| path.to_vec())
}

/// The kinds of dot segments.
enum Dots {
    /// `.`
    Here,
    /// `..`
    Up,
}

/// Returns the kind of a dot segment, or `None` for another segment. Each dot may be escaped.
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
