//! The facts that a policy judges, as bytes from the wire.

use crate::scheme::Scheme;

/// A request as raw bytes from the wire. All of it is untrusted.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// [`Scheme::Https`] if the listener terminated TLS.
    pub scheme: Scheme,
    /// The `:authority`.
    pub authority: &'a [u8],
    /// The `:method`.
    pub method: &'a [u8],
    /// The `:path`, with its query.
    pub path: &'a [u8],
    /// The TLS connection's server name. `None` and empty are equivalent.
    pub server_name: Option<&'a [u8]>,
    /// The authority of the CONNECT that carries this connection, if any.
    pub tunnel: Option<&'a [u8]>,
}

/// A CONNECT at the explicit listener.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel<'a> {
    /// The target `host:port`.
    pub authority: &'a [u8],
    /// Whether the policy must judge the host now. True for an Envoy that has certificates only for the policy's hosts,
    /// and so could not answer a denied request inside the tunnel.
    pub judge_host: bool,
}

/// The known facts of a TLS connection that Envoy does not open.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The server name of its ClientHello. `None` and empty are equivalent.
    pub server_name: Option<&'a [u8]>,
    /// The destination port.
    pub port: u16,
    /// The authority of the CONNECT that carries this connection, if any.
    pub tunnel: Option<&'a [u8]>,
}
