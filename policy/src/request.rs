//! What is judged: the facts of a request, as bytes off the wire.

use crate::scheme::Scheme;

/// A request as raw bytes off the wire; nothing in it is trusted.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// [`Scheme::Https`] when the listener terminated TLS.
    pub scheme: Scheme,
    /// `:authority`.
    pub authority: &'a [u8],
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, with its query.
    pub path: &'a [u8],
    /// The server name of the TLS connection; none and empty mean the same.
    pub sni: Option<&'a [u8]>,
    /// The authority of the CONNECT that carried this connection, if one did.
    pub tunnel: Option<&'a [u8]>,
}

/// A CONNECT at the explicit listener.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel<'a> {
    /// The target, `host:port`.
    pub authority: &'a [u8],
    /// Whether the host must be decided here. True where no certificate can be made for a host outside the policy, so
    /// that a denial inside the tunnel could not be read.
    pub judge_host: bool,
}

/// A TLS connection that is not opened: all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The server name of its first bytes; none and empty mean the same.
    pub server_name: Option<&'a [u8]>,
    /// The port that it is for.
    pub port: u16,
    /// The authority of the CONNECT that carried it, if one did.
    pub tunnel: Option<&'a [u8]>,
}
