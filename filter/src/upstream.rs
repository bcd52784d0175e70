//! What an allowed request needs before it goes out: the name to ask for, the name to verify, and nothing of the
//! client's that could speak for Weir or Envoy.

use crate::facts::Facts;
use crate::hostcalls::{FailedCall, Hostcalls};
use weir_policy::{Authority, Scheme};

/// Typed filter state that becomes the SNI of the upstream connection.
const SERVER_NAME: &str = "envoy.network.upstream_server_name";
/// Typed filter state that becomes the list of subject names to verify; Envoy splits it on commas.
const SUBJECT_NAMES: &str = "envoy.network.upstream_subject_alt_names";
/// Becomes filter state `wasm.weir_addresses`, on which the address guard matches.
const ADDRESS_SET: &str = "weir_addresses";

/// Makes the request of `facts` go to `authority` and to nobody else, over the scheme that it came in on.
///
/// Any error leaves the request half prepared: it must not go on then.
pub fn prepare(
    host: &impl Hostcalls,
    facts: &Facts,
    authority: &Authority,
    address_set: Option<u16>,
) -> Result<(), FailedCall> {
    if facts.scheme() == Scheme::Https {
        name_upstream(host, authority)?;
    }
    if let Some(set) = address_set {
        host.set_property(ADDRESS_SET, set.to_string().as_bytes())?;
    }
    // Every spelling of a name would get a connection pool and an answer from DNS of its own.
    let canonical = canonical_text(authority, facts.scheme());
    if facts.authority != canonical.as_bytes() {
        host.set_request_header(":authority", canonical.as_bytes())?;
    }
    // An HTTP/2 upstream reads `:scheme`; the client's word for it may differ from what was judged.
    let scheme = facts.scheme().as_str();
    if facts.claimed_scheme != scheme.as_bytes() {
        host.set_request_header(":scheme", scheme.as_bytes())?;
    }
    strip(host, facts)
}

/// `host`, or `host:port` where the port is not the scheme's own.
fn canonical_text(authority: &Authority, scheme: Scheme) -> String {
    if authority.port == scheme.default_port() { authority.host.to_string() } else { authority.to_string() }
}

/// Removes the headers that no upstream may see.
pub fn strip(host: &impl Hostcalls, facts: &Facts) -> Result<(), FailedCall> {
    facts.unwanted_headers.iter().try_for_each(|name| host.remove_request_header(name))
}

/// Sets SNI and subject names, always both: one alone gives an error, or a connection that nobody verified and that a
/// later request may share.
fn name_upstream(host: &impl Hostcalls, authority: &Authority) -> Result<(), FailedCall> {
    // The names in certificates have no brackets around an IPv6 address.
    let name = authority.host.as_str().trim_start_matches('[').trim_end_matches(']');
    for key in [SERVER_NAME, SUBJECT_NAMES] {
        host.call_foreign_function("set_envoy_filter_state", &filter_state_argument(key, name))?;
    }
    Ok(())
}

/// Encodes Envoy's `SetEnvoyFilterStateArguments {string path = 1; string value = 2; LifeSpan span = 3}`.
///
/// The span stays at its default, the filter chain: a wider one leaks over internal redirects or to other requests of
/// the connection.
fn filter_state_argument(path: &str, value: &str) -> Vec<u8> {
    let mut argument = Vec::with_capacity(path.len().saturating_add(value.len()).saturating_add(6));
    for (tag, text) in [(0x0a, path), (0x12, value)] {
        argument.push(tag);
        push_varint(&mut argument, text.len());
        argument.extend_from_slice(text.as_bytes());
    }
    argument
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_is_protobuf() {
        assert_eq!(filter_state_argument("k", "value"), b"\x0a\x01k\x12\x05value");
        let long = filter_state_argument("k", &"v".repeat(253));
        assert_eq!(&long[..7], b"\x0a\x01k\x12\xfd\x01v");
        assert_eq!(long.len(), 6 + 253);
    }
}
