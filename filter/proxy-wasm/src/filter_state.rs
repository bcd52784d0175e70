//! The argument of Envoy's foreign function that sets one of its own filter states.

use std::net::Ipv6Addr;

use weir_contract::protobuf;

/// The name of the function.
pub const FUNCTION: &str = "set_envoy_filter_state";

/// The key of [`weir_contract::filter_state::SEPARATED`]. Under this key, Envoy makes a filter state of the text.
const SEPARATED: &str = weir_contract::filter_state::SEPARATED;
/// `SetEnvoyFilterStateArguments.path`.
const PATH: u8 = 1;
/// `SetEnvoyFilterStateArguments.value`.
const VALUE: u8 = 2;
/// The `LifeSpan` of the client's connection.
const CONNECTION_SPAN: u8 = 2;

/// Encodes the filter state that gives the client's connection of this number a pool of its own.
///
/// The connection manager makes an address of the text. Envoy adds the address to the key under which it pools
/// connections; before 1.37, no other object has a hash. The number is the lower half of an IPv6 address. The state lasts
/// as long as the connection, because a server that has authenticated a connection expects its later requests without
/// credentials.
pub fn separating(connection_id: u64) -> Vec<u8> {
    let address = Ipv6Addr::from(u128::from(connection_id));
    let [a, b, c, d, e, f, g, h] = address.segments();
    let text = format!("[{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}:{h:x}]:1");
    let mut argument = encode(SEPARATED, text.as_bytes());
    argument.extend_from_slice(&[0x18, CONNECTION_SPAN]);
    argument
}

/// Encodes Envoy's `SetEnvoyFilterStateArguments {string path = 1; string value = 2; LifeSpan span = 3}`.
///
/// The span stays at its default, the filter chain. A wider span leaks over internal redirects, or to other requests of
/// the connection.
pub fn encode(key: &str, value: &[u8]) -> Vec<u8> {
    let mut argument = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(6));
    protobuf::push_field(&mut argument, PATH, key.as_bytes());
    protobuf::push_field(&mut argument, VALUE, value);
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_connection_is_an_address() {
        let argument = separating(0x1_0000_00ff);
        let text = b"[0:0:0:0:0:1:0:ff]:1\x18\x02";
        assert_eq!(argument.get(argument.len() - text.len()..), Some(&text[..]));
    }

    #[test]
    fn the_argument_is_protobuf() {
        assert_eq!(encode("k", b"value"), b"\x0a\x01k\x12\x05value");
        let long = encode("k", "v".repeat(253).as_bytes());
        assert_eq!(&long[..7], b"\x0a\x01k\x12\xfd\x01v");
        assert_eq!(long.len(), 6 + 253);
    }
}
