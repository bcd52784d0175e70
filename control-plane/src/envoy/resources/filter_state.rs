//! Filter state: values that a connection hands to the internal listener in which it ends, and to the policy filter by
//! way of a header.

use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, SubstitutionFormatString, TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3::{
    FilterStateValue, filter_state_value,
};

use envoy_types::pb::envoy::extensions::filters::network::set_filter_state::v3::Config;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3 as early;
use envoy_types::util::pack_any;
use weir_contract::connection::ConnectionKind;
use weir_contract::header;

use super::names;
use super::protobuf::inline_string;

/// The addresses of the connection. The internal listener's `original_dst` filter restores them.
pub(super) fn addresses() -> [FilterStateValue; 2] {
    [
        shared("envoy.filters.listener.original_dst.remote_ip", "", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        shared("envoy.filters.listener.original_dst.local_ip", "", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ]
}

/// Describes a connection once for all its requests, so that no request can change the description.
pub(super) fn connection(kind: ConnectionKind) -> Filter {
    let tunnel = format!("%FILTER_STATE({}:PLAIN)%", names::CONNECT_AUTHORITY);
    let line = kind.compose("%REQUESTED_SERVER_NAME%", &tunnel);
    // Envoy writes an absent value as nothing, and not as a dash, which could be a server name.
    network_filter(vec![value(names::CONNECTION, STRING, &line, true)])
}

/// Gives the policy filter the description of [`connection`], in a header after all headers of the client. The filter
/// reads only the last header of that name. Envoy does not remove the client's, because it would have to make a table of
/// all headers for that. If the description is missing, Envoy appends an empty header, so that a client's does not
/// count.
pub(super) fn connection_header() -> TypedExtensionConfig {
    let connection = HeaderValue {
        key: header::CONNECTION.to_owned(),
        value: format!("%FILTER_STATE({}:PLAIN)%", names::CONNECTION),
        ..HeaderValue::default()
    };
    let append = HeaderValueOption {
        header: Some(connection),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd as i32,
        keep_empty_value: true,
        ..HeaderValueOption::default()
    };
    let mutation = HeaderMutation { action: Some(header_mutation::Action::Append(append)) };
    let mutations = early::HeaderMutation { mutations: vec![mutation] };
    TypedExtensionConfig {
        name: "envoy.http.early_header_mutation.header_mutation".to_owned(),
        typed_config: Some(pack_any(mutations)),
    }
}

/// Sets filter state when Envoy accepts a connection.
pub(super) fn network_filter(values: Vec<FilterStateValue>) -> Filter {
    let config = Config { on_new_connection: values, ..Config::default() };
    Filter {
        name: "envoy.filters.network.set_filter_state".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack_any(config))),
    }
}

/// Envoy's factory that makes text for any key.
const STRING: &str = "envoy.string";

/// Shares values with the intercept listener that only the explicit listener has.
pub(super) fn tunnel() -> Vec<FilterStateValue> {
    [shared(names::CONNECT_AUTHORITY, STRING, "%REQ(:AUTHORITY)%")].into_iter().chain(addresses()).collect()
}

/// Gives a request the upstream connections of its client's connection alone, if the policy filter asked for it. The object is
/// an address, which Envoy takes into the key under which it pools connections. Only clusters for original destinations read
/// it.
pub(super) fn separated() -> Vec<FilterStateValue> {
    let number = format!("%FILTER_STATE({}:PLAIN)%", weir_contract::filter_state::SEPARATED);
    vec![FilterStateValue {
        shared_with_upstream: filter_state_value::SharedWithUpstream::Once as i32,
        skip_if_empty: true,
        ..value("envoy.network.transport_socket.original_dst_address", "", &number, true)
    }]
}

fn shared(key: &str, factory: &str, format: &str) -> FilterStateValue {
    FilterStateValue {
        shared_with_upstream: filter_state_value::SharedWithUpstream::Once as i32,
        ..value(key, factory, format, false)
    }
}

/// Makes a value from its format. Envoy makes the object with this factory, or finds one by the key if no factory is
/// named.
fn value(key: &str, factory: &str, format: &str, omit_empty_values: bool) -> FilterStateValue {
    FilterStateValue {
        key: Some(filter_state_value::Key::ObjectKey(key.to_owned())),
        factory_key: factory.to_owned(),
        value: Some(filter_state_value::Value::FormatString(SubstitutionFormatString {
            omit_empty_values,
            format: Some(Format::TextFormatSource(inline_string(format))),
            ..SubstitutionFormatString::default()
        })),
        ..FilterStateValue::default()
    }
}
