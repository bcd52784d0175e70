//! The intermediate CA, which signs leaves and exists in memory only.
//!
//! Each process makes its own. The key that signs all day is therefore never the key that clients trust, and leaves
//! of every process chain to one root.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::error::{CaError, cannot_sign};
use super::parameters::parameters;
use super::root::distinguished_name;
use super::signing_ca::{ChainIdentity, SigningCa};
use super::validity::Validity;

/// An intermediate CA certificate with its key.
pub struct Intermediate {
    chain: String,
    chain_identity: ChainIdentity,
    validity: Validity,
    renew_at: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

impl Intermediate {
    /// Makes a new key and a certificate for it, signed by the CA. The certificate may sign leaves for TLS servers
    /// and nothing else.
    pub(super) fn make(signing_ca: &SigningCa, lifetime: Duration, now: SystemTime) -> Result<Self, CaError> {
        let failed = || cannot_sign("an intermediate");
        signing_ca.assert_valid(now)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed())?;
        let validity = Validity::new(now, lifetime, Some(signing_ca.validity()));
        let mut parameters = parameters(validity);
        parameters.distinguished_name =
            distinguished_name("Weir intermediate", &parameters.key_identifier(&key));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let chain = parameters.signed_by(&key, signing_ca.issuer()).map_err(failed())?.pem()
            + &signing_ca.chain_pem();
        let issuer = Issuer::new(parameters, key);
        let (chain_identity, renew_at) = (signing_ca.chain_identity(), validity.renew_at(now));
        Ok(Self { chain, chain_identity, validity, renew_at, issuer })
    }

    /// The intermediate's certificate and the certificates that follow it in a TLS handshake, in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain
    }

    /// The chain identity of the authority that signed this intermediate.
    pub(super) fn chain_identity(&self) -> ChainIdentity {
        self.chain_identity
    }

    /// The time after which a new intermediate should sign.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

impl fmt::Debug for Intermediate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Intermediate").field("validity", &self.validity).finish_non_exhaustive()
    }
}
