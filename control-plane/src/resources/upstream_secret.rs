//! What upstreams are verified by, as secrets.
//!
//! The name of a secret is made of its content: another content is another secret, the clusters that use it change with
//! it, and their old connections end. So what a root is taken back from is not used again.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, SdsSecretConfig, Secret, secret,
};
use xxhash_rust::xxh3::xxh3_128;

use super::protobuf::{ads, inline_string};
use crate::snapshot::Resource;

/// Clients choose what Envoy asks secrets for by the server name that they send, and one has at most 255 bytes
/// (BoringSSL's limit). No client can ask for a secret with a longer name.
const LONGER_THAN_ANY_SERVER_NAME: usize = 256;

/// Certificates that upstreams are verified by.
pub(super) fn trust(pem: &str) -> Resource {
    let context = CertificateValidationContext {
        trusted_ca: Some(inline_string(pem)),
        ..CertificateValidationContext::default()
    };
    secret(trust_name(pem), secret::Type::ValidationContext(context))
}

/// The name of [`trust`].
pub(super) fn trust_name(pem: &str) -> String {
    name("upstream_trust", pem)
}

/// How a context refers to a secret.
pub(super) fn reference(name: String) -> SdsSecretConfig {
    SdsSecretConfig { name, sds_config: Some(ads()) }
}

fn secret(name: String, content: secret::Type) -> Resource {
    Resource::new(name.clone(), &Secret { name, r#type: Some(content) })
}

fn name(kind: &str, content: &str) -> String {
    let name = format!("{kind}_{:032x}", xxh3_128(content.as_bytes()));
    format!("{name:_<LONGER_THAN_ANY_SERVER_NAME$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_name_is_as_long_as_the_name_of_a_secret() {
        assert_eq!(trust_name("a").len(), 256);
        assert_ne!(trust_name("a"), trust_name("b"));
    }
}
