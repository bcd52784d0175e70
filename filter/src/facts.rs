//! The facts of a request, which the filter reads from its headers with one call of the host.
//!
//! A client sends headers and may write anything into them. The properties of the connection (TLS, its server name, the
//! CONNECT that carries it) are the host's word: they come in the last header, and a client cannot take its place
//! ([`connection`]).

use crate::hostcalls::{MalformedHeaders, RequestHeaders};
use std::borrow::Cow;
use std::fmt;
use thiserror::Error;
use weir_contract::connection::{self, ConnectionKind};
use weir_contract::header;
use weir_policy::{Authority, Connection, Request, Scheme};

/// The header with the TLS server name of a connection that is passed through.
const SERVER_NAME_HEADER: &[u8] = header::SERVER_NAME.as_bytes();
/// The header with a client's credentials for a proxy.
const CREDENTIALS_HEADER: &[u8] = b"proxy-authorization";

/// Prefixes of headers that only Weir, Envoy or a proxy may set, or that show where the client is. The filter removes
/// them, so that a client cannot forge them and an upstream cannot read them.
const UNWANTED_PREFIXES: [&[u8]; 4] = [b"x-weir-", b"x-envoy-", b"x-forwarded-", b"proxy-"];
/// Names of headers that the filter removes as it removes [`UNWANTED_PREFIXES`]. Envoy's request id would tell an
/// upstream which requests belong together.
const UNWANTED_NAMES: [&[u8]; 1] = [b"x-request-id"];
/// Headers that Envoy itself adds to requests. The route removes them, with every value that a client sent
/// (`control-plane/src/envoy/resources/route.rs`), at no host call. Envoy needs `x-forwarded-proto` to find a route (else 404,
/// `route_not_found`).
const ENVOYS_OWN: [&[u8]; 2] = [b"x-envoy-external-address", b"x-forwarded-proto"];

/// A request as the host describes it. Every byte may be hostile.
#[derive(Debug, Default)]
pub struct Facts<'h> {
    /// `:authority`; empty if there is none.
    pub authority: Cow<'h, [u8]>,
    /// `:method`; empty if there is none.
    pub method: Cow<'h, [u8]>,
    /// `:path` with its query; empty if there is none, as for a CONNECT.
    pub path: Cow<'h, [u8]>,
    /// `:scheme`, as the client or Envoy set it.
    pub claimed_scheme: Cow<'h, [u8]>,
    /// Whether Envoy terminated this connection's TLS, or passes it through.
    pub tls: bool,
    /// The server name of the TLS handshake.
    pub server_name: Option<Cow<'h, [u8]>>,
    /// The authority of the CONNECT that carried this connection.
    pub tunnel: Option<&'h [u8]>,
    /// Whether the client sent the request to the explicit proxy itself, and not through a CONNECT or a redirection.
    pub to_proxy: bool,
    /// Whether the request asks for a WebSocket.
    pub upgrades_to_websocket: bool,
    /// Whether the request has credentials with which servers authenticate the connection, and not the request alone.
    pub authenticates_connection: bool,
    /// Whether servers may read the request's length in two ways.
    pub ambiguous_length: bool,
    /// Whether Envoy made this CONNECT for a TLS connection that is passed through. Its authority is the client's
    /// destination, and `server_name` is the connection's server name.
    pub passthrough: bool,
    /// `Proxy-Authorization`; empty if there is none.
    pub proxy_authorization: Secret<'h>,
    /// The server name in the header of a CONNECT that Envoy makes. In any other request a client may have set it.
    claimed_server_name: Cow<'h, [u8]>,
    /// The names of the headers to remove, each once.
    pub unwanted_headers: Vec<&'h [u8]>,
    /// The headers to forward, if they were selected.
    pub headers: Vec<(&'h str, &'h [u8])>,
}

/// Bytes that do not print.
#[derive(Default)]
pub struct Secret<'h>(pub Cow<'h, [u8]>);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// The headers to keep from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSelection {
    /// The headers that every decision needs.
    Facts,
    /// In addition, every header to forward.
    Forwarded,
}

/// An error for headers that describe no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidFacts {
    /// The host's bytes are not headers.
    #[error(transparent)]
    Headers(#[from] MalformedHeaders),
    /// Envoy's codecs reject a name that is not an HTTP token. A policy that looks for a header must not miss one that
    /// arrives all the same.
    #[error("the host's headers have a name that is not text")]
    Name,
    /// The connection manager adds the line to each request. Without it the connection is unknown.
    #[error("the request has no valid connection line (x-weir-connection)")]
    Connection,
}

impl<'h> Facts<'h> {
    /// Reads the facts from the host's headers.
    ///
    /// # Errors
    /// When the headers are malformed, or lack the properties of the connection.
    pub fn read(headers: &'h impl RequestHeaders, selection: HeaderSelection) -> Result<Self, InvalidFacts> {
        let mut facts = Self::default();
        let mut line = None;
        for pair in headers.pairs() {
            let (name, value) = pair?;
            if name == header::CONNECTION.as_bytes() {
                // Envoy's own line is the last one; a client may have sent others.
                line = Some(value);
            } else {
                facts.take(name, value, selection)?;
            }
        }
        let info = line.and_then(connection::read).ok_or(InvalidFacts::Connection)?;
        facts.server_name = info.server_name.map(Cow::Borrowed);
        facts.tunnel = info.tunnel;
        match info.kind {
            ConnectionKind::Tls => facts.tls = true,
            ConnectionKind::Plain => {}
            ConnectionKind::Explicit => facts.to_proxy = true,
            ConnectionKind::Passthrough => {
                facts.passthrough = true;
                facts.tls = true;
                facts.server_name = Some(std::mem::take(&mut facts.claimed_server_name));
            }
        }
        Ok(facts)
    }

    /// Returns whether the request is a CONNECT to the explicit proxy, which asks for a tunnel and not for a resource.
    pub fn asks_for_tunnel(&self) -> bool {
        *self.method == *b"CONNECT" && self.to_proxy
    }

    /// Returns whether the client asked for `https` over a connection without TLS (`GET https://… HTTP/1.1` to a proxy).
    /// Envoy would forward such a request unencrypted.
    pub fn claims_https_without_tls(&self) -> bool {
        !self.tls && self.claimed_scheme.eq_ignore_ascii_case(b"https")
    }

    /// Returns the scheme that the connection has, whatever the request claims.
    pub fn scheme(&self) -> Scheme {
        if self.tls { Scheme::Https } else { Scheme::Http }
    }

    /// Returns the request for the policy to decide on.
    pub fn request(&self) -> Request<'_> {
        Request {
            scheme: self.scheme(),
            authority: &self.authority,
            method: &self.method,
            path: &self.path,
            server_name: self.server_name.as_deref(),
            tunnel: self.tunnel,
        }
    }

    /// Returns the passed-through TLS connection for the policy to decide on.
    pub fn connection(&self) -> Connection<'_> {
        // No rule lists port 0.
        let port = Authority::parse_with_port(&self.authority).map_or(0, |authority| authority.port);
        Connection { server_name: self.server_name.as_deref(), port, tunnel: Some(&self.authority) }
    }

    fn take(
        &mut self,
        name: &'h [u8],
        value: &'h [u8],
        selection: HeaderSelection,
    ) -> Result<(), InvalidFacts> {
        match name {
            // Envoy joins two Host headers with a comma, and no policy takes the result for a host. If two entries ever
            // arrive, the filter joins them likewise.
            b":authority" | b"host" => join(&mut self.authority, value),
            b":method" => join(&mut self.method, value),
            b":path" => join(&mut self.path, value),
            b":scheme" => join(&mut self.claimed_scheme, value),
            // The route removes these headers.
            _ if ENVOYS_OWN.contains(&name) => {}
            _ if is_unwanted(name) => {
                match name {
                    SERVER_NAME_HEADER => join(&mut self.claimed_server_name, value),
                    CREDENTIALS_HEADER => join(&mut self.proxy_authorization.0, value),
                    _ => {}
                }
                if !self.unwanted_headers.contains(&name) {
                    self.unwanted_headers.push(name);
                }
            }
            _ => {
                match name {
                    b"authorization" => self.authenticates_connection |= authenticates_connection(value),
                    b"upgrade" => self.upgrades_to_websocket = value.eq_ignore_ascii_case(b"websocket"),
                    b"content-length" => self.ambiguous_length |= !is_plain_length(value),
                    _ => {}
                }
                if selection == HeaderSelection::Forwarded {
                    let name = std::str::from_utf8(name).map_err(|_| InvalidFacts::Name)?;
                    self.headers.push((name, value));
                }
            }
        }
        Ok(())
    }
}

/// Adds a second value to a fact behind a NUL, which no fact may contain.
fn join<'h>(fact: &mut Cow<'h, [u8]>, value: &'h [u8]) {
    if fact.is_empty() {
        *fact = Cow::Borrowed(value);
    } else {
        let joined = fact.to_mut();
        joined.push(0);
        joined.extend_from_slice(value);
    }
}

/// Returns whether credentials are of a scheme with which servers authenticate the connection: NTLM, and Negotiate (RFC
/// 4559), which may carry NTLM.
fn authenticates_connection(credentials: &[u8]) -> bool {
    let credentials = credentials.trim_ascii_start();
    let end = credentials.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(credentials.len());
    let (scheme, _) = credentials.split_at(end);
    [&b"ntlm"[..], b"negotiate", b"kerberos"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Returns whether a length is a decimal number as in RFC 9110, 8.6, without leading zeros and below 10^18. Envoy accepts
/// more: a sign and spaces over HTTP/2 before 1.40, leading zeros, and numbers that are negative in 64 bits.
fn is_plain_length(value: &[u8]) -> bool {
    match value {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_unwanted(name: &[u8]) -> bool {
    // The first letter rules out most names.
    matches!(name, [b'x' | b'p', ..])
        && (UNWANTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || UNWANTED_NAMES.contains(&name))
}

#[cfg(test)]
mod tests;
