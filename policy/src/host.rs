//! The canonical host, on which every comparison of names is made.
//!
//! The input is untrusted: bytes from the wire or text from a document.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{Ipv4Addr, Ipv6Addr};
use std::io::Write as _;

use crate::limits::{HOST_BYTES, LABEL_BYTES};

/// A host in canonical form: a lower-case ASCII name without trailing dot, or an address in its one canonical text.
///
/// A name has 1 to 127 labels of 1 to 63 bytes out of `a-z 0-9 -`, and 253 bytes at most. A `_` makes a name invalid,
/// because Envoy answers 400 to a client of the proxy that names such a host, whatever the policy says; only the host of
/// a rule's own upstream may have it ([`Host::parse_upstream`]). A name whose
/// last label is a number (`0x` forms included) must be an address (WHATWG URL, "ends in a number"), so the old
/// spellings of IPv4 are invalid. Addresses are four decimal octets, or IPv6 in brackets as in RFC 5952. The text is held inline:
/// a host never allocates.
#[derive(Clone, Copy)]
pub struct Host {
    text: [u8; HOST_BYTES],
    length: u8,
    address: bool,
}

/// An error for bytes that are not a host, or not an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// The host is empty.
    #[error("the host is empty")]
    Empty,
    /// The host is longer than the limit.
    #[error("the host is longer than {HOST_BYTES} bytes")]
    TooLong,
    /// The host has two dots in a row, a dot at its start, or more than one at its end.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label has more than 63 bytes.
    #[error("the host has a label longer than {LABEL_BYTES} bytes")]
    LabelTooLong,
    /// A byte is above 0x7F. On the wire, international names are A-labels (`xn--…`).
    #[error("the host is not ASCII")]
    NotAscii,
    /// A `_`, which Envoy accepts neither in a CONNECT nor in the URL of a request.
    #[error("the host contains a `_`, and Envoy refuses requests for such a host")]
    Underscore,
    /// A byte that host names do not contain.
    #[error("the host contains the character `{}`", char::from(*.0).escape_default())]
    Character(u8),
    /// The authority has the form `user@host`.
    #[error("the host is preceded by user information")]
    Userinfo,
    /// The name ends in a number, but is not four decimal octets: `127.1`, `0x7f000001`, `017700000001`.
    #[error("the host ends in a number but is not an IPv4 address in four decimal octets")]
    AddressNotation,
    /// The brackets contain no IPv6 address, or do not pair.
    #[error("the host is not an IPv6 address in brackets")]
    Brackets,
    /// The port is empty, zero, too large, not decimal, or starts with a zero.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A required port is missing.
    #[error("the port is missing")]
    MissingPort,
}

impl Host {
    /// Parses a host without port. It folds case, drops one trailing dot, and gives an address its canonical text.
    ///
    /// # Errors
    /// [`InvalidHost`] for any other spelling. Nothing else is repaired.
    pub fn parse(raw: &[u8]) -> Result<Host, InvalidHost> {
        Host::parse_with(raw, b'-')
    }

    /// Parses the host of a rule's `upstream`, which may also have `_`: no client names it.
    ///
    /// # Errors
    /// [`InvalidHost`] as for [`Host::parse`].
    pub fn parse_upstream(raw: &[u8]) -> Result<Host, InvalidHost> {
        Host::parse_with(raw, b'_')
    }

    /// Parses a host whose labels may have the byte `also`, besides letters, digits and hyphens.
    fn parse_with(raw: &[u8], also: u8) -> Result<Host, InvalidHost> {
        if raw.first() == Some(&b'[') {
            return Host::parse_bracketed(raw);
        }
        let name = raw.strip_suffix(b".").unwrap_or(raw);
        if raw.is_empty() {
            return Err(InvalidHost::Empty);
        }
        if name.len() > HOST_BYTES {
            return Err(InvalidHost::TooLong);
        }
        let mut text = [0; HOST_BYTES];
        // The length of the current label, and its start.
        let (mut label, mut start) = (0usize, 0usize);
        for (place, (to, from)) in text.iter_mut().zip(name).enumerate() {
            *to = match *from {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => *from,
                b'A'..=b'Z' => from.to_ascii_lowercase(),
                b'.' if label == 0 => return Err(InvalidHost::EmptyLabel),
                b'.' => {
                    (label, start) = (0, place.saturating_add(1));
                    *to = b'.';
                    continue;
                }
                b'_' if also == b'_' => b'_',
                b'_' => return Err(InvalidHost::Underscore),
                b'@' => return Err(InvalidHost::Userinfo),
                b'[' | b']' => return Err(InvalidHost::Brackets),
                0x80.. => return Err(InvalidHost::NotAscii),
                other => return Err(InvalidHost::Character(other)),
            };
            label = label.saturating_add(1);
            if label > LABEL_BYTES {
                return Err(InvalidHost::LabelTooLong);
            }
        }
        if label == 0 {
            return Err(InvalidHost::EmptyLabel);
        }
        let address = is_number(text.get(start..name.len()).unwrap_or_default());
        if address {
            // An address never has a trailing dot.
            let parsed = core::str::from_utf8(raw).ok().and_then(|raw| raw.parse::<Ipv4Addr>().ok());
            parsed.ok_or(InvalidHost::AddressNotation)?;
        }
        let length = u8::try_from(name.len()).map_err(|_| InvalidHost::TooLong)?;
        Ok(Host { text, length, address })
    }

    fn parse_bracketed(raw: &[u8]) -> Result<Host, InvalidHost> {
        let inner = raw.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        let inner = inner.and_then(|inner| core::str::from_utf8(inner).ok());
        let address: Ipv6Addr = inner.and_then(|inner| inner.parse().ok()).ok_or(InvalidHost::Brackets)?;
        let mut text = [0; HOST_BYTES];
        let mut rest: &mut [u8] = &mut text;
        write!(rest, "[{address}]").map_err(|_| InvalidHost::TooLong)?;
        let length = HOST_BYTES.saturating_sub(rest.len());
        let length = u8::try_from(length).map_err(|_| InvalidHost::TooLong)?;
        Ok(Host { text, length, address: true })
    }

    /// Returns whether these bytes are a spelling of this host. Bytes that are not a host are none.
    #[must_use]
    pub fn is_spelled(&self, raw: &[u8]) -> bool {
        // The canonical text is the most common spelling, and needs no parsing.
        self.as_bytes() == raw || Host::parse(raw).is_ok_and(|host| host == *self)
    }

    /// The canonical text: `api.example.com`, `192.0.2.1`, `[2001:db8::1]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The bytes of [`Host::as_str`], always ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Returns whether this host is an address rather than a name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.address
    }
}

/// Implements the WHATWG URL "ends-in-a-number checker" for one lower-case label.
fn is_number(label: &[u8]) -> bool {
    match label.strip_prefix(b"0x") {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
        None => label.iter().all(u8::is_ascii_digit),
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Host {}

impl PartialOrd for Host {
    fn partial_cmp(&self, other: &Host) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Host {
    fn cmp(&self, other: &Host) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::str::FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Host, InvalidHost> {
        Host::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, InvalidHost> {
        Host::parse(raw.as_bytes()).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn case_and_one_trailing_dot_are_folded() {
        assert_eq!(canonical("API.Example.COM."), Ok("api.example.com".to_owned()));
        assert_eq!(canonical("-a-b-.example"), Ok("-a-b-.example".to_owned()));
    }

    #[test]
    fn empty_labels_are_refused() {
        for raw in [".", "..", "a..b", ".a", "a..", "example.com.."] {
            assert_eq!(canonical(raw), Err(InvalidHost::EmptyLabel), "{raw}");
        }
        assert_eq!(canonical(""), Err(InvalidHost::Empty));
    }

    #[test]
    fn an_underscore_is_refused_as_envoy_refuses_it() {
        for raw in ["a_b.example", "_a.example", "a.example_", "A_B", "_"] {
            assert_eq!(canonical(raw), Err(InvalidHost::Underscore), "{raw}");
        }
    }

    #[test]
    fn an_upstream_may_have_an_underscore_and_is_otherwise_a_host() {
        let upstream = |raw: &str| Host::parse_upstream(raw.as_bytes()).map(|host| host.as_str().to_owned());
        assert_eq!(upstream("My_Service._tcp.example."), Ok("my_service._tcp.example".to_owned()));
        assert!(Host::parse_upstream(b"192.0.2.1").is_ok_and(|host| host.is_address()));
        for raw in ["a b", "a..b", "", "a@b", "127.1", "0x_f"] {
            assert_eq!(upstream(raw).is_ok(), raw == "0x_f", "{raw}");
        }
    }

    #[test]
    fn the_longest_name_is_accepted_and_one_byte_more_is_not() {
        let longest = vec!["a"; 127].join(".");
        assert_eq!(longest.len(), HOST_BYTES);
        assert_eq!(canonical(&longest), Ok(longest.clone()));
        assert_eq!(canonical(&format!("{longest}.")), Ok(longest.clone()));
        assert_eq!(canonical(&format!("{longest}b")), Err(InvalidHost::TooLong));
        assert_eq!(canonical(&"a".repeat(64)), Err(InvalidHost::LabelTooLong));
    }

    #[test]
    fn ipv6_gets_its_rfc_5952_text() {
        assert_eq!(canonical("[2001:DB8:0:0:0:0:0:1]"), Ok("[2001:db8::1]".to_owned()));
        assert_eq!(canonical("[::1]"), Ok("[::1]".to_owned()));
        for raw in ["[::1", "::1]", "[]", "[::1%25eth0]", "[1.2.3.4]", "[::1]x"] {
            assert!(canonical(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn an_address_knows_that_it_is_one() {
        assert!(Host::parse(b"192.0.2.1").is_ok_and(|host| host.is_address()));
        assert!(Host::parse(b"192.0.2.1.example").is_ok_and(|host| !host.is_address()));
    }
}
