//! The upstream TLS context, which keeps hosts on one address apart.

use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, TlsParameters, UpstreamTlsContext, tls_parameters,
};

use super::protobuf::{number, transport_socket};
use super::upstream_secret;
use crate::envoy::capabilities::UpstreamTlsStrategy;
use crate::envoy::gateway::Deployment;

/// Sessions in a context that may resume. Envoy keeps the newest and drops the oldest; a host on TLS 1.3 sends two
/// tickets for each handshake, so this is enough for some hundreds of hosts.
pub(super) const SESSIONS: u32 = 1024;

/// Sessions of one host.
pub(super) const SESSIONS_OF_A_HOST: u32 = 64;

/// The groups for the key exchange, in the order of preference. Envoy's default ends at P-256; some servers have only
/// P-384 or P-521, and curl connects to them. The hybrid of ML-KEM is sent first, beside a share for X25519.
const CURVES: [&str; 5] = ["X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"];

/// The signatures that a server may prove its key with, in the names of BoringSSL. BoringSSL's default lacks P-521 and
/// Ed25519, and has PKCS #1 with SHA-1, which TLS 1.3 forbids and current servers no longer need (RFC 9155).
const SIGNATURES: [&str; 10] = [
    "ecdsa_secp256r1_sha256",
    "rsa_pss_rsae_sha256",
    "rsa_pkcs1_sha256",
    "ecdsa_secp384r1_sha384",
    "rsa_pss_rsae_sha384",
    "rsa_pkcs1_sha384",
    "rsa_pss_rsae_sha512",
    "rsa_pkcs1_sha512",
    "ecdsa_secp521r1_sha512",
    "ed25519",
];

/// Builds the context that all hosts share.
pub(super) fn shared(deployment: &Deployment, strategy: UpstreamTlsStrategy) -> TransportSocket {
    usual(
        deployment,
        match strategy {
            UpstreamTlsStrategy::SniScopedSessions => SESSIONS,
            UpstreamTlsStrategy::ContextPerHost | UpstreamTlsStrategy::NoSessions => 0,
        },
    )
}

/// Builds the context of one host. It has one server name, so every session fits every connection.
pub(super) fn of_one_host(deployment: &Deployment) -> TransportSocket {
    usual(deployment, SESSIONS_OF_A_HOST)
}

/// Builds a context with the usual roots and without a client certificate.
fn usual(deployment: &Deployment, sessions: u32) -> TransportSocket {
    transport(&upstream_secret::trust_name(&deployment.upstream_roots), None, sessions)
}

/// Builds a context that verifies by the roots of one secret, may present the client certificate of another secret, and
/// keeps this many sessions.
pub(super) fn transport(trust: &str, identity: Option<&str>, sessions: u32) -> TransportSocket {
    let common = CommonTlsContext {
        tls_params: Some(TlsParameters {
            tls_minimum_protocol_version: tls_parameters::TlsProtocol::TlSv12 as i32,
            // Envoy's default maximum for upstreams is TLS 1.2.
            tls_maximum_protocol_version: tls_parameters::TlsProtocol::TlSv13 as i32,
            ecdh_curves: CURVES.map(str::to_owned).into(),
            signature_algorithms: SIGNATURES.map(str::to_owned).into(),
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
