//! The connection line: the properties of a connection, which its filter chain composes when Envoy accepts it.
//!
//! The line reaches the filter in the header [`CONNECTION`](crate::header::CONNECTION). The filter reads all headers in one
//! call; a property would be a second call (0.17 of the cost of a request in an Envoy without a filter).
//!
//! The line is `explicit`, `passthrough`, `tls/SERVER NAME/CONNECT AUTHORITY` or `plain//CONNECT AUTHORITY`. Server name and
//! authority are empty where there is none. A client chooses its server name, and may write slashes into it. The line is
//! cut at its first two slashes all the same: the rest of such a name becomes part of the CONNECT authority, which then has
//! a slash and is no authority, so that no request belongs to it.

/// The kind of connections that a filter chain takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// TLS that Envoy terminates.
    Tls,
    /// HTTP without TLS that is no proxy request.
    Plain,
    /// Requests to the explicit proxy.
    Explicit,
    /// TLS that is passed through; Envoy makes a CONNECT for each connection.
    Passthrough,
}

impl ConnectionKind {
    /// Composes the line. The control plane passes Envoy's formats for both names, and Envoy fills them in.
    pub fn compose(self, server_name: &str, tunnel: &str) -> String {
        match self {
            Self::Explicit => "explicit".to_owned(),
            Self::Passthrough => "passthrough".to_owned(),
            Self::Tls => format!("tls/{server_name}/{tunnel}"),
            Self::Plain => format!("plain//{tunnel}"),
        }
    }
}

/// The properties of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo<'h> {
    /// The kind of its filter chain.
    pub kind: ConnectionKind,
    /// The server name of its TLS handshake.
    pub server_name: Option<&'h [u8]>,
    /// The authority of the CONNECT that carries it.
    pub tunnel: Option<&'h [u8]>,
}

/// Reads a line; `None` for a line that no chain composes.
pub fn read(line: &[u8]) -> Option<ConnectionInfo<'_>> {
    let mut parts = line.splitn(3, |byte| *byte == b'/');
    let kind = match (parts.next()?, line.contains(&b'/')) {
        (b"tls", true) => ConnectionKind::Tls,
        (b"plain", true) => ConnectionKind::Plain,
        (b"explicit", false) => ConnectionKind::Explicit,
        (b"passthrough", false) => ConnectionKind::Passthrough,
        _ => return None,
    };
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (server_name, tunnel) = (part(), part());
    Some(ConnectionInfo { kind, server_name, tunnel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_policy::Authority;

    fn info<'h>(kind: ConnectionKind, server_name: &'h str, tunnel: &'h str) -> Option<ConnectionInfo<'h>> {
        let part = |text: &'h str| Some(text.as_bytes()).filter(|text| !text.is_empty());
        Some(ConnectionInfo { kind, server_name: part(server_name), tunnel: part(tunnel) })
    }

    #[test]
    fn a_line_has_its_parts() {
        for (line, expected) in [
            ("tls/a.example/b.example:443", info(ConnectionKind::Tls, "a.example", "b.example:443")),
            ("tls/a.example/", info(ConnectionKind::Tls, "a.example", "")),
            ("tls//b.example:443", info(ConnectionKind::Tls, "", "b.example:443")),
            ("plain//b.example:80", info(ConnectionKind::Plain, "", "b.example:80")),
            ("plain//", info(ConnectionKind::Plain, "", "")),
            ("explicit", info(ConnectionKind::Explicit, "", "")),
            ("passthrough", info(ConnectionKind::Passthrough, "", "")),
        ] {
            assert_eq!(read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_no_chain_composes_is_not_read() {
        for line in ["", "/", "tls", "plain", "TLS/a/b", "explicit/a/b", "passthrough/", "xtls/a/b"] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_composed_line_is_read_as_it_was_meant() {
        for (kind, server_name, tunnel) in [
            (ConnectionKind::Explicit, "", ""),
            (ConnectionKind::Passthrough, "", ""),
            (ConnectionKind::Plain, "", "b.example:80"),
            (ConnectionKind::Tls, "a.example", "b.example:443"),
            (ConnectionKind::Tls, "", ""),
        ] {
            let line = kind.compose(server_name, tunnel);
            assert_eq!(read(line.as_bytes()), info(kind, server_name, tunnel), "{line}");
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
            prop_assert_eq!(read.kind, ConnectionKind::Tls);
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
