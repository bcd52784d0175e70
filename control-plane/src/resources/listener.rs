//! Listeners: the explicit proxy, and the internal one that every CONNECT ends in.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::listener::v3::listener::{InternalListenerConfig, ListenerSpecifier};
use envoy_types::pb::envoy::config::listener::v3::{
    FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::protobuf::{seconds, socket_address};
use super::{Gateway, connection_manager, downstream_tls, names};
use crate::capabilities::Capabilities;
use crate::snapshot::References;
use crate::xds::ResourceType;

/// How long a handshake may take: a name whose certificate the control plane does not answer fails cleanly.
const HANDSHAKE_SECONDS: i64 = 5;
/// How long a client may stay silent before it is known whether it speaks TLS.
const FIRST_BYTES_SECONDS: i64 = 10;

pub(super) fn explicit(gateway: &Gateway, capabilities: Capabilities) -> (Listener, References) {
    let listener = Listener {
        name: names::EXPLICIT_LISTENER.to_owned(),
        address: Some(socket_address(gateway.listen)),
        filter_chains: vec![FilterChain {
            filters: vec![connection_manager::explicit(gateway, capabilities)],
            ..FilterChain::default()
        }],
        ..Listener::default()
    };
    (listener, references(&[names::EXPLICIT_ROUTES]))
}

pub(super) fn intercept(
    gateway: &Gateway,
    capabilities: Capabilities,
    leaf_names: &BTreeSet<String>,
) -> (Listener, References) {
    let transport_protocol = |protocol: &str| {
        Some(FilterChainMatch { transport_protocol: protocol.to_owned(), ..FilterChainMatch::default() })
    };
    let tls = FilterChain {
        name: "tls".to_owned(),
        filter_chain_match: transport_protocol("tls"),
        transport_socket: Some(downstream_tls::transport(capabilities.leaf_delivery, leaf_names)),
        transport_socket_connect_timeout: seconds(HANDSHAKE_SECONDS),
        filters: vec![connection_manager::intercepted_tls(gateway, capabilities)],
        ..FilterChain::default()
    };
    let plain = FilterChain {
        name: "plain".to_owned(),
        filter_chain_match: transport_protocol("raw_buffer"),
        filters: vec![connection_manager::intercepted_plain(gateway, capabilities)],
        ..FilterChain::default()
    };
    let listener = Listener {
        name: names::INTERCEPT_LISTENER.to_owned(),
        listener_specifier: Some(ListenerSpecifier::InternalListener(InternalListenerConfig {})),
        listener_filters: vec![
            // Takes the client's address from the filter state that the explicit listener shared.
            listener_filter("envoy.filters.listener.original_dst", OriginalDst::default()),
            listener_filter("envoy.filters.listener.tls_inspector", TlsInspector::default()),
        ],
        listener_filters_timeout: seconds(FIRST_BYTES_SECONDS),
        filter_chains: vec![tls, plain],
        ..Listener::default()
    };
    (listener, references(&[names::INTERCEPTED_TLS_ROUTES, names::INTERCEPTED_PLAIN_ROUTES]))
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
