//! A CA certificate: its identity, and the names that it may sign for.

use std::time::{Duration, UNIX_EPOCH};

use ring::digest;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::name_constraints::NameConstraints;
use super::validity::Validity;

/// A certificate that may sign other certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    name: String,
    validity: Validity,
    path_length: Option<u32>,
    constraints: NameConstraints,
}

impl CaCertificate {
    /// Parses a certificate in DER. The error describes the fault.
    pub(super) fn parse(der: Vec<u8>) -> Result<Self, String> {
        let (_, x509) = X509Certificate::from_der(&der).map_err(|cause| cause.to_string())?;
        let constraints = x509.basic_constraints().map_err(|cause| cause.to_string())?;
        let Some(constraints) = constraints.filter(|constraints| constraints.value.ca) else {
            return Err("it may not sign certificates".to_owned());
        };
        let usage = x509.key_usage().map_err(|cause| cause.to_string())?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err("its key usage does not include signing certificates".to_owned());
        }
        let seconds = |time: i64| UNIX_EPOCH + Duration::from_secs(time.try_into().unwrap_or_default());
        let certificate = Self {
            subject: x509.subject().as_raw().to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            public_key: x509.public_key().raw.to_vec(),
            name: x509.subject().to_string(),
            validity: Validity {
                not_before: seconds(x509.validity().not_before.timestamp()),
                not_after: seconds(x509.validity().not_after.timestamp()),
            },
            path_length: constraints.value.path_len_constraint,
            constraints: NameConstraints::from_certificate(&x509)?,
            der: Vec::new(),
        };
        Ok(Self { der, ..certificate })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", self.der.as_slice()), line_feeds)
    }

    /// The subject, in readable form.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate's validity period.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certificate's name constraints.
    #[must_use]
    pub fn constraints(&self) -> &NameConstraints {
        &self.constraints
    }

    /// The certificate's SHA-256 hash in the form that most tools print: `AB:CD:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.der);
        let bytes: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// Returns whether this public key (a SubjectPublicKeyInfo) is the certificate's key.
    pub(super) fn has_key(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// Returns whether both certificates belong to one CA, with one subject and one key.
    pub(super) fn is_of_the_ca_of(&self, other: &Self) -> bool {
        self.subject == other.subject && self.public_key == other.public_key
    }

    /// The path length constraint: how many CA certificates may lie between this one and a leaf. `None` means no
    /// limit.
    pub(super) fn path_length(&self) -> Option<u32> {
        self.path_length
    }

    /// Returns whether the certificate names itself as its issuer, as a root does.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Returns whether `other` names this certificate as its issuer.
    pub(super) fn issued(&self, other: &Self) -> bool {
        other.issuer == self.subject
    }

    /// Returns whether this certificate's key signed `other`.
    pub(super) fn signed(&self, other: &Self) -> bool {
        let key = SubjectPublicKeyInfo::from_der(&self.public_key);
        let other = X509Certificate::from_der(&other.der);
        matches!((key, other), (Ok((_, key)), Ok((_, other))) if other.verify_signature(Some(&key)).is_ok())
    }
}
