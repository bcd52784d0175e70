//! A signing CA: its certificate and key, the certificates between it and its root, and the roots that clients must
//! trust.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{Issuer, KeyPair};
use ring::digest::{SHA256, digest};

use super::certificate::CaCertificate;
use super::error::CaError;
use super::name_constraints::NameConstraints;
use super::validity::Validity;

/// The CA that signs Weir's intermediate. Its first root is the one that clients need; the others are older roots
/// that clients may still trust.
pub struct SigningCa {
    certificate: CaCertificate,
    issuer: Issuer<'static, KeyPair>,
    above: Vec<CaCertificate>,
    roots: Vec<TrustedRoot>,
    origin: Origin,
}

/// A root certificate that clients should trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot {
    /// The root's certificate.
    pub certificate: CaCertificate,
    /// The last second in which a client needs to trust this root.
    pub until: SystemTime,
}

/// The source of the CA's key and certificate, for the advice in error messages.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Weir made the key and the certificate.
    Made { certificate: PathBuf, key: PathBuf },
    /// The operator supplied the key and the certificate.
    External { certificate: PathBuf },
}

/// A hash of the certificates that leaves carry above the intermediate. Two authorities with different hashes need
/// different leaves.
pub(super) type ChainIdentity = [u8; 32];

impl SigningCa {
    /// Creates an authority. `above` holds the certificates that a client needs, beside its root, to build a chain
    /// from `certificate` to any of `roots`.
    pub(super) fn new(
        certificate: CaCertificate,
        key: KeyPair,
        above: Vec<CaCertificate>,
        roots: Vec<TrustedRoot>,
        origin: Origin,
    ) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_der(&certificate.der().into(), key)?;
        Ok(Self { certificate, issuer, above, roots, origin })
    }

    /// The certificate of the key that signs.
    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The roots that clients should trust, the newest first.
    #[must_use]
    pub fn roots(&self) -> &[TrustedRoot] {
        &self.roots
    }

    /// All roots in PEM, concatenated.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.roots.iter().map(|root| root.certificate.pem()).collect()
    }

    /// Returns whether the name constraints of every certificate in the chain permit a leaf for this host.
    #[must_use]
    pub fn permits(&self, host: &weir_policy::Host) -> bool {
        self.all_constraints().all(|constraints| constraints.permit(host))
    }

    /// Returns whether a certificate in the chain has name constraints.
    #[must_use]
    pub fn is_constrained(&self) -> bool {
        self.all_constraints().any(NameConstraints::are_some)
    }

    fn all_constraints(&self) -> impl Iterator<Item = &NameConstraints> {
        let root = self.roots.first().map(|root| &root.certificate);
        let path = std::iter::once(&self.certificate).chain(self.path()).chain(root);
        path.map(CaCertificate::constraints)
    }

    /// The certificates between the CA's certificate and its root. A certificate that links a new root to an older
    /// one is not part of this path.
    fn path(&self) -> &[CaCertificate] {
        match &self.origin {
            Origin::Made { .. } => &[],
            Origin::External { .. } => &self.above,
        }
    }

    /// The period in which every certificate up to the root is valid.
    pub(super) fn validity(&self) -> Validity {
        let root = self.roots.first().map(|root| &root.certificate);
        let path = self.path().iter().chain(root).map(CaCertificate::validity);
        path.fold(self.certificate.validity(), |all, one| Validity {
            not_before: all.not_before.max(one.not_before),
            not_after: all.not_after.min(one.not_after),
        })
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The certificates that follow the intermediate in a TLS handshake, in PEM. A self-issued CA certificate is left
    /// out, because clients have it as their root.
    pub(super) fn chain_pem(&self) -> String {
        let own = (!self.certificate.is_self_issued()).then_some(&self.certificate);
        own.into_iter().chain(&self.above).map(CaCertificate::pem).collect()
    }

    pub(super) fn chain_identity(&self) -> ChainIdentity {
        let mut hash = [0; 32];
        hash.copy_from_slice(
            digest(&SHA256, (self.certificate.pem() + &self.chain_pem()).as_bytes()).as_ref(),
        );
        hash
    }

    pub(super) fn assert_valid(&self, now: SystemTime) -> Result<(), CaError> {
        let Validity { not_before, not_after } = self.validity();
        if now > not_after {
            return Err(match self.origin.clone() {
                Origin::Made { certificate, key } => CaError::Expired { path: certificate, key, not_after },
                Origin::External { certificate } => CaError::external(
                    &certificate,
                    format!("a certificate in it ended on {}", super::validity::date(not_after)),
                    "supply one that is valid",
                ),
            });
        }
        if now < not_before {
            let (Origin::Made { certificate, .. } | Origin::External { certificate }) = self.origin.clone();
            return Err(CaError::NotYetValid { path: certificate, not_before });
        }
        Ok(())
    }
}

impl PartialEq for SigningCa {
    /// Returns whether both sign with one key under one chain and share their trusted roots.
    fn eq(&self, other: &Self) -> bool {
        (&self.certificate, &self.above, &self.roots) == (&other.certificate, &other.above, &other.roots)
    }
}

impl fmt::Debug for SigningCa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningCa")
            .field("certificate", &self.certificate.name())
            .finish_non_exhaustive()
    }
}
