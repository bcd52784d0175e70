//! Percent-decoding of paths.

use super::InvalidPath;
use super::segments::count_dot_segments;

/// A path after one decoding.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Whether some of the slashes and backslashes were escaped.
    pub(super) separators: bool,
    /// Whether escapes are left.
    pub(super) escapes: bool,
}

/// Decodes every escape once, and refuses escapes that servers read differently. It accepts encoded separators, and
/// escapes for which a second decoding makes no difference to the path's structure.
pub(super) fn decode(path: &[u8]) -> Result<Decoded, InvalidPath> {
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
    let escapes = has_encoded_escape(&decoded)?;
    Ok(Decoded { bytes: decoded, separators, escapes })
}

/// Decodes every escape once, and leaves a `%` that begins no escape. With `keep_separators`, encoded slashes and
/// backslashes stay encoded, as for a server that splits the path before it decodes.
pub(super) fn decode_leniently(path: &[u8], keep_separators: bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let value = match after {
            [high, low, ..] if *byte == b'%' => hex(*high, *low),
            _ => None,
        };
        match value.filter(|value| !(keep_separators && matches!(value, b'/' | b'\\'))) {
            Some(value) => {
                decoded.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

/// Returns whether an escape is left after one decoding. A path that leads elsewhere for a server that decodes it once
/// more, or that decodes leniently, is refused.
fn has_encoded_escape(decoded: &[u8]) -> Result<bool, InvalidPath> {
    if is_overlong(decoded) {
        return Err(InvalidPath::Overlong);
    }
    if !has_escape(decoded) {
        return Ok(false);
    }
    let twice = decode_leniently(decoded, false);
    let control = twice.iter().any(|byte| matches!(byte, 0..b' ' | 0x7f));
    if control || has_escape(&twice) || count_dot_segments(&twice) > count_dot_segments(decoded) {
        return Err(InvalidPath::DoubleEncoding);
    }
    Ok(true)
}

/// Returns whether the path contains a `%` with two hexadecimal digits.
fn has_escape(path: &[u8]) -> bool {
    path.windows(3).any(|window| matches!(window, [b'%', high, low] if hex(*high, *low).is_some()))
}

/// Returns whether some character has more bytes than UTF-8 needs.
pub(super) fn is_overlong(path: &[u8]) -> bool {
    let overlong =
        |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, 0x80..0xc0] | [0xe0, 0x80..0xa0] | [0xf0, 0x80..0x90]);
    path.windows(2).any(overlong)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)?.checked_shl(4)? | digit(low)?)
}
