//! The root that Weir makes. It lives in the state folder, is made once, and is replaced only on request.
//!
//! At a replacement, the old key signs a certificate for the new key (a cross certificate, RFC 4949), which is valid
//! for as long as clients should trust the old root. The old key is then discarded. Leaves of the new root carry the
//! cross certificate, so a client that trusts only the old root verifies them until then without a restart.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};

use super::certificate::CaCertificate;
use super::error::{CaError, cannot_sign};
use super::name_constraints::NameConstraints;
use super::parameters::parameters;
use super::private_key::PrivateKey;
use super::signing_ca::{Origin, SigningCa, TrustedRoot};
use super::validity::Validity;
use crate::folder::state::{Lock, StateFolder};

/// The file of the root's certificate in the state folder (PEM).
pub const CERTIFICATE_FILE: &str = "root.pem";
/// The file of the root's private key in the state folder (PEM, PKCS #8, mode 0600).
pub const KEY_FILE: &str = "root.key";
/// The file of older roots (PEM). After each root comes its cross certificate for the next newer root.
const OLD_FILE: &str = "old-roots.pem";

// The lifetime is long, because people must act whenever the root changes. The certificates that it signs live for
// hours.
const LIFETIME: Duration = Duration::from_hours(5 * 365 * 24);

/// Loads the root, or makes it if the folder holds none. A key without its certificate gets a new one. Either no
/// client trusts the key yet (the key is written first), or somebody removed the certificate to renew it.
pub(super) fn open(folder: &StateFolder, now: SystemTime) -> Result<SigningCa, CaError> {
    open_locked(folder, &folder.lock()?, now)
}

/// Loads the root as [`open`] does, while the folder is locked.
pub(super) fn open_locked(folder: &StateFolder, lock: &Lock, now: SystemTime) -> Result<SigningCa, CaError> {
    let key = match (load_key(folder)?, folder.read_public(CERTIFICATE_FILE)?) {
        (Some(key), Some(pem)) => return load(folder, &pem, key, now),
        (None, Some(_)) => {
            let (path, missing) = (folder.file(CERTIFICATE_FILE), folder.file(KEY_FILE));
            return Err(CaError::KeyMissing { path, missing });
        }
        (Some(key), None) => key,
        (None, None) => new_key(folder, lock)?,
    };
    make_certificate(folder, lock, key, &NameConstraints::default(), now)
}

/// Replaces the root by a new one that may sign within these constraints. Older roots stay trusted for `keep`, or for
/// longer if an earlier rotation promised that. If `keep` is zero, no older root stays trusted.
pub(super) fn rotate(
    folder: &StateFolder,
    keep: Duration,
    constraints: &NameConstraints,
    now: SystemTime,
) -> Result<SigningCa, CaError> {
    let lock = folder.lock()?;
    let old = open_locked(folder, &lock, now)?;
    let new = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(cannot_sign("the root"))?;
    let mut kept = String::new();
    if !keep.is_zero() {
        let promised = old.roots().iter().skip(1).map(|root| root.until);
        let until = promised.fold(now + keep, SystemTime::max).min(old.validity().not_after);
        let validity = Validity { not_before: Validity::new(now, keep, None).not_before, not_after: until };
        let cross = root_parameters(&new, constraints, validity)
            .signed_by(&new, old.issuer())
            .map_err(cannot_sign("a cross certificate"))?;
        kept = old.certificate().pem() + &cross.pem() + &folder.read_public(OLD_FILE)?.unwrap_or_default();
    }
    // This order leaves a root that clients trust even after a crash. The cross certificates help only the new key,
    // and a key without its certificate gets an equivalent one.
    folder.write_public(OLD_FILE, kept.as_bytes())?;
    folder.remove(CERTIFICATE_FILE)?;
    folder.write_secret(KEY_FILE, PrivateKey::from(&new).as_pem().as_bytes())?;
    make_certificate(folder, &lock, new, constraints, now)
}

fn load_key(folder: &StateFolder) -> Result<Option<KeyPair>, CaError> {
    let Some(pem) = folder.read_secret(KEY_FILE)? else { return Ok(None) };
    KeyPair::from_pem(&pem).map(Some).map_err(|cause| CaError::NotAKey {
        path: folder.file(KEY_FILE),
        other: folder.file(CERTIFICATE_FILE),
        why: cause.to_string(),
    })
}

fn new_key(folder: &StateFolder, _lock: &Lock) -> Result<KeyPair, CaError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(cannot_sign("the root"))?;
    folder.write_secret(KEY_FILE, PrivateKey::from(&key).as_pem().as_bytes())?;
    Ok(key)
}

fn make_certificate(
    folder: &StateFolder,
    _lock: &Lock,
    key: KeyPair,
    constraints: &NameConstraints,
    now: SystemTime,
) -> Result<SigningCa, CaError> {
    let parameters = root_parameters(&key, constraints, Validity::new(now, LIFETIME, None));
    let pem = parameters.self_signed(&key).map_err(cannot_sign("the root"))?.pem();
    folder.write_public(CERTIFICATE_FILE, pem.as_bytes())?;
    load(folder, &pem, key, now)
}

fn load(folder: &StateFolder, pem: &str, key: KeyPair, now: SystemTime) -> Result<SigningCa, CaError> {
    let not_a_ca = |why: String| CaError::NotACaCertificate {
        path: folder.file(CERTIFICATE_FILE),
        other: folder.file(KEY_FILE),
        why,
    };
    let block = pem::parse(pem).map_err(|cause| not_a_ca(cause.to_string()))?;
    if block.tag() != "CERTIFICATE" {
        return Err(not_a_ca(format!("it holds a `{}`", block.tag())));
    }
    let certificate = CaCertificate::parse(block.into_contents()).map_err(not_a_ca)?;
    if !certificate.has_key(&key.subject_public_key_info()) {
        return Err(CaError::KeyMismatch {
            key: folder.file(KEY_FILE),
            certificate: folder.file(CERTIFICATE_FILE),
        });
    }
    if certificate.path_length() == Some(0) {
        return Err(not_a_ca("it may not sign an intermediate (path length 0)".to_owned()));
    }
    let mut roots =
        vec![TrustedRoot { until: certificate.validity().not_after, certificate: certificate.clone() }];
    let mut above = Vec::new();
    for (old, cross) in old_roots(folder)? {
        let newest = above.last().map_or(&certificate, |(_, old): &(CaCertificate, CaCertificate)| old);
        let until = cross.validity().not_after;
        if !cross.is_of_the_ca_of(newest) || now > until {
            break;
        }
        roots.push(TrustedRoot { certificate: old.clone(), until });
        above.push((cross, old));
    }
    let above = above.into_iter().map(|(cross, _)| cross).collect();
    let origin = Origin::Made { certificate: folder.file(CERTIFICATE_FILE), key: folder.file(KEY_FILE) };
    let signing_ca = SigningCa::new(certificate, key, above, roots, origin)
        .map_err(|cause| not_a_ca(cause.to_string()))?;
    signing_ca.assert_valid(now)?;
    Ok(signing_ca)
}

/// Returns older roots with their cross certificates, the newest first.
fn old_roots(folder: &StateFolder) -> Result<Vec<(CaCertificate, CaCertificate)>, CaError> {
    let not_roots = |why: String| CaError::OldRoots { path: folder.file(OLD_FILE), why };
    let pem = folder.read_public(OLD_FILE)?.unwrap_or_default();
    let blocks = pem::parse_many(pem).map_err(|cause| not_roots(cause.to_string()))?;
    let certificates = blocks.into_iter().map(|block| CaCertificate::parse(block.into_contents()));
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(not_roots)?;
    let pairs =
        certificates.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())));
    Ok(pairs.collect())
}

/// The parameters of a root certificate. The path length is unlimited, because all newer roots and the intermediate
/// lie below a replaced root.
fn root_parameters(key: &KeyPair, constraints: &NameConstraints, validity: Validity) -> CertificateParams {
    let mut parameters = parameters(validity);
    parameters.distinguished_name = distinguished_name("Weir root", &parameters.key_identifier(key));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.name_constraints = constraints.for_certificate();
    parameters
}

/// A name that is unique among Weir's CAs. A trust store that finds an issuer by name would otherwise choose the
/// wrong one of two CAs with one name, and reject the signature.
pub(super) fn distinguished_name(what: &str, key_identifier: &[u8]) -> DistinguishedName {
    let short: String = key_identifier.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Weir");
    name.push(DnType::CommonName, format!("{what} {short}"));
    name
}

#[cfg(test)]
mod tests {
    use super::super::tests::now;
    use super::*;
    use crate::folder::state::tests::temporary;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn the_root_is_made_once_and_loaded_afterwards() {
        let (_parent, folder) = temporary();
        let made = open(&folder, now()).unwrap();
        let loaded = open(&folder, now() + Duration::from_hours(24)).unwrap();
        assert_eq!(made.certificate().der(), loaded.certificate().der());
        assert_eq!(std::fs::read_to_string(folder.file(CERTIFICATE_FILE)).unwrap(), made.roots_pem());
        assert_eq!(folder.file(KEY_FILE).metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_root_may_sign_cas_and_nothing_else() {
        let (_parent, folder) = temporary();
        let root = open(&folder, now()).unwrap();
        let (_, x509) = X509Certificate::from_der(root.certificate().der()).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, None);
        assert_eq!(x509.key_usage().unwrap().unwrap().value.to_string(), "Key Cert Sign, CRL Sign");
        assert!(x509.subject().to_string().starts_with("O=Weir, CN=Weir root "), "{}", x509.subject());
    }

    #[test]
    fn many_threads_at_once_make_one_root() {
        let (_parent, folder) = temporary();
        let roots: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| open(&folder, now()).unwrap().certificate().der().to_vec()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_parent, folder) = temporary();
        open(&folder, now()).unwrap();
        let key = folder.file(KEY_FILE);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains(&format!("help: run `chmod 600 {}`", key.display())), "{error}");
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let ((_one, one), (_two, two)) = (temporary(), temporary());
        open(&one, now()).unwrap();
        open(&two, now()).unwrap();
        std::fs::copy(one.file(CERTIFICATE_FILE), two.file(CERTIFICATE_FILE)).unwrap();
        let error = open(&two, now()).unwrap_err();
        assert!(matches!(error, CaError::KeyMismatch { .. }), "{error}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_and_a_key_without_its_certificate_gets_one() {
        let (_parent, folder) = temporary();
        let made = open(&folder, now()).unwrap();
        std::fs::remove_file(folder.file(CERTIFICATE_FILE)).unwrap();
        let again = open(&folder, now() + Duration::from_hours(1)).unwrap();
        assert_eq!(made.issuer().key().serialized_der(), again.issuer().key().serialized_der());
        assert_ne!(made.certificate().der(), again.certificate().der());
        std::fs::remove_file(folder.file(KEY_FILE)).unwrap();
        let error = open(&folder, now()).unwrap_err();
        assert!(matches!(error, CaError::KeyMissing { .. }), "{error}");
    }

    #[test]
    fn a_root_outside_its_time_is_refused() {
        let (_parent, folder) = temporary();
        let not_after = open(&folder, now()).unwrap().validity().not_after;
        let error = open(&folder, not_after + Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, CaError::Expired { .. }), "{error}");
        let error = open(&folder, now() - Duration::from_hours(2)).unwrap_err();
        assert!(matches!(error, CaError::NotYetValid { .. }), "{error}");
    }

    #[test]
    fn files_that_hold_something_else_are_refused() {
        let (_parent, folder) = temporary();
        let root = open(&folder, now()).unwrap();
        let key = folder.read_secret(KEY_FILE).unwrap().unwrap();
        folder.write_public(CERTIFICATE_FILE, b"nothing").unwrap();
        assert!(matches!(open(&folder, now()), Err(CaError::NotACaCertificate { .. })));
        folder.write_public(CERTIFICATE_FILE, key.as_bytes()).unwrap();
        let error = open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains("it holds a `PRIVATE KEY`"), "{error}");
        let leaf = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(root.issuer().key(), root.issuer()).unwrap();
        folder.write_public(CERTIFICATE_FILE, leaf.pem().as_bytes()).unwrap();
        let error = open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains("it may not sign certificates"), "{error}");
        folder.write_secret(KEY_FILE, b"nothing").unwrap();
        assert!(matches!(open(&folder, now()), Err(CaError::NotAKey { .. })));
    }

    fn day(number: u64) -> SystemTime {
        now() + Duration::from_hours(24 * number)
    }

    fn rotated(folder: &StateFolder, keep: u64, at: u64) -> SigningCa {
        rotate(folder, Duration::from_hours(24 * keep), &NameConstraints::default(), day(at)).unwrap()
    }

    #[test]
    fn an_old_root_stays_trusted_for_as_long_as_was_said() {
        let (_parent, folder) = temporary();
        let old = open(&folder, now()).unwrap();
        let new = rotated(&folder, 7, 1);
        assert_ne!(new.certificate(), old.certificate());
        let until: Vec<_> = new.roots().iter().map(|root| (root.certificate.clone(), root.until)).collect();
        let ends = [(new.certificate().clone(), day(1) + LIFETIME), (old.certificate().clone(), day(8))];
        assert_eq!(until, ends);
        assert_eq!(new, open(&folder, day(8)).unwrap());
        let later = open(&folder, day(8) + Duration::from_secs(1)).unwrap();
        assert_eq!(later.roots().len(), 1);
        assert_ne!(
            later.chain_identity(),
            new.chain_identity(),
            "leaves no longer carry the cross certificate"
        );
    }

    #[test]
    fn a_second_rotation_keeps_what_the_first_one_promised_unless_nothing_is_to_be_kept() {
        let (_parent, folder) = temporary();
        open(&folder, now()).unwrap();
        rotated(&folder, 7, 0);
        let third = rotated(&folder, 1, 2);
        assert_eq!(third.roots().iter().map(|root| root.until).collect::<Vec<_>>()[1..], [day(7), day(7)]);
        assert_eq!(rotated(&folder, 0, 3).roots().len(), 1);
        assert_eq!(open(&folder, day(3)).unwrap().roots().len(), 1);
    }

    #[test]
    fn a_rotation_that_crashes_leaves_a_root_that_clients_trust() {
        let (_parent, folder) = temporary();
        let old = open(&folder, now()).unwrap();
        let old_key = folder.read_secret(KEY_FILE).unwrap().unwrap();
        let new = rotated(&folder, 7, 0);
        let new_key = folder.read_secret(KEY_FILE).unwrap().unwrap();
        // A crash before the new key was written: the old key gets a certificate again.
        folder.write_secret(KEY_FILE, old_key.as_bytes()).unwrap();
        folder.remove(CERTIFICATE_FILE).unwrap();
        let again = open(&folder, now()).unwrap();
        assert!(again.certificate().is_of_the_ca_of(old.certificate()) && again.roots().len() == 1);
        // A crash after the new key was written: the new key gets one.
        folder.remove(CERTIFICATE_FILE).unwrap();
        folder.write_secret(KEY_FILE, new_key.as_bytes()).unwrap();
        let again = open(&folder, now()).unwrap();
        assert!(again.certificate().is_of_the_ca_of(new.certificate()) && again.roots().len() == 2);
    }
}
