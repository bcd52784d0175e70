//! The root: the certificate that clients trust, made once and kept in the state folder.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::private_key::PrivateKey;
use super::validity::{Validity, x509_time};
use super::{CaError, cannot_sign};
use crate::state_folder::StateFolder;

/// The file of the root's certificate in the state folder (PEM).
pub const CERTIFICATE_FILE: &str = "root.pem";
/// The file of the root's private key in the state folder (PEM, PKCS #8, mode 0600).
pub const KEY_FILE: &str = "root.key";

// Long, because every change of the root is work for people; what it signs lives for hours.
const LIFETIME: Duration = Duration::from_hours(5 * 365 * 24);

/// The CA's root certificate with its key.
pub struct Root {
    der: Vec<u8>,
    pem: String,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
    folder: std::path::PathBuf,
}

impl Root {
    /// Loads the root, or makes it if the folder holds none. A key alone gets a new certificate: either nobody has
    /// trusted it yet (the key is written first), or somebody removed the certificate to have it made again.
    pub(super) fn open(folder: &StateFolder, now: SystemTime) -> Result<Self, CaError> {
        let _lock = folder.lock()?;
        let key = folder.read_secret(KEY_FILE)?;
        let certificate = folder.read_public(CERTIFICATE_FILE)?;
        let key = match key {
            Some(key) => KeyPair::from_pem(&key).map_err(|cause| CaError::NotAKey {
                path: folder.file(KEY_FILE),
                other: folder.file(CERTIFICATE_FILE),
                why: cause.to_string(),
            })?,
            None if certificate.is_some() => {
                let (path, missing) = (folder.file(CERTIFICATE_FILE), folder.file(KEY_FILE));
                return Err(CaError::KeyMissing { path, missing });
            }
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(cannot_sign("the root"))?;
                folder.write_secret(KEY_FILE, PrivateKey::from(&key).as_pem().as_bytes())?;
                key
            }
        };
        let root = match certificate {
            Some(certificate) => Self::load(folder, certificate, key)?,
            None => {
                let certificate = self_signed(&key, now)?;
                folder.write_public(CERTIFICATE_FILE, certificate.as_bytes())?;
                Self::load(folder, certificate, key)?
            }
        };
        root.assert_valid(now)?;
        Ok(root)
    }

    fn load(folder: &StateFolder, pem: String, key: KeyPair) -> Result<Self, CaError> {
        let not_a_ca = |why: &str| CaError::NotACaCertificate {
            path: folder.file(CERTIFICATE_FILE),
            other: folder.file(KEY_FILE),
            why: why.to_owned(),
        };
        let block = pem::parse(&pem).map_err(|cause| not_a_ca(&cause.to_string()))?;
        if block.tag() != "CERTIFICATE" {
            return Err(not_a_ca(&format!("it holds a `{}`", block.tag())));
        }
        let der = block.into_contents();
        let (_, x509) = X509Certificate::from_der(&der).map_err(|cause| not_a_ca(&cause.to_string()))?;
        if x509.public_key().raw != key.subject_public_key_info() {
            return Err(CaError::KeyMismatch {
                key: folder.file(KEY_FILE),
                certificate: folder.file(CERTIFICATE_FILE),
            });
        }
        let constraints = x509.basic_constraints().map_err(|cause| not_a_ca(&cause.to_string()))?;
        let constraints = constraints.filter(|constraints| constraints.value.ca);
        let Some(constraints) = constraints else { return Err(not_a_ca("it may not sign certificates")) };
        if constraints.value.path_len_constraint == Some(0) {
            return Err(not_a_ca("it may not sign an intermediate (path length 0)"));
        }
        let usage = x509.key_usage().map_err(|cause| not_a_ca(&cause.to_string()))?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(not_a_ca("its key usage does not include signing certificates"));
        }
        let seconds = |time: i64| UNIX_EPOCH + Duration::from_secs(time.try_into().unwrap_or_default());
        let validity = Validity {
            not_before: seconds(x509.validity().not_before.timestamp()),
            not_after: seconds(x509.validity().not_after.timestamp()),
        };
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
            .map_err(|cause| not_a_ca(&cause.to_string()))?;
        Ok(Self { der, pem, validity, issuer, folder: folder.path().to_owned() })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The last second in which it is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.validity.not_after
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(super) fn assert_valid(&self, now: SystemTime) -> Result<(), CaError> {
        let path = self.folder.join(CERTIFICATE_FILE);
        if now > self.validity.not_after {
            let key = self.folder.join(KEY_FILE);
            return Err(CaError::Expired { path, key, not_after: self.validity.not_after });
        }
        if now < self.validity.not_before {
            return Err(CaError::NotYetValid { path, not_before: self.validity.not_before });
        }
        Ok(())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Root").field("validity", &self.validity).finish_non_exhaustive()
    }
}

fn self_signed(key: &KeyPair, now: SystemTime) -> Result<String, CaError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = distinguished_name("Weir root", &parameters.key_identifier(key));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let validity = Validity::new(now, LIFETIME, None);
    parameters.not_before = x509_time(validity.not_before);
    parameters.not_after = x509_time(validity.not_after);
    let certificate = parameters.self_signed(key).map_err(cannot_sign("the root"))?;
    Ok(certificate.pem())
}

/// A name that no other CA of ours has: trust stores that find an issuer by name would take the wrong one of two
/// that share a name, and call the signature bad.
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
    use crate::state_folder::tests::temporary;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn the_root_is_made_once_and_loaded_afterwards() {
        let (_parent, folder) = temporary();
        let made = Root::open(&folder, now()).unwrap();
        let loaded = Root::open(&folder, now() + Duration::from_hours(24)).unwrap();
        assert_eq!(made.der(), loaded.der());
        assert_eq!(std::fs::read_to_string(folder.file(CERTIFICATE_FILE)).unwrap(), made.pem());
        assert_eq!(folder.file(KEY_FILE).metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_root_may_sign_one_level_of_cas_and_nothing_else() {
        let (_parent, folder) = temporary();
        let root = Root::open(&folder, now()).unwrap();
        let (_, x509) = X509Certificate::from_der(root.der()).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(1));
        assert_eq!(x509.key_usage().unwrap().unwrap().value.to_string(), "Key Cert Sign, CRL Sign");
        assert!(x509.subject().to_string().starts_with("O=Weir, CN=Weir root "), "{}", x509.subject());
    }

    #[test]
    fn many_threads_at_once_make_one_root() {
        let (_parent, folder) = temporary();
        let roots: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Root::open(&folder, now()).unwrap().der().to_vec())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_parent, folder) = temporary();
        Root::open(&folder, now()).unwrap();
        let key = folder.file(KEY_FILE);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Root::open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains(&format!("help: run `chmod 600 {}`", key.display())), "{error}");
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let ((_one, one), (_two, two)) = (temporary(), temporary());
        Root::open(&one, now()).unwrap();
        Root::open(&two, now()).unwrap();
        std::fs::copy(one.file(CERTIFICATE_FILE), two.file(CERTIFICATE_FILE)).unwrap();
        let error = Root::open(&two, now()).unwrap_err();
        assert!(matches!(error, CaError::KeyMismatch { .. }), "{error}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_and_a_key_without_its_certificate_gets_one() {
        let (_parent, folder) = temporary();
        let made = Root::open(&folder, now()).unwrap();
        std::fs::remove_file(folder.file(CERTIFICATE_FILE)).unwrap();
        let again = Root::open(&folder, now() + Duration::from_hours(1)).unwrap();
        assert_eq!(made.issuer.key().serialized_der(), again.issuer.key().serialized_der());
        assert_ne!(made.der(), again.der());
        std::fs::remove_file(folder.file(KEY_FILE)).unwrap();
        let error = Root::open(&folder, now()).unwrap_err();
        assert!(matches!(error, CaError::KeyMissing { .. }), "{error}");
    }

    #[test]
    fn a_root_outside_its_time_is_refused() {
        let (_parent, folder) = temporary();
        let not_after = Root::open(&folder, now()).unwrap().not_after();
        let error = Root::open(&folder, not_after + Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, CaError::Expired { .. }), "{error}");
        let error = Root::open(&folder, now() - Duration::from_hours(2)).unwrap_err();
        assert!(matches!(error, CaError::NotYetValid { .. }), "{error}");
    }

    #[test]
    fn files_that_hold_something_else_are_refused() {
        let (_parent, folder) = temporary();
        let root = Root::open(&folder, now()).unwrap();
        let key = folder.read_secret(KEY_FILE).unwrap().unwrap();
        folder.write_public(CERTIFICATE_FILE, b"nothing").unwrap();
        assert!(matches!(Root::open(&folder, now()), Err(CaError::NotACaCertificate { .. })));
        folder.write_public(CERTIFICATE_FILE, key.as_bytes()).unwrap();
        let error = Root::open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains("it holds a `PRIVATE KEY`"), "{error}");
        let leaf = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(root.issuer.key(), root.issuer()).unwrap();
        folder.write_public(CERTIFICATE_FILE, leaf.pem().as_bytes()).unwrap();
        let error = Root::open(&folder, now()).unwrap_err().to_string();
        assert!(error.contains("it may not sign certificates"), "{error}");
        folder.write_secret(KEY_FILE, b"nothing").unwrap();
        assert!(matches!(Root::open(&folder, now()), Err(CaError::NotAKey { .. })));
    }
}
