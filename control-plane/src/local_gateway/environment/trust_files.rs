//! The files of trusted certificates: Weir's root, and older ones that clients still trust, with the system's roots,
//! in the forms that runtimes read. The system's roots are included, because many runtimes trust such a file *instead
//! of* their own, and must still verify hosts that they connect to directly.

use std::ffi::OsString;
use std::path::PathBuf;

use super::java_truststore::jks;
use super::pkcs12::pkcs12;
use crate::ca::signing_ca::SigningCa;
use crate::folder::state::{StateFolder, StateFolderError};

const ROOTS_FILE: &str = "roots.pem";
const BUNDLE_FILE: &str = "ca-bundle.pem";
const JAVA_TRUSTSTORE_FILE: &str = "truststore.jks";

/// The absolute paths of the trust files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFiles {
    /// Weir's roots alone (PEM).
    pub root: PathBuf,
    /// Weir's roots and the system's (PEM).
    pub bundle: PathBuf,
    /// Weir's roots and the system's, for Java (JKS).
    pub java_truststore: PathBuf,
}

/// The certificates that this machine trusts.
#[derive(Debug, Default)]
pub struct SystemRoots {
    /// The certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Certificates or files that could not be read, for the log.
    pub problems: Vec<String>,
    /// A key for roots that the environment names, which differs from another environment's. `None` for the machine's
    /// own roots.
    pub named: Option<u64>,
}

impl SystemRoots {
    /// Reads `$SSL_CERT_FILE` and `$SSL_CERT_DIR` if they are set, else the usual places of a system's roots.
    #[must_use]
    pub fn load() -> Self {
        let found = rustls_native_certs::load_native_certs();
        Self {
            certificates: found.certs.iter().map(|certificate| certificate.to_vec()).collect(),
            problems: found.errors.iter().map(ToString::to_string).collect(),
            named: named(|name| std::env::var_os(name)),
        }
    }

    /// The system's roots without Weir's. A system may already trust Weir's roots, for example inside another `weir
    /// run`.
    pub fn others(&self, signing_ca: &SigningCa) -> impl Iterator<Item = &[u8]> {
        let is_ours = |certificate: &&[u8]| {
            signing_ca.roots().iter().any(|root| root.certificate.der() == *certificate)
        };
        self.certificates.iter().map(Vec::as_slice).filter(move |certificate| !is_ours(certificate))
    }
}

impl TrustFiles {
    /// Writes the files that are missing or differ.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(
        folder: &StateFolder,
        signing_ca: &SigningCa,
        system: &SystemRoots,
    ) -> Result<Self, StateFolderError> {
        let (pem, jks) = (bundle(signing_ca, system), java_truststore(signing_ca, system));
        let mut files = Self {
            root: replace(folder, ROOTS_FILE, signing_ca.roots_pem().as_bytes())?,
            bundle: replace(folder, BUNDLE_FILE, pem.as_bytes())?,
            java_truststore: replace(folder, JAVA_TRUSTSTORE_FILE, &jks)?,
        };
        // A run with other system roots replaces the shared files, so this run's clients get files of their own.
        if let Some(key) = system.named {
            files.bundle = replace(folder, &format!("ca-bundle-{key:016x}.pem"), pem.as_bytes())?;
            files.java_truststore = replace(folder, &format!("truststore-{key:016x}.jks"), &jks)?;
        }
        Ok(files)
    }
}

/// Returns a key of the roots that the environment names in place of the machine's own.
fn named(variable: impl Fn(&str) -> Option<OsString>) -> Option<u64> {
    let names = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(variable);
    let named = names.iter().any(Option::is_some);
    let bytes = names.map(|name| name.unwrap_or_default().into_encoded_bytes());
    named.then(|| xxhash_rust::xxh3::xxh3_64(&bytes.join(&0)))
}

/// Weir's roots and the system's, in PEM.
#[must_use]
pub fn bundle(signing_ca: &SigningCa, system: &SystemRoots) -> String {
    let blocks = system.others(signing_ca).map(|certificate| pem::Pem::new("CERTIFICATE", certificate));
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    signing_ca.roots_pem() + &pem::encode_many_config(&blocks.collect::<Vec<_>>(), line_feeds)
}

/// Weir's roots and the system's, for Java (JKS).
#[must_use]
pub fn java_truststore(signing_ca: &SigningCa, system: &SystemRoots) -> Vec<u8> {
    jks(aliased(signing_ca, system))
}

/// Weir's roots and the system's, as PKCS #12.
#[must_use]
pub fn pkcs12_truststore(signing_ca: &SigningCa, system: &SystemRoots) -> Vec<u8> {
    pkcs12(aliased(signing_ca, system))
}

/// Iterates over Weir's roots, named `weir-1` and so on, and the system's, named `system-1` and so on.
fn aliased<'a>(
    signing_ca: &'a SigningCa,
    system: &'a SystemRoots,
) -> impl Iterator<Item = (String, &'a [u8])> {
    let ours = signing_ca.roots().iter().map(|root| root.certificate.der());
    let ours = ours.enumerate().map(|(index, certificate)| (format!("weir-{}", index + 1), certificate));
    let others = system.others(signing_ca).enumerate();
    ours.chain(others.map(|(index, certificate)| (format!("system-{}", index + 1), certificate)))
}

/// Writes a file if its content differs. Equal content is left alone, because a write through to the disk takes
/// longer than all other steps.
fn replace(folder: &StateFolder, name: &str, content: &[u8]) -> Result<PathBuf, StateFolderError> {
    if folder.holds(name, content) {
        return Ok(folder.file(name));
    }
    folder.write_public(name, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Ca, Lifetimes};
    use crate::folder::state::tests::temporary;
    use std::os::unix::fs::MetadataExt;
    use std::time::SystemTime;

    #[test]
    fn the_bundle_holds_our_root_once_and_then_the_systems_roots() {
        let (_parent, folder) = temporary();
        let ca = Ca::open(&folder, Lifetimes::default(), SystemTime::now()).unwrap();
        let root = ca.signing_ca().certificate().der().to_vec();
        let system = SystemRoots {
            certificates: vec![b"a".to_vec(), root.clone(), b"b".to_vec()],
            ..SystemRoots::default()
        };
        let files = TrustFiles::write(&folder, &ca.signing_ca(), &system).unwrap();
        let bundle = pem::parse_many(std::fs::read(&files.bundle).unwrap()).unwrap();
        let certificates: Vec<&[u8]> = bundle.iter().map(pem::Pem::contents).collect();
        assert_eq!(certificates, [root.as_slice(), b"a", b"b"]);
        assert_eq!(std::fs::read_to_string(&files.root).unwrap(), ca.signing_ca().roots_pem());
    }

    #[test]
    fn runs_with_other_system_roots_have_other_bundles() {
        let (_parent, folder) = temporary();
        let ca = Ca::open(&folder, Lifetimes::default(), SystemTime::now()).unwrap();
        let roots = |certificate: &[u8], file: Option<&str>| SystemRoots {
            certificates: vec![certificate.to_vec()],
            named: named(|name| file.filter(|_| name == "SSL_CERT_FILE").map(OsString::from)),
            ..SystemRoots::default()
        };
        let write = |system: &SystemRoots| TrustFiles::write(&folder, &ca.signing_ca(), system).unwrap();
        let one = write(&roots(b"one", Some("/one")));
        let kept = std::fs::read(&one.bundle).unwrap();
        let (two, machines) = (write(&roots(b"two", Some("/two"))), write(&roots(b"three", None)));
        assert_eq!(std::fs::read(&one.bundle).unwrap(), kept);
        assert_eq!(machines.bundle, folder.file(BUNDLE_FILE));
        assert!(
            one.bundle != two.bundle && one.java_truststore != two.java_truststore && one.root == two.root
        );
        assert_eq!(write(&roots(b"one", Some("/one"))), one, "the paths stay");
    }

    #[test]
    fn files_that_would_not_change_are_left_alone() {
        let (_parent, folder) = temporary();
        let ca = Ca::open(&folder, Lifetimes::default(), SystemTime::now()).unwrap();
        let write = |system: &SystemRoots| TrustFiles::write(&folder, &ca.signing_ca(), system).unwrap();
        let inode = |files: &TrustFiles| {
            [&files.bundle, &files.java_truststore].map(|path| path.metadata().unwrap().ino())
        };
        let first = inode(&write(&SystemRoots::default()));
        assert_eq!(first, inode(&write(&SystemRoots::default())));
        let more = SystemRoots { certificates: vec![b"a".to_vec()], ..SystemRoots::default() };
        let changed = inode(&write(&more));
        assert!(first.iter().zip(changed).all(|(first, changed)| *first != changed));
    }
}
