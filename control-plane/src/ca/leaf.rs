//! A leaf: a TLS server certificate for one name, with a key of its own.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use weir_policy::Host;

use super::error::{CaError, cannot_sign};
use super::intermediate::Intermediate;
use super::parameters::parameters;
use super::private_key::PrivateKey;
use super::signing_ca::ChainIdentity;
use super::validity::Validity;

// RFC 5280, appendix A.1, bounds a common name (ub-common-name); a longer one makes the certificate malformed.
const LONGEST_COMMON_NAME: usize = 64;

/// A certificate for exactly one name, with its chain and its key.
///
/// A browser sends requests for every name of a certificate over one connection. The filter would refuse them,
/// because they do not match the connection's server name. So each leaf has one name.
#[derive(Debug)]
pub struct Leaf {
    certificate_chain: String,
    private_key: PrivateKey,
    chain_identity: ChainIdentity,
    not_after: SystemTime,
    renew_at: SystemTime,
}

impl Leaf {
    pub(super) fn make(
        name: &Host,
        intermediate: &Intermediate,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let name = name.as_str();
        let failed = || cannot_sign(name);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed())?;
        let validity = Validity::new(now, lifetime, Some(intermediate.validity()));
        let mut parameters = parameters(validity);
        parameters.subject_alt_names = vec![subject_alt_name(name).map_err(failed())?];
        parameters.distinguished_name = DistinguishedName::new();
        if name.len() <= LONGEST_COMMON_NAME {
            parameters.distinguished_name.push(DnType::CommonName, name);
        }
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // rcgen derives the default serial number from the fresh public key, 159 bits of a hash. It is as random as
        // the key.
        let certificate = parameters.signed_by(&key, intermediate.issuer()).map_err(failed())?;
        Ok(Self {
            certificate_chain: certificate.pem() + intermediate.chain_pem(),
            chain_identity: intermediate.chain_identity(),
            private_key: PrivateKey::from(&key),
            not_after: validity.not_after,
            renew_at: validity.renew_at(now) - jitter(key.public_key_raw(), validity.left(now)),
        })
    }

    /// The PEM chain that a server presents: the leaf, the intermediate, and the certificates from there to a root.
    #[must_use]
    pub fn certificate_chain(&self) -> &str {
        &self.certificate_chain
    }

    /// The leaf's private key.
    #[must_use]
    pub fn private_key(&self) -> &PrivateKey {
        &self.private_key
    }

    /// The chain identity of the authority that this leaf chains to.
    pub(super) fn chain_identity(&self) -> ChainIdentity {
        self.chain_identity
    }

    /// The last second in which the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The time after which a new leaf should replace this one, after about two thirds of its life. Each leaf gets a
    /// random offset, so that leaves made together are not all replaced together.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }
}

fn subject_alt_name(name: &str) -> Result<SanType, rcgen::Error> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    match bare.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

/// A random offset of up to a tenth of the lifetime. A fresh public key is random, so it needs no other source of
/// randomness.
fn jitter(public_key: &[u8], lifetime: Duration) -> Duration {
    let random = public_key.iter().rev().take(2).fold(0, |number, byte| (number << 8) | u32::from(*byte));
    lifetime / 10 * random / 0x1_0000
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ca, host, now};
    use super::*;
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    fn certificates(leaf: &Leaf) -> Vec<Vec<u8>> {
        pem::parse_many(leaf.certificate_chain()).unwrap().into_iter().map(pem::Pem::into_contents).collect()
    }

    #[test]
    fn a_leaf_serves_one_name_for_tls_servers_and_signs_nothing() {
        let (_folder, ca) = ca();
        let leaf = ca.mint(&host("a.example"), now()).unwrap();
        let chain = certificates(&leaf);
        assert_eq!(chain.len(), 2);
        let (_, x509) = X509Certificate::from_der(&chain[0]).unwrap();
        let names = &x509.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names, &[GeneralName::DNSName("a.example")]);
        assert_eq!(x509.subject().to_string(), "CN=a.example");
        assert_eq!(x509.key_usage().unwrap().unwrap().value.to_string(), "Digital Signature");
        let usage = x509.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !usage.any);
        assert!(!x509.basic_constraints().unwrap().unwrap().value.ca);
        assert_eq!(x509.public_key().parsed().unwrap().key_size(), 256);
    }

    #[test]
    fn the_intermediate_signs_leaves_for_tls_servers_only() {
        let (_folder, ca) = ca();
        let chain = certificates(&ca.mint(&host("a.example"), now()).unwrap());
        let (_, x509) = X509Certificate::from_der(&chain[1]).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        assert_eq!(x509.key_usage().unwrap().unwrap().value.to_string(), "Key Cert Sign");
        let usage = x509.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !usage.any);
    }

    #[test]
    fn a_name_longer_than_a_common_name_may_be_stands_in_a_critical_alternative_name_alone() {
        let (_folder, ca) = ca();
        for (last, subject) in
            [("examples", format!("CN={}examples", "a.".repeat(28))), ("examples1", String::new())]
        {
            let name = "a.".repeat(28) + last;
            let chain = certificates(&ca.mint(&host(&name), now()).unwrap());
            let (_, x509) = X509Certificate::from_der(&chain[0]).unwrap();
            assert_eq!(x509.subject().to_string(), subject);
            assert_eq!(x509.subject_alternative_name().unwrap().unwrap().critical, name.len() > 64);
        }
    }

    #[test]
    fn two_leaves_share_neither_key_nor_serial_and_renew_at_different_times() {
        let (_folder, ca) = ca();
        let leaves: Vec<Leaf> = (0..8).map(|_| ca.mint(&host("a.example"), now()).unwrap()).collect();
        let chains: Vec<_> = leaves.iter().map(certificates).collect();
        let serial =
            |chain: &Vec<Vec<u8>>| X509Certificate::from_der(&chain[0]).unwrap().1.serial.to_string();
        let serials: std::collections::BTreeSet<_> = chains.iter().map(serial).collect();
        assert_eq!(serials.len(), 8);
        let renewals: std::collections::BTreeSet<_> = leaves.iter().map(Leaf::renew_at).collect();
        assert!(renewals.len() > 1);
        for renew_at in renewals {
            let left = leaves[0].not_after().duration_since(renew_at).unwrap();
            assert!(left >= Duration::from_hours(8) && left <= Duration::from_hours(11), "{left:?}");
        }
    }
}
