//! The roots and client certificates for upstreams, as secrets.
//!
//! The name of a secret is made from its content. A change of the content is another secret: the clusters that use it
//! change with it, and their old connections end. So a removed root is used no further.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, SdsSecretConfig, Secret, TlsCertificate, secret,
};
use weir_xds::Resource;
use xxhash_rust::xxh3::xxh3_128;

use super::protobuf::{ads, inline_string};
use crate::input::upstream_files::ClientIdentity;

/// Longer than a server name may be. Clients choose the secrets that Envoy requests, by the server name that they send,
/// which has at most 255 bytes (BoringSSL's limit). So a client cannot request a secret with a longer name.
const LONGER_THAN_ANY_SERVER_NAME: usize = 256;

/// Builds the secret with the roots that verify upstreams.
pub(super) fn trust(pem: &str) -> Resource {
    let context = CertificateValidationContext {
        trusted_ca: Some(inline_string(pem)),
        ..CertificateValidationContext::default()
    };
    secret(trust_name(pem), secret::Type::ValidationContext(context))
}

/// Returns the name of the [`trust`] secret.
pub(super) fn trust_name(pem: &str) -> String {
    name("upstream_trust", pem)
}

/// Builds the secret with a client certificate for upstreams. Envoy redacts the private key in its config dump. The
/// name depends only on the certificate, which identifies its key.
pub(super) fn identity(identity: &ClientIdentity) -> Resource {
    let certificate = TlsCertificate {
        certificate_chain: Some(inline_string(identity.certificate_chain.as_str())),
        private_key: Some(inline_string(identity.private_key.as_pem())),
        ..TlsCertificate::default()
    };
    secret(name("upstream_identity", &identity.certificate_chain), secret::Type::TlsCertificate(certificate))
}

/// Returns a context's reference to a secret.
pub(super) fn reference(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads()) }
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
