//! The downstream TLS context: the leaf for exactly the name that the client sends.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::cert_mappers::sni::v3::Sni;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3::Config;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::SessionTicketKeysType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
};

use super::names;
use super::protobuf::{ads, extension, transport_socket};
use crate::envoy::capabilities::LeafDelivery;

pub(super) fn transport(delivery: LeafDelivery, leaf_names: &BTreeSet<String>) -> TransportSocket {
    let mut common = CommonTlsContext {
        alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
        ..CommonTlsContext::default()
    };
    match delivery {
        LeafDelivery::OnDemand => {
            let by_server_name = Sni { default_value: names::NO_SERVER_NAME.to_owned() };
            let selector = Config {
                config_source: Some(ads()),
                certificate_mapper: Some(extension("envoy.tls.certificate_mappers.sni", by_server_name)),
                ..Config::default()
            };
            common.custom_tls_certificate_selector =
                Some(extension("envoy.tls.certificate_selectors.on_demand_secret", selector));
        }
        // Envoy selects the leaf by SNI. There is one context, whatever the number of names.
        LeafDelivery::InAdvance => {
            common.tls_certificate_sds_secret_configs = leaf_names
                .iter()
                .map(|name| SdsSecretConfig { name: name.clone(), sds_config: Some(ads()) })
                .collect();
        }
    }
    let context = DownstreamTlsContext {
        common_tls_context: Some(common),
        // The selector requires both. A resumed session would also outlive its leaf.
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)),
        ..DownstreamTlsContext::default()
    };
    transport_socket("envoy.transport_sockets.tls", context)
}
