//! Keys of filter state that the filter sets and Envoy's configuration reads.

/// The prefix that Envoy gives to a property which a Wasm filter sets.
pub const WASM_PREFIX: &str = "wasm.";

/// Property of the decision record. In an access log: `%FILTER_STATE(wasm.weir:PLAIN)%`.
pub const RECORD_PROPERTY: &str = "weir";
/// Filter state of the decision record.
pub const RECORD: &str = "wasm.weir";

/// Property with the number of the address list that the deciding rule has.
pub const ADDRESS_SET_PROPERTY: &str = "weir_addresses";
/// Filter state with that number. The address guard matches on it.
pub const ADDRESS_SET: &str = "wasm.weir_addresses";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_state_is_its_property_with_the_prefix_of_wasm() {
        for (property, state) in [(RECORD_PROPERTY, RECORD), (ADDRESS_SET_PROPERTY, ADDRESS_SET)] {
            assert_eq!(format!("{WASM_PREFIX}{property}"), state);
        }
    }
}
