//! What is left of a path for servers that drop path parameters (RFC 3986, section 3.3): `/admin` of `/admin;x=1`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{InvalidPath, Path, rebuild};

/// A path with parameters as the servers read it that drop them, both canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WithoutParameters {
    /// For one that drops them and then decodes: `%3b` is a letter.
    dropped_first: Vec<u8>,
    /// For one that decodes and then drops them: `%3b` is `;`.
    decoded_first: Vec<u8>,
}

impl WithoutParameters {
    /// Reads the path and what it was read from; none for a path without parameters, and then nothing is allocated.
    ///
    /// # Errors
    /// [`InvalidPath`] when a reading is refused. None is known: what could make one is refused with the path.
    pub(crate) fn of(path: &Path<'_>, raw: &[u8]) -> Result<Option<WithoutParameters>, InvalidPath> {
        if !path.as_bytes().contains(&b';') {
            return Ok(None);
        }
        let raw = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
        let dropped_first = Path::parse(&cut(raw))?.as_bytes().to_vec();
        // Nothing is left to decode here, so it is not parsed: a `%` is a `%`.
        let decoded_first = rebuild(&cut(path.as_bytes()))?;
        Ok(Some(WithoutParameters { dropped_first, decoded_first }))
    }

    /// The readings.
    pub(crate) fn readings(&self) -> [&[u8]; 2] {
        [&self.dropped_first, &self.decoded_first]
    }
}

/// Cuts each segment off at its first `;`.
fn cut(path: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(path.len());
    let mut parameters = false;
    for byte in path {
        match byte {
            b'/' => parameters = false,
            b';' => parameters = true,
            _ => {}
        }
        if !parameters {
            kept.push(*byte);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(raw: &str) -> Option<[String; 2]> {
        let path = Path::parse(raw.as_bytes()).expect("a path");
        let without = WithoutParameters::of(&path, raw.as_bytes()).expect("readings");
        without.map(|without| without.readings().map(|path| String::from_utf8_lossy(path).into_owned()))
    }

    #[test]
    fn each_segment_is_cut_at_its_first_semicolon_and_empty_ones_are_merged() {
        for (raw, expected) in [
            ("/admin;x=1", "/admin"),
            ("/admin;x;y/b;?;", "/admin/b"),
            ("/;x/admin", "/admin"),
            ("/admin/;x", "/admin/"),
            ("/a/;x/;y/b", "/a/b"),
            ("/;", "/"),
            ("/x/../%61;x/b", "/a/b"),
            ("/%61;x//b", "/a/b"),
            ("/100%25;61", "/100%"),
        ] {
            assert_eq!(readings(raw), Some([expected.to_owned(), expected.to_owned()]), "{raw}");
        }
    }

    #[test]
    fn an_encoded_semicolon_is_a_letter_where_parameters_are_dropped_first() {
        assert_eq!(readings("/admin%3bx"), Some(["/admin;x".to_owned(), "/admin".to_owned()]));
        assert_eq!(readings("/a;1/%3by/c"), Some(["/a/;y/c".to_owned(), "/a/c".to_owned()]));
    }

    #[test]
    fn a_path_without_parameters_has_no_other_reading() {
        for raw in ["/", "/admin", "/admin?;x", "/a;x/../b"] {
            assert_eq!(readings(raw), None, "{raw}");
        }
    }
}
