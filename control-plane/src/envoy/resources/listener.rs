//! Listeners: the explicit proxy, the internal one in which every CONNECT ends, and the one for redirected connections.
//! The last two have the same filter chains for the inner protocols.
//!
//! A listener with an address has one socket for all workers (no `SO_REUSEPORT`). With a socket for each worker, the
//! kernel would let any other Envoy of the user listen on the same address, and give it a share of the connections.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::listener::v3::listener::connection_balance_config::{
    BalanceType, ExactBalance,
};
use envoy_types::pb::envoy::config::listener::v3::listener::{
    ConnectionBalanceConfig, InternalListenerConfig, ListenerSpecifier,
};
use envoy_types::pb::envoy::config::listener::v3::{
    AdditionalAddress, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::util::pack_any;
use prost::{Message, Name};
use weir_xds::{References, ResourceType};

use super::protobuf::{bool_value, number, seconds, socket_address};
use super::{Gateway, buffers, connection_log, connection_manager, downstream_tls, names, passthrough};
use crate::envoy::capabilities::Capabilities;

/// The maximum duration of a handshake. A handshake for a name whose certificate never arrives fails after it. If Envoy
/// gets no processor time for so long, the handshakes that are under way fail.
const HANDSHAKE_SECONDS: i64 = 5;
/// The maximum time in which a client must send bytes that show whether it speaks TLS.
const FIRST_BYTES_SECONDS: i64 = 10;

pub(super) fn explicit(gateway: &Gateway, capabilities: Capabilities) -> (Listener, References) {
    let listener = Listener {
        name: names::EXPLICIT_LISTENER.to_owned(),
        address: Some(socket_address(gateway.node.listen)),
        per_connection_buffer_limit_bytes: number(buffers::CONNECTION),
        enable_reuse_port: bool_value(false),
        connection_balance_config: balanced(),
        filter_chains: vec![FilterChain {
            name: "explicit".to_owned(),
            filters: connection_manager::explicit(gateway, capabilities).into(),
            ..FilterChain::default()
        }],
        ..Listener::default()
    };
    (listener, references(&[names::EXPLICIT_ROUTES]))
}

/// Builds the internal listener. It ignores the limit of connections, which applies where clients connect: an admitted
/// tunnel is not refused at its inner end.
pub(super) fn intercept(
    gateway: &Gateway,
    capabilities: Capabilities,
    leaf_names: &BTreeSet<String>,
) -> (Listener, References) {
    let target = format!("%FILTER_STATE({}:PLAIN)%", names::CONNECT_AUTHORITY);
    let listener = Listener {
        listener_specifier: Some(ListenerSpecifier::InternalListener(InternalListenerConfig {})),
        ignore_global_conn_limit: true,
        ..intercepting(names::INTERCEPT_LISTENER, &target, gateway, capabilities, leaf_names)
    };
    (listener, intercepting_references())
}

/// Returns `None` if there are no addresses for redirected connections.
pub(super) fn transparent(
    gateway: &Gateway,
    capabilities: Capabilities,
    leaf_names: &BTreeSet<String>,
) -> Option<(Listener, References)> {
    let (first, others) = gateway.node.transparent.split_first()?;
    let address = |address: &SocketAddr| Some(socket_address(*address));
    let listener = Listener {
        address: address(first),
        additional_addresses: others
            .iter()
            .map(|other| AdditionalAddress { address: address(other), ..AdditionalAddress::default() })
            .collect(),
        enable_reuse_port: bool_value(false),
        connection_balance_config: balanced(),
        ..intercepting(
            names::TRANSPARENT_LISTENER,
            "%REQUESTED_SERVER_NAME%:%DOWNSTREAM_LOCAL_PORT%",
            gateway,
            capabilities,
            leaf_names,
        )
    };
    Some((listener, intercepting_references()))
}

/// Builds the internal listener for passed-through TLS, each connection in a CONNECT of its own.
pub(super) fn passthrough(gateway: &Gateway, capabilities: Capabilities) -> (Listener, References) {
    let listener = Listener {
        name: names::PASSTHROUGH_LISTENER.to_owned(),
        listener_specifier: Some(ListenerSpecifier::InternalListener(InternalListenerConfig {})),
        ignore_global_conn_limit: true,
        per_connection_buffer_limit_bytes: number(buffers::CONNECTION),
        listener_filters: vec![original_destination()],
        filter_chains: vec![FilterChain {
            name: "passthrough".to_owned(),
            filters: connection_manager::passthrough(gateway, capabilities).into(),
            ..FilterChain::default()
        }],
        ..Listener::default()
    };
    (listener, references(&[names::PASSTHROUGH_ROUTES]))
}

/// Restores the address that the client dialled, or that the outer listener handed inward, for the log. It does not
/// affect where a request goes.
fn original_destination() -> ListenerFilter {
    listener_filter("envoy.filters.listener.original_dst", OriginalDst::default())
}

/// Balances connections. With one socket for all workers, the first worker to wake accepts a connection, so that one
/// worker may end up with most of them.
fn balanced() -> Option<ConnectionBalanceConfig> {
    let balance_type = Some(BalanceType::ExactBalance(ExactBalance {}));
    Some(ConnectionBalanceConfig { balance_type })
}

/// Builds a listener without its address. `target` is a format of the host and port that its client requested.
fn intercepting(
    name: &str,
    target: &str,
    gateway: &Gateway,
    capabilities: Capabilities,
    leaf_names: &BTreeSet<String>,
) -> Listener {
    let transport_protocol = |protocol: &str| {
        Some(FilterChainMatch { transport_protocol: protocol.to_owned(), ..FilterChainMatch::default() })
    };
    let tls = FilterChain {
        name: "tls".to_owned(),
        filter_chain_match: transport_protocol("tls"),
        transport_socket: Some(downstream_tls::transport(capabilities.leaf_delivery, leaf_names)),
        transport_socket_connect_timeout: seconds(HANDSHAKE_SECONDS),
        filters: connection_manager::intercepted_tls(name, gateway, capabilities).into(),
        ..FilterChain::default()
    };
    let plain = FilterChain {
        name: "plain".to_owned(),
        filter_chain_match: transport_protocol("raw_buffer"),
        filters: connection_manager::intercepted_plain(name, gateway, capabilities).into(),
        ..FilterChain::default()
    };
    Listener {
        name: name.to_owned(),
        per_connection_buffer_limit_bytes: number(buffers::CONNECTION),
        listener_filters: vec![
            original_destination(),
            listener_filter("envoy.filters.listener.tls_inspector", TlsInspector::default()),
        ],
        listener_filters_timeout: seconds(FIRST_BYTES_SECONDS),
        filter_chains: passthrough::chain(gateway, target).into_iter().chain([tls, plain]).collect(),
        access_log: vec![connection_log::access_log(name)],
        ..Listener::default()
    }
}

/// Includes the cluster of passed-through connections even if no chain uses it.
fn intercepting_references() -> References {
    let mut references = references(&[names::INTERCEPTED_TLS_ROUTES, names::INTERCEPTED_PLAIN_ROUTES]);
    references.insert((ResourceType::Cluster, names::PASSTHROUGH_TUNNEL_CLUSTER.to_owned()));
    references
}

fn references(routes: &[&str]) -> References {
    let configs = [names::POLICY_FILTER, names::ADDRESS_GUARD];
    let configs = configs.iter().map(|name| (ResourceType::ExtensionConfig, (*name).to_owned()));
    configs.chain(routes.iter().map(|name| (ResourceType::Route, (*name).to_owned()))).collect()
}

fn listener_filter<M: Message + Name>(name: &str, config: M) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack_any(config))),
        ..ListenerFilter::default()
    }
}
