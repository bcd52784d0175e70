//! What an allowed request needs before it goes out: the name to ask for, the name to verify, and nothing of the
//! client's that could speak for Weir or Envoy.
//!
//! Over TLS both names are those of the canonical authority, which Envoy takes itself, for each request, in every cluster
//! that resolves names (it refuses one without `auto_sni` and `auto_san_validation`); of an address there is no SNI. So
//! they are set here only where a rule sends its requests elsewhere: two calls for what comes to the same took 0.24 of the
//! processor time that a request costs an Envoy without a filter.

use crate::facts::Facts;
use crate::filter_state;
use crate::hostcalls::{FailedCall, Hostcalls};
use weir_contract::cluster::UpstreamCluster;
use weir_contract::filter_state::ADDRESS_SET_PROPERTY;
use weir_contract::header;
use weir_policy::{Authority, Scheme, Upstream};

/// Where an allowed request goes.
#[derive(Debug)]
pub struct Destination<'a> {
    /// The host and port that it names.
    pub authority: &'a Authority,
    /// What its rule sends it to instead.
    pub upstream: Option<Upstream<'a>>,
    /// The number of the addresses that its rule lists.
    pub address_set: Option<u16>,
}

/// Makes the request of `facts` go to its destination and to nobody else, over the scheme that it came in on.
///
/// Any error leaves the request half prepared: it must not go on then.
pub fn prepare(host: &impl Hostcalls, facts: &Facts<'_>, to: &Destination<'_>) -> Result<(), FailedCall> {
    let Destination { authority, upstream, address_set } = to;
    // Before any header is set here that a client might have set as well.
    strip(host, facts)?;
    // The names in certificates have no brackets around an IPv6 address.
    let own_name = authority.host.as_str().trim_start_matches('[').trim_end_matches(']');
    if let Some(upstream) = upstream {
        let named = upstream.host().unwrap_or(authority.host.as_str());
        filter_state::set_address(host, named, upstream.port().unwrap_or(authority.port))?;
        host.set_request_header(header::UPSTREAM, cluster_of(upstream, facts).as_bytes())?;
    }
    if let Some(upstream) = upstream.as_ref().filter(|_| facts.scheme() == Scheme::Https) {
        name_upstream(host, upstream, upstream.server_name().unwrap_or(own_name))?;
    }
    if let Some(set) = address_set {
        host.set_property(ADDRESS_SET_PROPERTY, set.to_string().as_bytes())?;
    }
    // Every spelling of a name would get a connection pool and an answer from DNS of its own.
    if !is_canonical(&facts.authority, authority, facts.scheme()) {
        host.set_request_header(":authority", canonical_text(authority, facts.scheme()).as_bytes())?;
    }
    // An HTTP/2 upstream reads `:scheme`; the client's word for it may differ from what was judged.
    let scheme = facts.scheme().as_str();
    if facts.claimed_scheme != scheme.as_bytes() {
        host.set_request_header(":scheme", scheme.as_bytes())?;
    }
    Ok(())
}

/// The name of the cluster that leads to a rule's own upstream. An h2 connection carries no WebSocket through Envoy, so
/// there is another for these.
fn cluster_of(upstream: &Upstream<'_>, facts: &Facts<'_>) -> String {
    let way = match facts.scheme() {
        Scheme::Http => UpstreamCluster::Http,
        Scheme::Https if facts.upgrades_to_websocket => UpstreamCluster::HttpsUpgrade,
        Scheme::Https => UpstreamCluster::Https,
    };
    way.name(upstream.key())
}

/// `host`, or `host:port` where the port is not the scheme's own.
fn canonical_text(authority: &Authority, scheme: Scheme) -> String {
    if authority.port == scheme.default_port() { authority.host.to_string() } else { authority.to_string() }
}

/// Whether it is that already, as it mostly is.
fn is_canonical(sent: &[u8], authority: &Authority, scheme: Scheme) -> bool {
    if authority.port == scheme.default_port() {
        sent == authority.host.as_bytes()
    } else {
        sent == authority.to_string().as_bytes()
    }
}

/// Makes the CONNECT of `facts` reach an inner connection of its own.
///
/// Envoy pools connections to the inner listener without regard to the filter state that they carry inward: while one
/// CONNECT is open, a second one would be handed the first one's authority (measured on 1.36 to 1.40). The server name
/// is part of the pool's key, and nothing else reads it where there is no TLS.
pub fn prepare_tunnel(
    host: &impl Hostcalls,
    facts: &Facts<'_>,
    authority: &Authority,
) -> Result<(), FailedCall> {
    filter_state::set_server_name(host, &authority.to_string())?;
    strip(host, facts)
}

/// Makes the CONNECT of `facts`, which stands for a connection that is not opened, go to the host that was judged, or to
/// where its rule sends it. Nothing but the resolver reads its authority.
pub fn prepare_unopened(
    host: &impl Hostcalls,
    facts: &Facts<'_>,
    to: &Destination<'_>,
) -> Result<(), FailedCall> {
    let Destination { authority, upstream, address_set } = to;
    strip(host, facts)?;
    if let Some(set) = address_set {
        host.set_property(ADDRESS_SET_PROPERTY, set.to_string().as_bytes())?;
    }
    let name = upstream.as_ref().and_then(Upstream::host).unwrap_or(authority.host.as_str());
    let port = upstream.as_ref().and_then(Upstream::port).unwrap_or(authority.port);
    host.set_request_header(":authority", format!("{name}:{port}").as_bytes())
}

/// Removes the headers that no upstream may see.
fn strip(host: &impl Hostcalls, facts: &Facts<'_>) -> Result<(), FailedCall> {
    facts.unwanted_headers.iter().try_for_each(|name| host.remove_request_header(name))
}

/// Sets SNI and subject names, always both: Envoy takes what is not set from the authority.
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
