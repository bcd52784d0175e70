//! The readings of a path: the paths that servers serve for it.
//!
//! A server may decode escapes, merge slashes, read `//x` as a host, drop parameters, or end the path at the first
//! parameter. It takes none of these steps, some, or all, in its own order. The readings of a path are the results of
//! every such sequence of [`super::steps`]. A rule with `paths` decides about a path only if it decides alike for every
//! reading.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

use super::decoding::{decode, is_overlong};
use super::segments::{is_dots, rebuild, without_dots};
use super::steps::{Passage, Stage, next};
use super::{Path, without_query};
use crate::limits::{READING_BYTES, READINGS};

/// Every reading of a path, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readings {
    list: Vec<Vec<u8>>,
    /// Whether every reading is known: their number is within the limit, and no server would change one further.
    complete: bool,
    /// The path after one decoding, with merged slashes; `None` if it contains an encoded separator or escape.
    canonical: Option<Vec<u8>>,
}

impl Readings {
    /// Returns the readings of a path that [`Path::parse`] accepts or leaves undecided, or `None` if the canonical path
    /// is the only reading.
    pub(crate) fn several(canonical: Option<&Path<'_>>, raw: &[u8]) -> Option<Readings> {
        let path = without_query(raw);
        let one = canonical.is_some_and(|canonical| {
            let parted = |byte: &u8| matches!(byte, b';' | b'?' | b'#');
            !canonical.as_bytes().iter().any(parted) && !path.windows(2).any(|pair| pair == b"//")
        });
        (!one).then(|| Readings::new(path))
    }

    /// Returns the readings of servers that read each `+` as a space, as PHP's `urldecode` and object stores do, or `None`
    /// if the path has no `+`. An encoded `+` stays a `+`.
    pub(crate) fn with_spaces(raw: &[u8]) -> Option<Readings> {
        let path = without_query(raw);
        path.contains(&b'+').then(|| {
            let mut spaced = Vec::with_capacity(path.len());
            for byte in path {
                match byte {
                    b'+' => spaced.extend_from_slice(b"%20"),
                    byte => spaced.push(*byte),
                }
            }
            Readings::new(&spaced)
        })
    }

    /// Returns the readings of any path, even if it has only one.
    #[cfg(all(test, feature = "compile"))]
    pub(crate) fn every(raw: &[u8]) -> Readings {
        Readings::new(without_query(raw))
    }

    #[cfg(all(test, feature = "compile"))]
    pub(crate) fn list(&self) -> &[Vec<u8>] {
        &self.list
    }

    fn new(path: &[u8]) -> Readings {
        let mut passages = vec![Passage { stage: Stage::Encoded, bytes: without_dots(path) }];
        let mut complete = true;
        let mut bytes = path.len();
        let mut done = 0usize;
        while let Some(passage) = passages.get(done).cloned() {
            done = done.saturating_add(1);
            for passage in next(&passage) {
                if passages.contains(&passage) {
                    continue;
                }
                bytes = bytes.saturating_add(passage.bytes.len());
                if passages.len() >= READINGS || bytes > READING_BYTES {
                    complete = false;
                    break;
                }
                passages.push(passage);
            }
        }
        let mut list: Vec<Vec<u8>> = Vec::new();
        for Passage { stage, bytes } in passages {
            if stage == Stage::Encoded || list.contains(&bytes) {
                continue;
            }
            complete &= !is_changed_further(&bytes);
            list.push(bytes);
        }
        Readings { list, complete, canonical: canonical(path) }
    }

    /// Returns each reading as a path, or `None` if some readings are unknown.
    pub(crate) fn paths(&self) -> Option<Vec<Path<'_>>> {
        let path = |reading| Path(Cow::Borrowed(reading));
        self.complete.then(|| self.list.iter().map(Vec::as_slice).map(path).collect())
    }

    /// The reading of servers that decode once and merge slashes, if they agree on one.
    pub(crate) fn canonical(&self) -> Option<&[u8]> {
        self.canonical.as_deref()
    }

    /// Returns the answer of all readings to a question, or `None` if their answers differ or some readings are unknown.
    pub(crate) fn agree(&self, mut question: impl FnMut(&[u8]) -> bool) -> Option<bool> {
        let mut answers = self.list.iter().map(|reading| question(reading));
        let first = answers.next()?;
        (self.complete && answers.all(|answer| answer == first)).then_some(first)
    }

    /// Returns whether at least one reading answers yes.
    pub(crate) fn any(&self, mut question: impl FnMut(&[u8]) -> bool) -> bool {
        self.list.iter().any(|reading| question(reading))
    }
}

/// Returns whether a server may change this reading further: it resolves dot segments, or decodes leniently.
fn is_changed_further(path: &[u8]) -> bool {
    is_overlong(path) || path.split(|byte| *byte == b'/').any(is_dots)
}

fn canonical(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = decode(path).ok().filter(|decoded| !decoded.separators && !decoded.escapes)?;
    rebuild(&decoded.bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(raw: &str) -> (Vec<String>, bool) {
        let path = Path::parse(raw.as_bytes()).ok();
        let Some(readings) = Readings::several(path.as_ref(), raw.as_bytes()) else {
            return (vec![path.map(|path| path.to_string()).unwrap_or_default()], true);
        };
        let mut list: Vec<String> =
            readings.list.iter().map(|reading| String::from_utf8_lossy(reading).into_owned()).collect();
        list.sort_unstable();
        (list, readings.complete)
    }

    fn are(raw: &str, expected: &[&str]) {
        let mut expected: Vec<String> = expected.iter().map(|path| (*path).to_owned()).collect();
        expected.sort_unstable();
        assert_eq!(readings(raw), (expected, true), "{raw}");
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for raw in ["/", "/a/b", "/a/", "/%61", "/a/../b", "/a?//b;c"] {
            assert_eq!(readings(raw).0.len(), 1, "{raw}");
        }
    }

    #[test]
    fn slashes_at_the_beginning_may_begin_an_authority() {
        are("//x/secret", &["//x/secret", "/secret", "/x/secret"]);
        are("//x@y/secret", &["//x@y/secret", "/secret", "/x@y/secret"]);
        are("///x/secret", &["///x/secret", "/secret", "/x/secret"]);
        are("//", &["/", "//"]);
        are("//x", &["/", "//x", "/x"]);
        are("////x//y/z", &["////x//y/z", "//x//y/z", "//y/z", "/x//y/z", "/x/y/z", "/y/z", "/z"]);
    }

    #[test]
    fn slashes_inside_are_merged_or_not() {
        are("/a//b", &["/a//b", "/a/b"]);
        are("/a//", &["/a/", "/a//"]);
    }

    #[test]
    fn an_encoded_separator_parts_or_does_not() {
        are("/@scope%2fname", &["/@scope%2fname", "/@scope/name"]);
        are("/%2fx/y", &["//x/y", "/%2fx/y", "/x/y", "/y"]);
        are("/a%5cb", &["/a%5cb", "/a/b", "/a\\b"]);
        are("/%5cx/y", &["//x/y", "/%5cx/y", "/\\x/y", "/x/y", "/y"]);
    }

    #[test]
    fn an_encoded_escape_is_decoded_or_not() {
        are("/%2561dmin", &["/%61dmin", "/admin"]);
        are("/a%252fb", &["/a%2fb", "/a/b"]);
        are("/a%253bb", &["/a", "/a%3bb", "/a;b"]);
    }

    #[test]
    fn parameters_are_kept_or_dropped() {
        are("/a;1/b;2", &["/a", "/a/b", "/a;1/b", "/a;1/b;2"]);
        are("/a%3bx", &["/a", "/a;x"]);
        are("/;x/secret", &["/", "//secret", "/;x/secret", "/secret"]);
    }

    #[test]
    fn a_mark_that_was_encoded_may_end_the_path() {
        are("/a%3fb", &["/a", "/a?b"]);
        are("/a%23b", &["/a", "/a#b"]);
    }

    #[test]
    fn a_reading_that_leads_on_is_not_known() {
        for raw in ["/a/..%3fx", "/%25c0%25af"] {
            assert!(!readings(raw).1, "{raw}");
        }
    }

    #[test]
    fn readings_are_bounded() {
        for raw in [format!("//{}", "a%252f%3f;x//".repeat(100)), format!("/{};", "a//".repeat(5000))] {
            let readings = Readings::new(raw.as_bytes());
            assert!(!readings.complete);
            assert!(readings.list.len() <= READINGS);
            assert!(readings.list.iter().map(Vec::len).sum::<usize>() <= READING_BYTES);
        }
    }
}
