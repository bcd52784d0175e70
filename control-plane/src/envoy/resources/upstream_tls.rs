//! The upstream TLS context: where hosts that share an address are kept apart.

use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, TlsParameters, UpstreamTlsContext, tls_parameters,
};

use super::protobuf::{number, transport_socket};
use super::{Gateway, upstream_secret};
use crate::envoy::capabilities::UpstreamTlsStrategy;

/// Sessions kept by a context that may resume. Envoy keeps the newest and drops the oldest; a host on TLS 1.3
/// gives two tickets a handshake, so this is room for some hundreds of hosts.
pub(super) const SESSIONS: u32 = 1024;

/// Sessions kept for one host.
pub(super) const SESSIONS_OF_A_HOST: u32 = 64;

/// The context that all hosts share.
pub(super) fn shared(gateway: &Gateway, strategy: UpstreamTlsStrategy) -> TransportSocket {
    usual(
        gateway,
        match strategy {
            UpstreamTlsStrategy::SniScopedSessions => SESSIONS,
            UpstreamTlsStrategy::ContextPerHost | UpstreamTlsStrategy::NoSessions => 0,
        },
    )
}

/// The context of one host, and so of one server name: what Envoy remembers here fits every connection.
pub(super) fn of_one_host(gateway: &Gateway) -> TransportSocket {
    usual(gateway, SESSIONS_OF_A_HOST)
}

/// A context of the usual roots, that shows no certificate.
fn usual(gateway: &Gateway, sessions: u32) -> TransportSocket {
    transport(&upstream_secret::trust_name(&gateway.upstream_roots), None, sessions)
}

/// A context that verifies by the roots of one secret, may show the certificate of another, and keeps this many sessions.
pub(super) fn transport(trust: &str, identity: Option<&str>, sessions: u32) -> TransportSocket {
    let common = CommonTlsContext {
        tls_params: Some(TlsParameters {
            tls_minimum_protocol_version: tls_parameters::TlsProtocol::TlSv12 as i32,
            // Envoy's default for upstreams is at most 1.2.
            tls_maximum_protocol_version: tls_parameters::TlsProtocol::TlSv13 as i32,
            ..TlsParameters::default()
        }),
        validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(
            upstream_secret::reference(trust),
        )),
        tls_certificate_sds_secret_configs: identity.map(upstream_secret::reference).into_iter().collect(),
        ..CommonTlsContext::default()
    };
    let context = UpstreamTlsContext {
        common_tls_context: Some(common),
        max_session_keys: number(sessions),
        ..UpstreamTlsContext::default()
    };
    transport_socket("envoy.transport_sockets.tls", context)
}
