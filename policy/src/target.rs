//! A URL split as text and never repaired, for `explain` and for decision cases.

use crate::request::Request;
use crate::scheme::Scheme;

/// The parts of an absolute `http` or `https` URL, exactly as written.
///
/// This is deliberately not a URL parser. A parser would normalise case, dot segments, user information and odd
/// addresses, which the policy must see raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The scheme, from before `://`.
    pub scheme: Scheme,
    /// The text between `://` and the next `/` or `?`, with user information and port.
    pub authority: &'a str,
    /// The path and query, without the fragment; `/` if the URL has none.
    pub path: &'a str,
}

/// An error for a text that is not an absolute `http` or `https` URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The text starts with neither `http://` nor `https://`.
    #[error("the URL starts with neither `http://` nor `https://`")]
    Scheme,
    /// A query follows the host without a path.
    #[error("the URL has a query but no path")]
    Path,
}

impl<'a> Target<'a> {
    /// Splits a URL.
    ///
    /// # Errors
    /// [`InvalidTarget`] when the scheme is not http or https, or a query follows the host without a path.
    pub fn parse(url: &'a str) -> Result<Target<'a>, InvalidTarget> {
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(InvalidTarget::Scheme);
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match path.as_bytes().first() {
            None => Ok(Target { scheme, authority, path: "/" }),
            Some(b'/') => Ok(Target { scheme, authority, path }),
            Some(_) => Err(InvalidTarget::Path),
        }
    }

    /// The authority's host as written, without port. An honest client sends it as server name.
    #[must_use]
    pub fn host(&self) -> &'a str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            Some(_) | None => self.authority,
        }
    }

    /// The request that an honest client makes for this URL: over TLS, with the host as its server name.
    #[must_use]
    pub fn request(&self, method: &'a str) -> Request<'a> {
        Request {
            scheme: self.scheme,
            authority: self.authority.as_bytes(),
            method: method.as_bytes(),
            path: self.path.as_bytes(),
            server_name: match self.scheme {
                Scheme::Https => Some(self.host().as_bytes()),
                Scheme::Http => None,
            },
            tunnel: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_as_written() {
        let target = Target::parse("https://User@EXAMPLE.com:8443/a/../b?q#f");
        assert_eq!(
            target,
            Ok(Target { scheme: Scheme::Https, authority: "User@EXAMPLE.com:8443", path: "/a/../b?q" })
        );
        assert_eq!(Target::parse("http://[::1]").map(|target| target.host()), Ok("[::1]"));
        assert_eq!(Target::parse("http://[::1]:80/").map(|target| target.host()), Ok("[::1]"));
        assert_eq!(Target::parse("ftp://x/"), Err(InvalidTarget::Scheme));
        assert_eq!(Target::parse("http://x?y"), Err(InvalidTarget::Path));
    }
}
