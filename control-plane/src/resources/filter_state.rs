//! Filter state that a connection hands inward, to the internal listener that it ends in.

use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3::{
    FilterStateValue, filter_state_value,
};

use super::protobuf::inline_string;

/// The addresses of the connection, which the listener's `original_dst` filter takes for its own.
pub(super) fn addresses() -> [FilterStateValue; 2] {
    [
        shared("envoy.filters.listener.original_dst.remote_ip", "", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        shared("envoy.filters.listener.original_dst.local_ip", "", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ]
}

/// A value by its format, made by a factory that Envoy finds by the key where none is named.
pub(super) fn shared(key: &str, factory: &str, format: &str) -> FilterStateValue {
    FilterStateValue {
        key: Some(filter_state_value::Key::ObjectKey(key.to_owned())),
        factory_key: factory.to_owned(),
        value: Some(filter_state_value::Value::FormatString(SubstitutionFormatString {
            format: Some(Format::TextFormatSource(inline_string(format))),
            ..SubstitutionFormatString::default()
        })),
        shared_with_upstream: filter_state_value::SharedWithUpstream::Once as i32,
        ..FilterStateValue::default()
    }
}
