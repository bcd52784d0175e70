//! The single steps that servers take on the way from a path as sent to what they serve. Each step is one server's habit
//! and gives nothing where the path is not touched by it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::hex;

/// How often a path was decoded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Encoded,
    Decoded,
    DecodedTwice,
}

/// A path on its way through a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) stage: Stage,
    pub(super) bytes: Vec<u8>,
}

/// Every passage that one step more makes of this one.
pub(super) fn next(Passage { stage, bytes }: &Passage) -> impl Iterator<Item = Passage> {
    let same = |bytes: Vec<u8>| Passage { stage: *stage, bytes };
    let decoded = *stage != Stage::Encoded;
    let decodings = match stage {
        Stage::Encoded => [Some(decode(bytes, false)), Some(decode(bytes, true))],
        Stage::Decoded => [Some(decode_again(bytes)), None],
        Stage::DecodedTwice => [None, None],
    };
    let stage_after = if decoded { Stage::DecodedTwice } else { Stage::Decoded };
    let decodings = decodings.into_iter().flatten();
    let decodings = decodings.map(move |bytes| Passage { stage: stage_after, bytes });
    let rewritten = [
        merge(bytes),
        merge_beginning(bytes),
        drop_authority(bytes),
        drop_authority_behind_slashes(bytes),
        drop_parameters(bytes),
        drop_last_parameters(bytes),
        end_at(bytes, b';'),
        decoded.then(|| turn_backslashes(bytes)).flatten(),
        decoded.then(|| end_at(bytes, b'?')).flatten(),
        decoded.then(|| end_at(bytes, b'#')).flatten(),
    ];
    decodings.chain(rewritten.into_iter().flatten().map(same))
}

/// Decodes every escape once; with `parting_stay`, encoded slashes and backslashes stay as they are, because the server
/// splits the path before it decodes.
fn decode(path: &[u8], parting_stay: bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let value = match after {
            [high, low, ..] if *byte == b'%' => hex(*high, *low),
            _ => None,
        };
        match value.filter(|value| !(parting_stay && matches!(value, b'/' | b'\\'))) {
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

/// Decodes once more, laxly: a `%` that starts no escape is a percent sign.
pub(super) fn decode_again(decoded: &[u8]) -> Vec<u8> {
    decode(decoded, false)
}

/// nginx, Go's `path.Clean` and most file systems: a run of slashes is one.
fn merge(path: &[u8]) -> Option<Vec<u8>> {
    path.windows(2).any(|pair| pair == b"//").then(|| {
        let mut merged = path.to_vec();
        merged.dedup_by(|one, before| *one == b'/' && *before == b'/');
        merged
    })
}

/// Python's `http.server` and WEBrick: the slashes at the beginning alone are merged.
fn merge_beginning(path: &[u8]) -> Option<Vec<u8>> {
    Some([b"/", behind_slashes(path)?].concat())
}

/// RFC 3986, section 4.2 (Java's `URI`, Python's `urlsplit`, PHP's `parse_url`, Node's `url.parse` where an `@` follows):
/// two slashes begin an authority, which may be empty.
fn drop_authority(path: &[u8]) -> Option<Vec<u8>> {
    Some(from_slash(path.strip_prefix(b"//")?))
}

/// WHATWG URL (Node's `new URL`): the authority is what follows any number of slashes.
fn drop_authority_behind_slashes(path: &[u8]) -> Option<Vec<u8>> {
    Some(from_slash(behind_slashes(path)?))
}

/// What follows the slashes at the beginning, if they are several.
fn behind_slashes(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"//")?;
    let end = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    rest.get(end..)
}

fn from_slash(path: &[u8]) -> Vec<u8> {
    let start = path.iter().position(|byte| *byte == b'/');
    start.and_then(|start| path.get(start..)).unwrap_or(b"/").to_vec()
}

/// Java's servlet containers: each segment ends at its first `;`.
fn drop_parameters(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b';').then(|| {
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
    })
}

/// Python's `urlparse`: the last segment alone ends at its first `;`.
fn drop_last_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let last = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let length = path.get(last..)?.iter().position(|byte| *byte == b';')?;
    path.get(..last.saturating_add(length)).map(<[u8]>::to_vec)
}

/// Windows' file systems, and the URL parsers that serve them.
fn turn_backslashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| {
        let turn = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
        path.iter().map(turn).collect()
    })
}

/// A server or a rewriting proxy that decodes first, and then looks for the query or the fragment, ends the path there.
/// Fastify 4 (`find-my-way`) starts the query at the first `;`.
fn end_at(path: &[u8], mark: u8) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| *byte == mark)?;
    path.get(..end).map(<[u8]>::to_vec)
}
