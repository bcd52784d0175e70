//! The argument of Envoy's foreign function that sets one of its own filter states.

use std::net::Ipv6Addr;

/// The name of the function.
pub const FUNCTION: &str = "set_envoy_filter_state";

/// The key of the text that [`weir_contract::filter_state::SEPARATED`] is; Envoy makes a text under this key alone.
const SEPARATED: &str = weir_contract::filter_state::SEPARATED;
/// `LifeSpan`: the client's connection.
const CONNECTION_SPAN: u8 = 2;

/// Encodes the filter state that gives the client's connection of this number a pool of its own.
///
/// The connection manager makes an address of the text, which Envoy takes into the key under which it pools connections: no
/// other object has a hash before 1.37. The number is the lower half of an IPv6 address. The state lasts as long as the connection, because a server that has
/// authenticated a connection expects its later requests without credentials.
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
    for (tag, text) in [(0x0a, key.as_bytes()), (0x12, value)] {
        argument.push(tag);
        push_varint(&mut argument, text.len());
        argument.extend_from_slice(text);
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
