//! What the host says of a connection, in one line that its filter chain composes when the connection is accepted
//! (`control-plane/src/resources/filter_state.rs`).
//!
//! It comes as a header, which the HTTP connection manager adds to every request before any filter sees it, behind all
//! that the client sent: the headers are read anyway, and a property would be a second call (0.17 of what a request costs
//! an Envoy without a filter). A client may send a header of that name as well. It comes before the host's own, the last
//! one counts, and the route removes them all.
//!
//! `explicit`, `passthrough`, or `tls/SERVER NAME/CONNECT AUTHORITY` and `plain//CONNECT AUTHORITY`, each of these empty
//! where there is none. The server name is the client's word, and may have a slash of its own. The line is cut at the
//! first two all the same: what is too much ends up in the CONNECT authority, which has a slash then, so that it is no
//! authority, and no request belongs to it.

/// The header that holds the line.
pub const HEADER: &[u8] = b"x-weir-connection";

/// What a filter chain takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TLS that ended here.
    Tls,
    /// HTTP without TLS that is no proxy request.
    Plain,
    /// What clients ask of the explicit proxy.
    Explicit,
    /// TLS that is not opened; each connection is a CONNECT that Envoy made.
    Passthrough,
}

/// A connection as its chain tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'h> {
    /// Its chain's kind.
    pub kind: Kind,
    /// The server name of its TLS handshake.
    pub server_name: Option<&'h [u8]>,
    /// The authority of the CONNECT that carries it.
    pub tunnel: Option<&'h [u8]>,
}

/// Reads the line; `None` for what no chain composes.
pub fn read(line: &[u8]) -> Option<Told<'_>> {
    let mut parts = line.splitn(3, |byte| *byte == b'/');
    let kind = match (parts.next()?, line.contains(&b'/')) {
        (b"tls", true) => Kind::Tls,
        (b"plain", true) => Kind::Plain,
        (b"explicit", false) => Kind::Explicit,
        (b"passthrough", false) => Kind::Passthrough,
        _ => return None,
    };
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (server_name, tunnel) = (part(), part());
    Some(Told { kind, server_name, tunnel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_policy::Authority;

    fn told<'h>(kind: Kind, server_name: &'h str, tunnel: &'h str) -> Option<Told<'h>> {
        let part = |text: &'h str| Some(text.as_bytes()).filter(|text| !text.is_empty());
        Some(Told { kind, server_name: part(server_name), tunnel: part(tunnel) })
    }

    #[test]
    fn a_line_has_its_parts() {
        for (line, expected) in [
            ("tls/a.example/b.example:443", told(Kind::Tls, "a.example", "b.example:443")),
            ("tls/a.example/", told(Kind::Tls, "a.example", "")),
            ("tls//b.example:443", told(Kind::Tls, "", "b.example:443")),
            ("plain//b.example:80", told(Kind::Plain, "", "b.example:80")),
            ("plain//", told(Kind::Plain, "", "")),
            ("explicit", told(Kind::Explicit, "", "")),
            ("passthrough", told(Kind::Passthrough, "", "")),
        ] {
            assert_eq!(read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_no_chain_composes_is_not_read() {
        for line in ["", "/", "tls", "plain", "TLS/a/b", "explicit/a/b", "passthrough/", "xtls/a/b"] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_server_name_cannot_forge_the_rest(
            server_name in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'a'), any::<u8>()], 0..20),
            tunnel in proptest::option::of("[a-z]{1,5}\\.example:[1-9][0-9]{0,2}"),
        ) {
            let tunnel = tunnel.unwrap_or_default();
            let line = [b"tls/", server_name.as_slice(), b"/", tunnel.as_bytes()].concat();
            let read = read(&line).unwrap();
            prop_assert_eq!(read.kind, Kind::Tls);
            if server_name.contains(&b'/') {
                let forged = read.tunnel.expect("at least the slash");
                prop_assert!(Authority::parse(forged, 443).is_err());
                prop_assert!(Authority::parse_with_port(forged).is_err());
            } else {
                prop_assert_eq!(read.server_name.unwrap_or_default(), server_name);
                prop_assert_eq!(read.tunnel.unwrap_or_default(), tunnel.as_bytes());
            }
        }
    }
}
