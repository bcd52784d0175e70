//! The preparation of an allowed request: its destination, the server name to send, the names to verify, and the removal
//! of headers in which a client could speak for Weir or Envoy.
//!
//! Over TLS, Envoy itself takes both names from each request's canonical authority: `auto_sni` and `auto_san_validation`
//! are on in every cluster that resolves names. An upstream with an address has no server name. The filter sets the names
//! only for a rule with its own upstream: two calls with the same result cost 0.24 of the processor time of a request in
//! an Envoy without a filter.

use crate::facts::Facts;
use crate::filter_state;
use crate::hostcalls::{FailedCall, Hostcalls};
use weir_contract::cluster::UpstreamCluster;
use weir_contract::filter_state::ADDRESS_SET;
use weir_contract::header;
use weir_policy::{Authority, Scheme, Upstream};

/// The destination of an allowed request.
#[derive(Debug)]
pub struct Destination<'a> {
    /// The host and port that the request names.
    pub authority: &'a Authority,
    /// The upstream of the rule, which replaces the named host.
    pub upstream: Option<Upstream<'a>>,
    /// The number of the address list that the rule has.
    pub address_set: Option<u16>,
}

/// Prepares the request of `facts` for its destination alone, over the scheme that it arrived on.
///
/// An error leaves the request half prepared, so the caller must deny it.
pub fn prepare(host: &impl Hostcalls, facts: &Facts<'_>, to: &Destination<'_>) -> Result<(), FailedCall> {
    let Destination { authority, upstream, address_set } = to;
    // First, because a client may have sent a header that is set below.
    strip(host, facts)?;
    if let Some(upstream) = upstream {
        let named = upstream.host().unwrap_or(authority.host.as_str());
        filter_state::set_address(host, named, upstream.port().unwrap_or(authority.port))?;
        host.set_request_header(header::UPSTREAM, cluster_of(upstream, facts).as_bytes())?;
    }
    if let Some(upstream) = upstream
        && let Some(server_name) = server_name(facts, upstream, authority)
    {
        name_upstream(host, upstream, server_name)?;
    }
    if let Some(set) = address_set {
        host.set_filter_state(ADDRESS_SET, set.to_string().as_bytes())?;
    }
    // Envoy would resolve each spelling of a name by itself, and pool its connections apart.
    if !is_canonical(&facts.authority, authority, facts.scheme()) {
        host.set_request_header(":authority", canonical_text(authority, facts.scheme()).as_bytes())?;
    }
    // An HTTP/2 upstream reads `:scheme`, and the client's may differ from the judged scheme.
    let scheme = facts.scheme().as_str();
    if facts.claimed_scheme != scheme.as_bytes() {
        host.set_request_header(":scheme", scheme.as_bytes())?;
    }
    Ok(())
}

/// Returns the server name that Envoy sends to a rule's own upstream: the upstream's, or the host of the request. A
/// passed-through connection keeps the client's, which names the host. Plain HTTP has none.
pub(crate) fn server_name<'u>(
    facts: &Facts<'_>,
    upstream: &'u Upstream<'_>,
    authority: &'u Authority,
) -> Option<&'u str> {
    // Certificates write an IPv6 address without brackets.
    let own_name = authority.host.as_str().trim_start_matches('[').trim_end_matches(']');
    let chosen = if facts.passthrough { None } else { upstream.server_name() };
    (facts.scheme() == Scheme::Https).then_some(chosen.unwrap_or(own_name))
}

/// Returns the name of the cluster of a rule's own upstream. Envoy forwards no WebSocket over an h2 connection, so
/// WebSockets have a cluster of their own.
fn cluster_of(upstream: &Upstream<'_>, facts: &Facts<'_>) -> String {
    let way = match facts.scheme() {
        Scheme::Http => UpstreamCluster::Http,
        Scheme::Https if facts.upgrades_to_websocket => UpstreamCluster::HttpsUpgrade,
        Scheme::Https => UpstreamCluster::Https,
    };
    way.name(upstream.key())
}

/// Formats an authority as `host`, or as `host:port` if the port is not the scheme's default.
fn canonical_text(authority: &Authority, scheme: Scheme) -> String {
    if authority.port == scheme.default_port() { authority.host.to_string() } else { authority.to_string() }
}

/// Returns whether the sent authority is already canonical, as most are.
fn is_canonical(sent: &[u8], authority: &Authority, scheme: Scheme) -> bool {
    if authority.port == scheme.default_port() {
        sent == authority.host.as_bytes()
    } else {
        sent == authority.to_string().as_bytes()
    }
}

/// Prepares the CONNECT of `facts` for an inner connection of its own.
///
/// Envoy pools connections to the inner listener, whatever filter state they carry inward: while one CONNECT is open, a
/// second one would get the first one's authority (measured on 1.36 to 1.40). The server name is part of the pool's key,
/// and has no other reader on a connection without TLS.
pub fn prepare_tunnel(
    host: &impl Hostcalls,
    facts: &Facts<'_>,
    authority: &Authority,
) -> Result<(), FailedCall> {
    filter_state::set_server_name(host, &authority.to_string())?;
    strip(host, facts)
}

/// Prepares the CONNECT of `facts`, which Envoy made for a passed-through connection, for the judged host or the rule's own
/// upstream. Only the resolver reads its authority.
pub fn prepare_passthrough(
    host: &impl Hostcalls,
    facts: &Facts<'_>,
    to: &Destination<'_>,
) -> Result<(), FailedCall> {
    let Destination { authority, upstream, address_set } = to;
    strip(host, facts)?;
    if let Some(set) = address_set {
        host.set_filter_state(ADDRESS_SET, set.to_string().as_bytes())?;
    }
    let name = upstream.as_ref().and_then(Upstream::host).unwrap_or(authority.host.as_str());
    let port = upstream.as_ref().and_then(Upstream::port).unwrap_or(authority.port);
    host.set_request_header(":authority", format!("{name}:{port}").as_bytes())
}

/// Removes the headers that an upstream must not see.
fn strip(host: &impl Hostcalls, facts: &Facts<'_>) -> Result<(), FailedCall> {
    facts.unwanted_headers.iter().try_for_each(|name| host.remove_request_header(name))
}

/// Sets the server name and the names to verify. Envoy would take a name that is not set from the authority.
fn name_upstream(
    host: &impl Hostcalls,
    upstream: &Upstream<'_>,
    server_name: &str,
) -> Result<(), FailedCall> {
    filter_state::set_server_name(host, server_name)?;
    let names: Vec<&str> = upstream.names().collect();
    if names.is_empty() {
        filter_state::set_subject_names(host, server_name)
    } else {
        filter_state::set_subject_names(host, &names.join(","))
    }
}

#[cfg(test)]
mod tests;
