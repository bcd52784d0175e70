//! Responses of the filter that wait until a denied request has ended.
//!
//! Envoy resets an HTTP/2 stream whose response is whole before its request is (`RST_STREAM`, `NO_ERROR`). libcurl 7.88 then
//! loses the response if it reads both at once. So a denied request with content gets its response when the content
//! has arrived. The filter drops the content.

use std::collections::BTreeMap;

use weir_filter::hostcalls::LocalResponse;

/// The largest content that a response waits for. The client sends it for nothing, so it must not be large.
const CONTENT: u64 = 16 << 20;
/// Nanoseconds that a response waits for content that arrives slowly: one minute. Envoy itself ends a request whose content
/// does not arrive at all.
const WAIT: u64 = 60_000_000_000;
/// The number of denied requests of one worker that may be held at a time; others get their response at once. A response has
/// about 2 KiB.
const HELD: usize = 1024;

/// The denied requests of a worker whose headers Envoy still holds, by their contexts.
#[derive(Debug, Default)]
pub struct HeldResponses {
    responses: BTreeMap<u32, Held>,
}

/// A request stays here after its response was sent: a piece that was not dropped would take the denied request to its
/// upstream.
#[derive(Debug)]
struct Held {
    response: Option<LocalResponse>,
    /// The time from which on the response waits no longer.
    until: u64,
}

/// The next step for a piece of content.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The request was not denied.
    Forward,
    /// The request was denied. A response is to be sent now.
    Drop(Option<LocalResponse>),
}

impl HeldResponses {
    /// Returns whether no further response can be held.
    pub fn is_full(&self) -> bool {
        self.responses.len() >= HELD
    }

    /// Holds the response to a denied request. Times are in nanoseconds; a host without a clock has none.
    pub fn hold(&mut self, context: u32, response: LocalResponse, now: Option<u64>) {
        let until = now.map_or(0, |now| now.saturating_add(WAIT));
        self.responses.insert(context, Held { response: Some(response), until });
    }

    /// Takes a piece of a request's content. Only a held request needs the time.
    pub fn piece(&mut self, context: u32, is_end: bool, now: impl FnOnce() -> Option<u64>) -> Piece {
        match self.responses.get_mut(&context) {
            None => Piece::Forward,
            Some(Held { response, until }) => {
                let is_over = is_end || now().is_none_or(|now| now >= *until);
                Piece::Drop(if is_over { response.take() } else { None })
            }
        }
    }

    /// Forgets a request that has ended.
    pub fn remove(&mut self, context: u32) {
        self.responses.remove(&context);
    }
}

/// Returns whether the response to a denied request with content waits for that content.
///
/// The content must have a length, within the bound: a client that streams may wait for the response before it ends its
/// request. A client that sends `Expect: 100-continue` waits before it sends any content. Over HTTP/1.1 every known client
/// finds the response.
pub fn waits(header: impl Fn(&[u8]) -> Option<Vec<u8>>, protocol: impl FnOnce() -> Option<Vec<u8>>) -> bool {
    // A number that starts with a sign or a zero is refused as ambiguous, and its content may never come.
    let length = header(b"content-length")
        .filter(|value| matches!(value.first(), Some(b'1'..=b'9')))
        .and_then(|value| std::str::from_utf8(&value).ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length <= CONTENT)
        && header(b"expect").is_none()
        && protocol().is_some_and(|protocol| protocol == b"HTTP/2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16) -> LocalResponse {
        LocalResponse { status, headers: Vec::new(), body: Vec::new() }
    }

    #[test]
    fn no_piece_of_a_denied_request_is_forwarded_before_or_after_its_response() {
        let mut held = HeldResponses::default();
        held.hold(7, response(403), Some(5));
        assert_eq!(held.piece(7, false, || Some(6)), Piece::Drop(None));
        assert_eq!(held.piece(7, true, || Some(6)), Piece::Drop(Some(response(403))));
        assert_eq!(held.piece(7, true, || Some(6)), Piece::Drop(None));
        assert_eq!(held.piece(8, true, || Some(6)), Piece::Forward);
        held.remove(7);
        assert_eq!(held.responses.len(), 0);
    }

    #[test]
    fn a_response_does_not_wait_for_content_that_arrives_slowly() {
        let mut held = HeldResponses::default();
        held.hold(7, response(403), Some(5));
        assert_eq!(held.piece(7, false, || Some(WAIT + 4)), Piece::Drop(None));
        assert_eq!(held.piece(7, false, || Some(WAIT + 5)), Piece::Drop(Some(response(403))));
        assert_eq!(held.piece(7, false, || Some(WAIT + 5)), Piece::Drop(None));
        for (begun, now) in [(None, Some(5)), (Some(5), None)] {
            held.hold(8, response(403), begun);
            assert_eq!(held.piece(8, false, || now), Piece::Drop(Some(response(403))), "{begun:?} {now:?}");
        }
    }

    #[test]
    fn the_number_of_held_responses_is_bounded() {
        let mut held = HeldResponses::default();
        for context in 0.. {
            if held.is_full() {
                break;
            }
            held.hold(context, response(403), Some(5));
        }
        assert_eq!(held.responses.len(), HELD);
    }

    #[test]
    fn a_response_waits_only_for_content_that_a_client_is_sending_over_http_2() {
        let asked = |headers: &[(&str, &str)], protocol: &str| {
            let header = |name: &[u8]| {
                let mut found = headers.iter().filter(|(known, _)| known.as_bytes() == name);
                found.next().map(|(_, value)| value.as_bytes().to_vec())
            };
            waits(header, || Some(protocol.as_bytes().to_vec()))
        };
        assert!(asked(&[("content-length", "16777216")], "HTTP/2"));
        assert!(!asked(&[("content-length", "16777217")], "HTTP/2"));
        for odd in ["x", "", "0", "+5", "005", "5, 5", "5 "] {
            assert!(!asked(&[("content-length", odd)], "HTTP/2"), "{odd}");
        }
        assert!(!asked(&[], "HTTP/2"));
        assert!(!asked(&[("content-length", "5")], "HTTP/1.1"));
        assert!(!asked(&[("content-length", "5"), ("expect", "100-continue")], "HTTP/2"));
    }
}
