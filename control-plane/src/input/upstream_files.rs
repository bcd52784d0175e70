//! The files that a policy's `upstream`s name: roots for verification, and client certificates with their keys.

mod client_key;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use weir_policy::{FileFault, Policy, Upstream};

use crate::ca::private_key::PrivateKey;
use crate::input::{certificate_file, regular_file};
use crate::output::advice::Advice;

/// The contents of the files, one entry for each of [`Policy::upstreams`], in that order. An upstream without an
/// entry would get no cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamFiles(Vec<FilesOfUpstream>);

/// The contents of the files of one `upstream`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilesOfUpstream {
    /// The roots that verify the upstream in place of all others, in PEM.
    pub ca: Option<Arc<str>>,
    /// The client certificate and key that Envoy presents to the upstream.
    pub identity: Option<Arc<ClientIdentity>>,
}

/// A client certificate with its key.
pub struct ClientIdentity {
    /// The certificate and its issuers, in PEM.
    pub certificate_chain: String,
    /// The first certificate's key.
    pub private_key: PrivateKey,
}

impl UpstreamFiles {
    /// Reads and checks every file. Paths are relative to `folder`.
    ///
    /// # Errors
    /// Every unusable file.
    pub fn read(policy: &Policy, folder: &Path) -> Result<Self, Vec<FileFault>> {
        let mut faults = Vec::new();
        let files = policy
            .upstreams()
            .map(|upstream| FilesOfUpstream::read(&upstream, folder, &mut faults))
            .collect();
        if faults.is_empty() { Ok(Self(files)) } else { Err(faults) }
    }

    /// A placeholder for callers that only evaluate the policy. It cannot be served to Envoy.
    pub(crate) fn unread() -> Self {
        Self(Vec::new())
    }

    /// Iterates in the order of [`Policy::upstreams`].
    pub fn iter(&self) -> impl Iterator<Item = &FilesOfUpstream> {
        self.0.iter()
    }
}

/// Lists the file paths that a policy names.
pub fn named(policy: &Policy) -> impl Iterator<Item = &str> {
    policy
        .upstreams()
        .flat_map(|upstream| [upstream.ca(), upstream.client_certificate(), upstream.client_key()])
        .flatten()
}

impl FilesOfUpstream {
    fn read(upstream: &Upstream<'_>, folder: &Path, faults: &mut Vec<FileFault>) -> Self {
        let mut certificates = |key, file: Option<&str>| {
            let file = file?;
            let path = folder.join(file);
            let read = certificate_file::read_from(&path, regular_file::open(&path));
            read.map_err(|error| {
                faults.push(FileFault {
                    key,
                    file: file.to_owned(),
                    message: error.to_string(),
                    help: "name a file of certificates in PEM form, relative to the policy's".to_owned(),
                });
            })
            .ok()
        };
        let ca = certificates("ca", upstream.ca()).map(Arc::from);
        let chain = certificates("client_certificate", upstream.client_certificate());
        let private_key = upstream.client_key().and_then(|file| {
            let read = client_key::read(&folder.join(file), chain.as_deref());
            let faulty = read.map_err(|error| {
                let help = error.help().unwrap_or_default();
                let message = error.message();
                faults.push(FileFault { key: "client_key", file: file.to_owned(), message, help });
            });
            faulty.ok()
        });
        let identity = chain.zip(private_key);
        let identity = identity.map(|(certificate_chain, private_key)| {
            Arc::new(ClientIdentity { certificate_chain, private_key })
        });
        Self { ca, identity }
    }
}

/// The certificate identifies its key, so the comparison needs only certificates.
impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.certificate_chain == other.certificate_chain
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    const POLICY: &str = "rules:
- id: a
  effect: allow
  hosts: [a.example]
  upstream: {ca: ca.pem, client_certificate: client.pem, client_key: client.key}
";

    /// A folder with the three files. Only its owner can read the key.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        for name in ["ca.pem", "client.pem"] {
            std::fs::write(folder.path().join(name), certificate.pem()).unwrap();
        }
        write_key(&folder, &key.serialize_pem());
        folder
    }

    fn write_key(folder: &TempDir, pem: &str) {
        let path = folder.path().join("client.key");
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn faults(folder: &TempDir) -> Vec<String> {
        let policy = weir_policy::compile(POLICY).unwrap();
        let faults = UpstreamFiles::read(&policy, folder.path()).err().unwrap_or_default();
        let here = format!("{}/", folder.path().display());
        faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.key, fault.message.replace(&here, "")))
            .collect()
    }

    #[test]
    fn roots_and_an_identity_are_read() {
        let folder = folder();
        let policy = weir_policy::compile(POLICY).unwrap();
        let files = UpstreamFiles::read(&policy, folder.path()).unwrap();
        let files: Vec<_> = files.iter().collect();
        assert!(matches!(files[..], [FilesOfUpstream { ca: Some(_), identity: Some(_) }]));
        assert!(!format!("{files:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_in_an_old_form_is_read() {
        // `openssl ecparam -genkey` and `openssl genrsa -traditional` write these forms.
        let folder = folder();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.path().join("client.pem"), certificate.pem()).unwrap();
        let pkcs8 = key.serialize_der();
        // A P-256 key in PKCS #8 ends with its SEC 1 form.
        let start = pkcs8.windows(5).position(|bytes| bytes == [0x02, 0x01, 0x01, 0x04, 0x20]).unwrap() - 2;
        let sec1 = pem::encode(&pem::Pem::new("EC PRIVATE KEY", &pkcs8[start..]));
        write_key(
            &folder,
            &format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{sec1}"),
        );
        assert_eq!(faults(&folder), [""; 0]);
    }

    #[test]
    fn every_file_that_is_not_what_it_should_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = "No such file or directory (os error 2)";
        assert_eq!(
            faults(&folder),
            [
                format!("ca: cannot read `ca.pem`: {missing}"),
                format!("client_certificate: cannot read `client.pem`: {missing}"),
                format!("client_key: cannot read `client.key`: {missing}"),
            ]
        );
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let folder = folder();
        write_key(&folder, &KeyPair::generate().unwrap().serialize_pem());
        assert_eq!(faults(&folder), ["client_key: `client.key` is not the key of the certificate"]);
        write_key(
            &folder,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        assert_eq!(faults(&folder), ["client_key: `client.key` is encrypted"]);
        write_key(&folder, "key");
        assert_eq!(faults(&folder), ["client_key: `client.key` has no private key in PEM form in it"]);
        write_key(&folder, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        assert_eq!(faults(&folder), ["client_key: the key in `client.key` cannot be read"]);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = folder();
        let path = folder.path().join("client.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(faults(&folder), ["client_key: others than its owner and group may use `client.key`"]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(faults(&folder), [""; 0]);
    }
}
