//! The argument of Envoy's foreign function that sets one of its own filter states.

use weir_contract::protobuf;

/// The name of the function.
pub const FUNCTION: &str = "set_envoy_filter_state";

/// `SetEnvoyFilterStateArguments.path`.
const PATH: u8 = 1;
/// `SetEnvoyFilterStateArguments.value`.
const VALUE: u8 = 2;

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
    fn the_argument_is_protobuf() {
        assert_eq!(encode("k", b"value"), b"\x0a\x01k\x12\x05value");
        let long = encode("k", "v".repeat(253).as_bytes());
        assert_eq!(&long[..7], b"\x0a\x01k\x12\xfd\x01v");
        assert_eq!(long.len(), 6 + 253);
    }
}
