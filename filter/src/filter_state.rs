//! Envoy's typed filter state, which a stream's filters set and its upstream connection reads.

use crate::hostcalls::{FailedCall, Hostcalls};

/// The upstream connection's TLS server name; also a part of the key under which Envoy pools connections.
const SERVER_NAME: &str = "envoy.network.upstream_server_name";
/// Subject names of which the upstream's certificate must have one; Envoy splits the value on commas.
const SUBJECT_NAMES: &str = "envoy.network.upstream_subject_alt_names";

/// Host and port to connect to, in place of the authority's.
const DYNAMIC_HOST: &str = "envoy.upstream.dynamic_host";
const DYNAMIC_PORT: &str = "envoy.upstream.dynamic_port";

/// Sets the upstream's server name for this stream.
pub fn set_server_name(host: &impl Hostcalls, name: &str) -> Result<(), FailedCall> {
    set(host, SERVER_NAME, name)
}

/// Sets the names to verify for this stream, with commas between them.
pub fn set_subject_names(host: &impl Hostcalls, names: &str) -> Result<(), FailedCall> {
    set(host, SUBJECT_NAMES, names)
}

/// Sets where this stream's upstream is looked for. The authority stays what it is.
pub fn set_address(host: &impl Hostcalls, name: &str, port: u16) -> Result<(), FailedCall> {
    set(host, DYNAMIC_HOST, name)?;
    set(host, DYNAMIC_PORT, &port.to_string())
}

fn set(host: &impl Hostcalls, key: &str, value: &str) -> Result<(), FailedCall> {
    host.call_foreign_function("set_envoy_filter_state", &encode(key, value))
}

/// Encodes Envoy's `SetEnvoyFilterStateArguments {string path = 1; string value = 2; LifeSpan span = 3}`.
///
/// The span stays at its default, the filter chain: a wider one leaks over internal redirects or to other requests of
/// the connection.
fn encode(path: &str, value: &str) -> Vec<u8> {
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
        assert_eq!(encode("k", "value"), b"\x0a\x01k\x12\x05value");
        let long = encode("k", &"v".repeat(253));
        assert_eq!(&long[..7], b"\x0a\x01k\x12\xfd\x01v");
        assert_eq!(long.len(), 6 + 253);
    }
}
