//! The single steps by which servers turn a path as sent into the path that they serve. Each step is a habit of some
//! servers. It returns `None` if it does not change the path.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::decoding::decode_leniently;

/// The number of decodings of a path so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Encoded,
    Decoded,
    DecodedTwice,
}

/// A path after some steps of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) stage: Stage,
    pub(super) bytes: Vec<u8>,
}

/// Returns every passage that one more step makes of this one.
pub(super) fn next(Passage { stage, bytes }: &Passage) -> impl Iterator<Item = Passage> {
    let same = |bytes: Vec<u8>| Passage { stage: *stage, bytes };
    let decoded = *stage != Stage::Encoded;
    let decodings = match stage {
        Stage::Encoded => [Some(decode_leniently(bytes, false)), Some(decode_leniently(bytes, true))],
        Stage::Decoded => [Some(decode_leniently(bytes, false)), None],
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

/// Merges each run of slashes, as nginx, Go's `path.Clean` and most file systems do.
fn merge(path: &[u8]) -> Option<Vec<u8>> {
    path.windows(2).any(|pair| pair == b"//").then(|| {
        let mut merged = path.to_vec();
        merged.dedup_by(|one, before| *one == b'/' && *before == b'/');
        merged
    })
}

/// Merges only the slashes at the beginning, as Python's `http.server` and WEBrick do.
fn merge_beginning(path: &[u8]) -> Option<Vec<u8>> {
    Some([b"/", behind_slashes(path)?].concat())
}

/// Drops an authority, which may be empty, behind two slashes (RFC 3986, section 4.2), as Java's `URI`, Python's
/// `urlsplit`, PHP's `parse_url`, and Node's `url.parse` in front of an `@` do.
fn drop_authority(path: &[u8]) -> Option<Vec<u8>> {
    Some(from_slash(path.strip_prefix(b"//")?))
}

/// Drops an authority behind any number of slashes, as WHATWG URL parsers such as Node's `new URL` do.
fn drop_authority_behind_slashes(path: &[u8]) -> Option<Vec<u8>> {
    Some(from_slash(behind_slashes(path)?))
}

/// Returns the text behind the slashes at the beginning, if they are several.
fn behind_slashes(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"//")?;
    let end = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    rest.get(end..)
}

fn from_slash(path: &[u8]) -> Vec<u8> {
    let start = path.iter().position(|byte| *byte == b'/');
    start.and_then(|start| path.get(start..)).unwrap_or(b"/").to_vec()
}

/// Ends each segment at its first `;`, as Java's servlet containers do.
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

/// Ends only the last segment at its first `;`, as Python's `urlparse` does.
fn drop_last_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let last = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let length = path.get(last..)?.iter().position(|byte| *byte == b';')?;
    path.get(..last.saturating_add(length)).map(<[u8]>::to_vec)
}

/// Turns backslashes into slashes, as Windows' file systems and the URL parsers for them do.
fn turn_backslashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| {
        let turn = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
        path.iter().map(turn).collect()
    })
}

/// Ends the path at a mark, as a server or a rewriting proxy does that looks for the query or the fragment after it has
/// decoded. Fastify 4 (`find-my-way`) starts the query at the first `;`.
fn end_at(path: &[u8], mark: u8) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| *byte == mark)?;
    path.get(..end).map(<[u8]>::to_vec)
}
