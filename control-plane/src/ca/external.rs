//! An external CA: the operator supplies one file with its certificate chain up to the root, and one file with its
//! key. Weir signs leaves through an intermediate of its own, as it does with a root that it made.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{KeyPair, PublicKeyData};
use zeroize::Zeroizing;

use super::certificate::CaCertificate;
use super::error::CaError;
use super::signing_ca::{Origin, SigningCa, TrustedRoot};
use crate::folder::state;

/// The files of an external CA.
#[derive(Debug, Clone)]
pub struct CaFiles {
    /// `--ca-certificate`: the CA's certificate first, then its issuer's, and so on to the root (PEM).
    pub certificate: PathBuf,
    /// `--ca-key`: the private key of the CA's certificate (PEM, PKCS #8), mode 0600.
    pub key: PathBuf,
}

impl CaFiles {
    /// Reads both files and checks that key, chain and validity fit together.
    pub(super) fn open(&self, now: SystemTime) -> Result<SigningCa, CaError> {
        let mut chain = self.chain()?.into_iter();
        let Some(certificate) = chain.next() else {
            return Err(self.fault("it holds no certificate", "name a file with the CA's certificate in PEM"));
        };
        let mut above: Vec<CaCertificate> = chain.collect();
        let key = self.key()?;
        if !certificate.has_key(&key.subject_public_key_info()) {
            let why = format!(
                "its first certificate, `{}`, is not of the key in `{}`",
                certificate.name(),
                self.key.display()
            );
            return Err(self.fault(why, "put the certificate of that key first"));
        }
        let path: Vec<&CaCertificate> = std::iter::once(&certificate).chain(&above).collect();
        for (certificate, issuer) in path.iter().zip(path.iter().skip(1)) {
            if !issuer.issued(certificate) || !issuer.signed(certificate) {
                let why = format!(
                    "`{}` did not sign the certificate before it, `{}`",
                    issuer.name(),
                    certificate.name()
                );
                return Err(self.fault(why, "put each certificate before the one of the CA that signed it"));
            }
        }
        for (below, certificate) in path.iter().enumerate() {
            // A path length counts the CA certificates below it: Weir's intermediate, and the certificates earlier in
            // the chain.
            if certificate
                .path_length()
                .is_some_and(|most| usize::try_from(most).is_ok_and(|most| most < below + 1))
            {
                let why = format!(
                    "`{}` may have {} certificates of CAs below it, and Weir's intermediate would be number {}",
                    certificate.name(),
                    certificate.path_length().unwrap_or_default(),
                    below + 1
                );
                return Err(self.fault(why, "supply a CA whose path length leaves room for one more"));
            }
        }
        let last = path.last().filter(|last| last.is_self_issued() && last.signed(last));
        let Some(root) = last.map(|root| (*root).clone()) else {
            return Err(self.fault("it does not end in a root", "add the root that clients trust at the end"));
        };
        above.pop();
        let roots = vec![TrustedRoot { until: root.validity().not_after, certificate: root }];
        let origin = Origin::External { certificate: self.certificate.clone() };
        let signing_ca = SigningCa::new(certificate, key, above, roots, origin)
            .map_err(|cause| self.fault(cause.to_string(), "supply another CA"))?;
        signing_ca.assert_valid(now)?;
        Ok(signing_ca)
    }

    fn chain(&self) -> Result<Vec<CaCertificate>, CaError> {
        let help = "name a file with the CA's certificate in PEM, then those above it up to the root";
        let text =
            fs::read_to_string(&self.certificate).map_err(|cause| self.fault(cause.to_string(), help))?;
        let blocks = pem::parse_many(text).map_err(|cause| self.fault(cause.to_string(), help))?;
        let read = |(index, block): (usize, pem::Pem)| {
            let fault = |why: &str| self.fault(format!("block {}: {why}", index + 1), help);
            if block.tag() != "CERTIFICATE" {
                return Err(fault(&format!("it is a `{}`", block.tag())));
            }
            CaCertificate::parse(block.into_contents()).map_err(|why| fault(&why))
        };
        blocks.into_iter().enumerate().map(read).collect()
    }

    fn key(&self) -> Result<KeyPair, CaError> {
        let fault = |why: String, help: &str| CaError::external(&self.key, why, help);
        let io =
            |cause: std::io::Error| fault(cause.to_string(), "name a file with the CA's private key in PEM");
        let mut file = File::open(&self.key).map_err(io)?;
        // The check uses the open file's metadata. A check of the path could see another file than the one that is
        // read.
        state::assert_secret(&self.key, &file.metadata().map_err(io)?)?;
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(io)?;
        KeyPair::from_pem(&text).map_err(|_| {
            fault(
                "it is not a private key of a kind with which Weir signs".to_owned(),
                "P-256, P-384, Ed25519 and RSA keys are, in PKCS #8: `openssl pkcs8 -topk8 -nodes -in KEY` makes it of other forms",
            )
        })
    }

    fn fault(&self, why: impl Into<String>, help: &str) -> CaError {
        CaError::external(&self.certificate, why.into(), help)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
    };

    use super::super::tests::{host, now, verify_by};
    use super::super::{Ca, Lifetimes};
    use super::*;

    /// A CA with its certificate, as an operator would hold it.
    struct Made {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
        der: Vec<u8>,
    }

    fn parameters(name: &str, path: BasicConstraints) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(path);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.not_before = super::super::validity::x509_time(now() - Duration::from_hours(1));
        parameters.not_after = super::super::validity::x509_time(now() + Duration::from_hours(48));
        parameters
    }

    fn made(parameters: CertificateParams, by: Option<&Made>) -> Made {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = match by {
            Some(by) => parameters.signed_by(&key, &by.issuer),
            None => parameters.self_signed(&key),
        };
        let certificate = certificate.unwrap();
        Made { issuer: Issuer::new(parameters, key), pem: certificate.pem(), der: certificate.der().to_vec() }
    }

    fn root() -> Made {
        made(parameters("Root", BasicConstraints::Unconstrained), None)
    }

    fn below(root: &Made, path: u8) -> Made {
        made(parameters("Egress", BasicConstraints::Constrained(path)), Some(root))
    }

    fn open(folder: &tempfile::TempDir, chain: &[&Made], key: &str) -> Result<Ca, CaError> {
        let files = CaFiles { certificate: folder.path().join("ca.pem"), key: folder.path().join("ca.key") };
        let pem: String = chain.iter().map(|made| made.pem.as_str()).collect();
        fs::write(&files.certificate, pem).unwrap();
        fs::write(&files.key, key).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        Ca::open_external(files, Lifetimes::default(), now())
    }

    fn fault(chain: &[&Made], key: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let fault = open(&folder, chain, key).unwrap_err().to_string();
        assert!(fault.contains("\nhelp: "), "{fault}");
        fault
    }

    #[test]
    fn leaves_verify_through_the_operators_ca_for_who_trusts_the_root() {
        let (root, folder) = (root(), tempfile::tempdir().unwrap());
        let egress = below(&root, 1);
        for (chain, key) in [(vec![&root], &root), (vec![&egress, &root], &egress)] {
            let ca = open(&folder, &chain, &key.issuer.key().serialize_pem()).unwrap();
            let leaf = ca.mint(&host("a.example"), now()).unwrap();
            verify_by(&root.der, &leaf, "a.example", now()).unwrap();
            assert_eq!(ca.signing_ca().roots_pem(), root.pem.replace("\r\n", "\n"));
        }
    }

    #[test]
    fn every_fault_is_said_with_what_to_do() {
        let (root, other) = (root(), root());
        let egress = below(&root, 1);
        let key = egress.issuer.key().serialize_pem();
        let not_a_ca = made(CertificateParams::new(["a.example".to_owned()]).unwrap(), Some(&root));
        let mut old = parameters("Old", BasicConstraints::Constrained(1));
        old.not_after = super::super::validity::x509_time(now() - Duration::from_secs(1));
        let old = made(old, Some(&root));
        let closed = below(&root, 0);
        for (chain, key, expected) in [
            (vec![], key.clone(), "it holds no certificate"),
            (vec![&root, &egress], key.clone(), "its first certificate, `CN=Root`, is not of the key in"),
            (vec![&egress], key.clone(), "it does not end in a root"),
            (
                vec![&egress, &other],
                key.clone(),
                "`CN=Root` did not sign the certificate before it, `CN=Egress`",
            ),
            (
                vec![&not_a_ca, &root],
                not_a_ca.issuer.key().serialize_pem(),
                "block 1: it may not sign certificates",
            ),
            (
                vec![&closed, &root],
                closed.issuer.key().serialize_pem(),
                "`CN=Egress` may have 0 certificates of CAs below it",
            ),
            (vec![&old, &root], old.issuer.key().serialize_pem(), "a certificate in it ended on"),
            (
                vec![&egress, &root],
                "nothing".to_owned(),
                "it is not a private key of a kind with which Weir signs",
            ),
        ] {
            let fault = fault(&chain, &key);
            assert!(fault.contains(expected), "{expected}: {fault}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (root, folder) = (root(), tempfile::tempdir().unwrap());
        let key = root.issuer.key().serialize_pem();
        open(&folder, &[&root], &key).unwrap();
        let files = CaFiles { certificate: folder.path().join("ca.pem"), key: folder.path().join("ca.key") };
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        let fault = Ca::open_external(files, Lifetimes::default(), now()).unwrap_err().to_string();
        assert!(fault.contains("is open to other users (mode 0640)"), "{fault}");
    }
}
