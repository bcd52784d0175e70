//! What signs: a CA's certificate and key, what stands above it, and the roots that clients must trust for it.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{Issuer, KeyPair};
use ring::digest::{SHA256, digest};

use super::CaError;
use super::certificate::CaCertificate;
use super::name_constraints::NameConstraints;
use super::validity::Validity;

/// The CA under which an intermediate signs. The first of its roots is what a client needs; the others are older ones
/// that clients may still hold.
pub struct Authority {
    certificate: CaCertificate,
    issuer: Issuer<'static, KeyPair>,
    above: Vec<CaCertificate>,
    roots: Vec<TrustedRoot>,
    origin: Origin,
}

/// A certificate that clients are to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot {
    /// The root.
    pub certificate: CaCertificate,
    /// The last second in which it is of use.
    pub until: SystemTime,
}

/// Where the key and the certificate came from, so that a fault can say what to do.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Weir made them.
    Made { certificate: PathBuf, key: PathBuf },
    /// The operator brought them.
    Brought { certificate: PathBuf },
}

/// Tells authorities apart whose leaves differ.
pub(super) type ChainIdentity = [u8; 32];

impl Authority {
    /// `above` are the certificates that a client needs beside the root to get from `certificate` to any of `roots`.
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

    /// The certificate whose key signs.
    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// What clients are to trust, the newest first.
    #[must_use]
    pub fn roots(&self) -> &[TrustedRoot] {
        &self.roots
    }

    /// The roots, one behind the other, in PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.roots.iter().map(|root| root.certificate.pem()).collect()
    }

    /// Whether a leaf for this name would verify.
    #[must_use]
    pub fn permits(&self, host: &weir_policy::Host) -> bool {
        self.all_constraints().all(|constraints| constraints.permit(host))
    }

    /// Whether there are names that it may not sign for.
    #[must_use]
    pub fn is_constrained(&self) -> bool {
        self.all_constraints().any(NameConstraints::are_some)
    }

    fn all_constraints(&self) -> impl Iterator<Item = &NameConstraints> {
        let root = self.roots.first().map(|root| &root.certificate);
        let path = std::iter::once(&self.certificate).chain(self.path()).chain(root);
        path.map(CaCertificate::constraints)
    }

    /// What stands between the certificate and its root. What joins a new root to an old one does not.
    fn path(&self) -> &[CaCertificate] {
        match &self.origin {
            Origin::Made { .. } => &[],
            Origin::Brought { .. } => &self.above,
        }
    }

    /// When all certificates on the way to the root are valid.
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

    /// The certificates that follow an intermediate on the wire, in PEM. A root of its own is left out: clients have it.
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
                Origin::Brought { certificate } => CaError::brought(
                    &certificate,
                    format!("a certificate in it ended on {}", super::validity::date(not_after)),
                    "bring one that is valid",
                ),
            });
        }
        if now < not_before {
            let (Origin::Made { certificate, .. } | Origin::Brought { certificate }) = self.origin.clone();
            return Err(CaError::NotYetValid { path: certificate, not_before });
        }
        Ok(())
    }
}

impl PartialEq for Authority {
    /// Whether both sign with one key under one chain and are trusted through the same roots.
    fn eq(&self, other: &Self) -> bool {
        (&self.certificate, &self.above, &self.roots) == (&other.certificate, &other.above, &other.roots)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("certificate", &self.certificate.name())
            .finish_non_exhaustive()
    }
}
