//! A canonical path contains nothing to resolve, and an undecided path with an encoded separator has no dot segment in any
//! reading.

use weir_policy::{InvalidPath, Path};

fn has_dots(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| matches!(segment, b"." | b".."))
}

/// Decodes once and leniently, as a careless server does.
fn decode(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *byte == b'%') {
            Some(value) => {
                decoded.push(value);
                rest = &after[2..];
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

/// Checks one input.
pub(crate) fn check(raw: &[u8]) {
    match Path::parse(raw) {
        Ok(path) => {
            let bytes = path.as_bytes();
            assert!(bytes.starts_with(b"/"));
            assert!(!has_dots(bytes), "{path}");
            assert!(!bytes.windows(2).any(|pair| pair == b"//"), "{path}");
            assert!(!bytes.iter().any(|byte| matches!(byte, 0..b' ' | 0x7f | b'\\')), "{path}");
            assert!(!has_dots(&decode(bytes)), "{path}");
            let shown = path.to_string();
            assert_eq!(
                Path::parse(shown.as_bytes()).map(|again| again.as_bytes().to_vec()),
                Ok(bytes.to_vec())
            );
        }
        Err(InvalidPath::EncodedSeparator) => {
            let path = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
            let once = decode(path);
            assert!(
                once.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count()
                    > path.iter().filter(|byte| **byte == b'/').count()
            );
            assert!(!has_dots(path) && !has_dots(&once) && !has_dots(&decode(&once)));
            assert!(!once.iter().any(|byte| matches!(byte, 0..b' ' | 0x7f)));
        }
        Err(_) => {}
    }
}
