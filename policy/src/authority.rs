//! The canonical authority: a host and a port.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use core::fmt;

use crate::host::{Host, InvalidHost};
use crate::limits::AUTHORITY_BYTES;

/// An authority `host:port` with a canonical host. The port is always known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The written port, or the scheme's default.
    pub port: u16,
}

impl Authority {
    /// Parses `host` or `host:port` (RFC 3986, section 3.2, without user information).
    ///
    /// # Errors
    /// [`InvalidHost`], also for an empty port, port 0, a port with leading zeros or a sign, and user information.
    pub fn parse(raw: &[u8], default_port: u16) -> Result<Authority, InvalidHost> {
        let (host, port) = Authority::split(raw)?;
        Ok(Authority { host, port: port.unwrap_or(default_port) })
    }

    /// Parses the target of a CONNECT, whose port is mandatory (RFC 9110, section 9.3.6).
    ///
    /// # Errors
    /// As [`Authority::parse`], and [`InvalidHost::MissingPort`].
    pub fn parse_with_port(raw: &[u8]) -> Result<Authority, InvalidHost> {
        let (host, port) = Authority::split(raw)?;
        Ok(Authority { host, port: port.ok_or(InvalidHost::MissingPort)? })
    }

    fn split(raw: &[u8]) -> Result<(Host, Option<u16>), InvalidHost> {
        if raw.len() > AUTHORITY_BYTES {
            return Err(InvalidHost::TooLong);
        }
        if raw.contains(&b'@') {
            return Err(InvalidHost::Userinfo);
        }
        // Colons inside brackets belong to the address. Outside them, a host contains no colon.
        let after_brackets = raw.iter().rposition(|byte| *byte == b']').unwrap_or(0);
        let colon = raw.iter().rposition(|byte| *byte == b':').filter(|colon| *colon > after_brackets);
        let Some((host, port)) = colon.and_then(|colon| raw.split_at_checked(colon)) else {
            return Ok((Host::parse(raw)?, None));
        };
        Ok((Host::parse(host)?, Some(parse_port(port.strip_prefix(b":").unwrap_or(port))?)))
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, InvalidHost> {
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidHost::Port);
    }
    core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(InvalidHost::Port)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, InvalidHost> {
        Authority::parse(raw.as_bytes(), 443).map(|authority| authority.to_string())
    }

    #[test]
    fn the_port_is_split_off_and_the_default_filled_in() {
        assert_eq!(canonical("Example.com"), Ok("example.com:443".to_owned()));
        assert_eq!(canonical("example.com.:8443"), Ok("example.com:8443".to_owned()));
        assert_eq!(canonical("[::1]:80"), Ok("[::1]:80".to_owned()));
        assert_eq!(canonical("[::1]"), Ok("[::1]:443".to_owned()));
    }

    #[test]
    fn odd_ports_are_refused() {
        for raw in ["a:", "a:0", "a:0443", "a:65536", "a:+443", "a:4 3", "a:443x", "[::1]:"] {
            assert_eq!(canonical(raw), Err(InvalidHost::Port), "{raw}");
        }
        for raw in [":443", "a:1:2", "::1", "a]:1", "[::1]x:1"] {
            assert!(canonical(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_connect_target_needs_its_port() {
        assert_eq!(Authority::parse_with_port(b"example.com"), Err(InvalidHost::MissingPort));
        assert!(Authority::parse_with_port(b"example.com:443").is_ok());
    }
}
