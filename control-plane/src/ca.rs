//! The interception CA. A root (on disk, made once or supplied by the operator) signs an intermediate (in memory,
//! made at start), which signs a leaf for each name.
//!
//! Clients trust the root, so its key is the most important secret. Its file is readable only by its owner, and the
//! key never leaves this process. Envoy gets only leaf keys, each good for one name and a few hours.

pub mod certificate;
mod error;
mod external;
pub mod intermediate;
pub mod leaf;
pub mod leaves;
pub mod name_constraints;
mod parameters;
pub mod private_key;
pub mod root;
pub mod signing_ca;
mod token_bucket;
pub mod validity;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use weir_policy::Host;

use crate::folder::state::{Lock, StateFolder};
pub use error::CaError;
pub use external::CaFiles;
use intermediate::Intermediate;
use leaf::Leaf;
use name_constraints::NameConstraints;
use signing_ca::SigningCa;

/// The lifetimes of certificates. A leaf never outlives its intermediate, and an intermediate never outlives the
/// root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The lifetime of an intermediate, which is replaced in memory after two thirds of it.
    pub intermediate: Duration,
    /// The lifetime of a leaf.
    pub leaf: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { intermediate: Duration::from_hours(30 * 24), leaf: Duration::from_hours(24) }
    }
}

/// Mints certificates that chain to the root. It is shared between threads.
#[derive(Debug)]
pub struct Ca {
    source: CaSource,
    lifetimes: Lifetimes,
    signing: Mutex<Signing>,
}

/// The place of the CA's key and certificate.
#[derive(Debug)]
enum CaSource {
    Folder(StateFolder),
    Files(CaFiles),
}

#[derive(Debug)]
struct Signing {
    signing_ca: Arc<SigningCa>,
    intermediate: Arc<Intermediate>,
}

impl Ca {
    /// Opens the CA in the state folder, and makes its root on first use. Two processes that do so at once make one
    /// root.
    ///
    /// # Errors
    /// When other users may read the folder or its files, or when their content is not a CA that is valid at `now`.
    pub fn open(folder: &StateFolder, lifetimes: Lifetimes, now: SystemTime) -> Result<Self, CaError> {
        Self::new(CaSource::Folder(folder.clone()), lifetimes, now)
    }

    /// Opens an external CA.
    ///
    /// # Errors
    /// When other users may read the key, or when the files are not a CA that is valid at `now` and may sign an
    /// intermediate.
    pub fn open_external(files: CaFiles, lifetimes: Lifetimes, now: SystemTime) -> Result<Self, CaError> {
        Self::new(CaSource::Files(files), lifetimes, now)
    }

    fn new(source: CaSource, lifetimes: Lifetimes, now: SystemTime) -> Result<Self, CaError> {
        let signing = Mutex::new(Signing::load(&source, None, lifetimes, now)?);
        Ok(Self { source, lifetimes, signing })
    }

    /// The current signing CA, with the roots that clients must trust.
    #[must_use]
    pub fn signing_ca(&self) -> Arc<SigningCa> {
        Arc::clone(&self.signing().signing_ca)
    }

    /// Reads the CA again. Returns whether it has changed, so that leaves and trust files must be made anew.
    ///
    /// # Errors
    /// The errors of [`Self::open`]. The CA then remains unchanged.
    pub fn reload(&self, now: SystemTime) -> Result<bool, CaError> {
        Ok(self.replace(Signing::load(&self.source, None, self.lifetimes, now)?))
    }

    /// Reads the CA again as [`Self::reload`] does, while the state folder is locked. Until the lock ends, the CA equals
    /// the one on the disk.
    ///
    /// # Errors
    /// The errors of [`Self::open`]. The CA then remains unchanged.
    pub fn reload_locked(&self, lock: &Lock, now: SystemTime) -> Result<bool, CaError> {
        Ok(self.replace(Signing::load(&self.source, Some(lock), self.lifetimes, now)?))
    }

    fn replace(&self, loaded: Signing) -> bool {
        let mut signing = self.signing();
        let changed = *loaded.signing_ca != *signing.signing_ca;
        if changed {
            *signing = loaded;
        }
        changed
    }

    /// Mints a certificate and a fresh key for exactly one name.
    ///
    /// # Errors
    /// When the root has expired at `now`, or the name cannot be put into a certificate.
    pub fn mint(&self, name: &Host, now: SystemTime) -> Result<Leaf, CaError> {
        let intermediate = {
            let mut signing = self.signing();
            if now >= signing.intermediate.renew_at() {
                let renewed = Intermediate::make(&signing.signing_ca, self.lifetimes.intermediate, now)?;
                signing.intermediate = Arc::new(renewed);
            }
            Arc::clone(&signing.intermediate)
        };
        Leaf::make(name, &intermediate, self.lifetimes.leaf, now)
    }

    /// Returns whether a leaf can still be used: it is not due for renewal, and chains to the current intermediate.
    #[must_use]
    pub fn is_current(&self, leaf: &Leaf, now: SystemTime) -> bool {
        now < leaf.renew_at() && leaf.chain_identity() == self.signing().intermediate.chain_identity()
    }

    /// Returns the interval at which the caller should check for due leaves, so that every leaf is renewed in time.
    #[must_use]
    pub fn renewal_interval(&self) -> Duration {
        (self.lifetimes.leaf / 20).min(Duration::from_mins(1))
    }

    fn signing(&self) -> MutexGuard<'_, Signing> {
        // The guarded values are replaced as a whole, so a panic in another thread leaves them consistent.
        self.signing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signing {
    fn load(
        source: &CaSource,
        lock: Option<&Lock>,
        lifetimes: Lifetimes,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let signing_ca = match (source, lock) {
            (CaSource::Folder(folder), Some(lock)) => root::open_locked(folder, lock, now)?,
            (CaSource::Folder(folder), None) => root::open(folder, now)?,
            (CaSource::Files(files), _) => files.open(now)?,
        };
        let intermediate = Intermediate::make(&signing_ca, lifetimes.intermediate, now)?;
        Ok(Self { signing_ca: Arc::new(signing_ca), intermediate: Arc::new(intermediate) })
    }
}

/// Makes a new root in the state folder that may sign within these constraints. The old root stays trusted for
/// `keep`: until then, leaves of the new root also verify for clients that trust only the old root. With a `keep` of
/// zero, the old root is no longer trusted.
///
/// # Errors
/// The errors of [`Ca::open`].
pub fn rotate(
    folder: &StateFolder,
    keep: Duration,
    constraints: &NameConstraints,
    now: SystemTime,
) -> Result<SigningCa, CaError> {
    root::rotate(folder, keep, constraints, now)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::folder::state::tests::temporary;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
    use std::time::UNIX_EPOCH;

    pub(super) fn host(name: &str) -> Host {
        Host::parse(name.as_bytes()).unwrap()
    }

    pub(super) fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    pub(crate) fn ca() -> (tempfile::TempDir, Ca) {
        let (parent, folder) = temporary();
        (parent, Ca::open(&folder, Lifetimes::default(), now()).unwrap())
    }

    /// Verifies as a TLS client does: chain to the root, purpose, time, name.
    fn verify(ca: &Ca, leaf: &Leaf, name: &str, at: SystemTime) -> Result<(), String> {
        let signing_ca = ca.signing_ca();
        verify_by(signing_ca.roots()[0].certificate.der(), leaf, name, at)
    }

    pub(super) fn verify_by(root: &[u8], leaf: &Leaf, name: &str, at: SystemTime) -> Result<(), String> {
        let chain: Vec<CertificateDer<'_>> = pem::parse_many(leaf.certificate_chain())
            .unwrap()
            .into_iter()
            .map(|block| block.into_contents().into())
            .collect();
        let root = CertificateDer::from(root);
        let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
        let end_entity = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
        let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap());
        end_entity
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                &chain[1..],
                at,
                webpki::KeyUsage::server_auth(),
                None,
                None,
            )
            .map_err(|error| error.to_string())?;
        end_entity
            .verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_leaf_verifies_for_its_name_and_for_no_other() {
        let (_folder, ca) = ca();
        let leaf = ca.mint(&host("a.example"), now()).unwrap();
        verify(&ca, &leaf, "a.example", now()).unwrap();
        for other in ["b.example", "x.a.example", "example", "192.0.2.1"] {
            assert!(verify(&ca, &leaf, other, now()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_leaf_of_an_address_verifies_for_the_address() {
        let (_folder, ca) = ca();
        for (name, address) in [("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1")] {
            let leaf = ca.mint(&host(name), now()).unwrap();
            verify(&ca, &leaf, address, now()).unwrap();
            assert!(verify(&ca, &leaf, "192.0.2.2", now()).is_err());
        }
    }

    #[test]
    fn names_too_long_for_a_common_name_and_single_labels_verify() {
        let (_folder, ca) = ca();
        let long = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
        for name in [long.as_str(), "two--dashes.example", "single"] {
            verify(&ca, &ca.mint(&host(name), now()).unwrap(), name, now()).unwrap();
        }
    }

    #[test]
    fn a_leaf_is_valid_an_hour_before_it_was_made_and_not_after_its_end() {
        let (_folder, ca) = ca();
        let leaf = ca.mint(&host("a.example"), now()).unwrap();
        verify(&ca, &leaf, "a.example", now() - Duration::from_mins(59)).unwrap();
        verify(&ca, &leaf, "a.example", leaf.not_after()).unwrap();
        assert!(verify(&ca, &leaf, "a.example", leaf.not_after() + Duration::from_secs(1)).is_err());
        assert_eq!(leaf.not_after(), now() + Duration::from_hours(24));
    }

    #[test]
    fn another_ca_of_the_same_kind_is_not_trusted() {
        let ((_one, one), (_two, two)) = (ca(), ca());
        let leaf = one.mint(&host("a.example"), now()).unwrap();
        assert!(verify(&two, &leaf, "a.example", now()).is_err());
    }

    #[test]
    fn leaves_stay_valid_when_the_intermediate_is_replaced() {
        let (_folder, ca) = ca();
        let before = ca.mint(&host("a.example"), now()).unwrap();
        let later = now() + Duration::from_hours(24 * 25);
        let after = ca.mint(&host("a.example"), later).unwrap();
        let intermediate = |leaf: &Leaf| pem::parse_many(leaf.certificate_chain()).unwrap()[1].clone();
        assert_ne!(intermediate(&before), intermediate(&after));
        verify(&ca, &before, "a.example", now()).unwrap();
        verify(&ca, &after, "a.example", later).unwrap();
    }

    #[test]
    fn a_leaf_never_outlives_its_intermediate() {
        let (_parent, folder) = temporary();
        let lifetimes = Lifetimes { intermediate: Duration::from_hours(1), leaf: Duration::from_hours(24) };
        let ca = Ca::open(&folder, lifetimes, now()).unwrap();
        let leaf = ca.mint(&host("a.example"), now()).unwrap();
        assert_eq!(leaf.not_after(), now() + Duration::from_hours(1));
    }

    #[test]
    fn no_certificate_is_minted_after_the_end_of_the_root() {
        let (_folder, ca) = ca();
        let error = ca.mint(&host("a.example"), end(&ca) + Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, CaError::Expired { .. }), "{error}");
    }

    fn end(ca: &Ca) -> SystemTime {
        ca.signing_ca().roots()[0].until
    }

    const WEEK: Duration = Duration::from_hours(7 * 24);

    #[test]
    fn after_rotations_leaves_verify_for_who_trusts_any_of_the_roots_until_its_end() {
        let (_parent, folder) = temporary();
        let ca = Ca::open(&folder, Lifetimes::default(), now()).unwrap();
        let before = ca.mint(&host("a.example"), now()).unwrap();
        for _ in 0..2 {
            rotate(&folder, WEEK, &NameConstraints::default(), now()).unwrap();
        }
        assert!(ca.is_current(&before, now()));
        assert!(ca.reload(now()).unwrap() && !ca.reload(now()).unwrap());
        assert!(!ca.is_current(&before, now()));
        let signing_ca = ca.signing_ca();
        let roots: Vec<&[u8]> = signing_ca.roots().iter().map(|root| root.certificate.der()).collect();
        assert_eq!(roots.len(), 3);
        let verified = |at| {
            let leaf = ca.mint(&host("a.example"), at).unwrap();
            let verified = roots.iter().map(|root| verify_by(root, &leaf, "a.example", at).is_ok());
            verified.collect::<Vec<_>>()
        };
        assert_eq!(verified(now()), [true, true, true]);
        assert_eq!(verified(now() + WEEK), [true, true, true]);
        assert!(ca.reload(now() + WEEK + Duration::from_secs(1)).unwrap());
        assert_eq!(verified(now() + WEEK + Duration::from_secs(1)), [true, false, false]);
    }

    #[test]
    fn a_constrained_root_vouches_for_the_names_below_and_for_no_address() {
        let (_parent, folder) = temporary();
        let constraints = NameConstraints::permitting(&[host("a.example"), host("b.example")]);
        rotate(&folder, Duration::ZERO, &constraints, now()).unwrap();
        let ca = Ca::open(&folder, Lifetimes::default(), now()).unwrap();
        assert!(ca.signing_ca().is_constrained());
        for (name, verifies) in [
            ("a.example", true),
            ("x.b.example", true),
            ("c.example", false),
            ("xa.example", false),
            ("192.0.2.1", false),
        ] {
            let leaf = ca.mint(&host(name), now()).unwrap();
            assert_eq!(verify(&ca, &leaf, name, now()).is_ok(), verifies, "{name}");
            if !host(name).is_address() {
                assert_eq!(ca.signing_ca().permits(&host(name)), verifies, "{name}");
            }
        }
    }

    #[test]
    fn nothing_prints_a_private_key() {
        let (parent, ca) = ca();
        let leaf = ca.mint(&host("a.example"), now()).unwrap();
        let key = std::fs::read_to_string(parent.path().join("state/root.key")).unwrap();
        let secrets = [key.lines().nth(1).unwrap(), leaf.private_key().as_pem().lines().nth(1).unwrap()];
        let printed = format!("{ca:?} {leaf:?} {:?}", leaf.private_key());
        for secret in secrets {
            assert!(!printed.contains(secret));
        }
        assert!(!printed.contains("PRIVATE KEY"));
    }
}
