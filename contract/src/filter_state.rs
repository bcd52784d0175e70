//! Keys of filter state that the filter sets and Envoy's configuration reads.

/// The prefix that Envoy gives to a property which a Wasm filter sets.
pub const WASM_PREFIX: &str = "wasm.";

/// Filter state of the decision record. In an access log: `%FILTER_STATE(wasm.weir:PLAIN)%`.
pub const RECORD: &str = "wasm.weir";

/// Filter state with the number of the address list that the deciding rule has. The address guard matches on it.
pub const ADDRESS_SET: &str = "wasm.weir_addresses";

/// Filter state of a client's connection whose upstream connections no other client's connection uses: its number in the
/// form of an address. Envoy names its text objects so, and makes one for a Wasm filter under no other key.
pub const SEPARATED: &str = "envoy.string";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wasm_filter_can_set_each_state() {
        for state in [RECORD, ADDRESS_SET] {
            assert!(state.starts_with(WASM_PREFIX), "{state}");
        }
    }
}
