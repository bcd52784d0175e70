//! The argument of Envoy's foreign function that sets one of its own filter states.

/// The name of the function.
pub const FUNCTION: &str = "set_envoy_filter_state";

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
    fn the_argument_is_protobuf() {
        assert_eq!(encode("k", b"value"), b"\x0a\x01k\x12\x05value");
        let long = encode("k", "v".repeat(253).as_bytes());
        assert_eq!(&long[..7], b"\x0a\x01k\x12\xfd\x01v");
        assert_eq!(long.len(), 6 + 253);
    }
}
