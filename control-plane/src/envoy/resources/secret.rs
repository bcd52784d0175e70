//! A leaf certificate as a secret.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret};
use weir_xds::Resource;

use super::protobuf::inline_string;
use crate::ca::leaf::Leaf;

/// Builds the secret of a leaf, under the name that Envoy requested. Envoy redacts the private key in its config dump.
pub fn resource(name: &str, leaf: &Leaf) -> Resource {
    let certificate = TlsCertificate {
        certificate_chain: Some(inline_string(leaf.certificate_chain())),
        private_key: Some(inline_string(leaf.private_key().as_pem())),
        ..TlsCertificate::default()
    };
    let secret = Secret { name: name.to_owned(), r#type: Some(secret::Type::TlsCertificate(certificate)) };
    Resource::new(name, &secret)
}
