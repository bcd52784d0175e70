//! Keys of filter state that the filter sets and Envoy's configuration reads.

/// The prefix that Envoy gives to a property which a Wasm filter sets.
pub const WASM_PREFIX: &str = "wasm.";

/// Filter state of the decision record. In an access log: `%FILTER_STATE(wasm.weir:PLAIN)%`.
pub const RECORD: &str = "wasm.weir";

/// Filter state with the number of the address list that the deciding rule has. The address guard matches on it.
pub const ADDRESS_SET: &str = "wasm.weir_addresses";

/// Filter state of a request whose upstream connection serves only requests of its client's connection: the number of the
/// client's connection in the form of an address.
pub const SEPARATED: &str = "wasm.weir_separated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wasm_filter_can_set_each_state() {
        for state in [RECORD, ADDRESS_SET, SEPARATED] {
            assert!(state.starts_with(WASM_PREFIX), "{state}");
        }
    }
}
