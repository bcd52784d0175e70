//! Certificate files, checked before Envoy gets them. Envoy would reject the whole cluster for a faulty one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use x509_parser::prelude::{FromDer, X509Certificate};

/// An error for a file that is not a list of certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateFileError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        cause: io::Error,
    },
    /// The file is not PEM.
    #[error("`{}` is not in PEM form: {cause}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        cause: pem::PemError,
    },
    /// The file holds no certificate.
    #[error("`{}` has no certificate in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A block of the file is not a certificate.
    #[error("`{}`: block {number} is not an X.509 certificate", path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
        /// The block's position in the file, from 1.
        number: usize,
    },
}

/// The maximum size of a file of certificates or keys. It allows thousands of them.
pub(crate) const MOST_BYTES: u64 = 4 << 20;

/// Reads a file with a limit, because the path may name the wrong file, such as a huge one.
///
/// # Errors
/// When the file cannot be read or is longer than `most`.
pub(crate) fn read_bounded(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Reads a file of at least one certificate, and returns the certificates in PEM without any text between them.
///
/// # Errors
/// When the file cannot be read, or is not a list of certificates.
pub(crate) fn read(path: &Path) -> Result<String, CertificateFileError> {
    read_from(path, File::open(path))
}

/// Reads a file of certificates that is already open, as [`read`] does.
///
/// # Errors
/// When the file could not be opened, cannot be read, or is not a list of certificates.
pub(crate) fn read_from(path: &Path, file: io::Result<File>) -> Result<String, CertificateFileError> {
    let path = || path.to_owned();
    let text = file
        .and_then(|file| read_bounded(file, MOST_BYTES))
        .map_err(|cause| CertificateFileError::Unreadable { path: path(), cause })?;
    let blocks =
        pem::parse_many(text).map_err(|cause| CertificateFileError::NotPem { path: path(), cause })?;
    if blocks.is_empty() {
        return Err(CertificateFileError::Empty { path: path() });
    }
    for (index, block) in blocks.iter().enumerate() {
        let whole = X509Certificate::from_der(block.contents()).is_ok_and(|(rest, _)| rest.is_empty());
        if block.tag() != "CERTIFICATE" || !whole {
            return Err(CertificateFileError::NotACertificate { path: path(), number: index + 1 });
        }
    }
    let blocks: Vec<_> = blocks.iter().map(|block| pem::Pem::new("CERTIFICATE", block.contents())).collect();
    Ok(pem::encode_many(&blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::tests::ca;

    fn read_text(text: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "ca.pem"))
    }

    #[test]
    fn what_is_between_the_certificates_is_left_out() {
        let (_folder, ca) = ca();
        let root = ca.signing_ca().roots_pem();
        let read = read_text(format!("# Root \u{fc}\n{root}\n# again\n{root}").as_bytes()).unwrap();
        assert_eq!(pem::parse_many(&read).unwrap().len(), 2);
        assert!(!read.contains('#'));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for (text, error) in [
            ("", "`ca.pem` has no certificate in it"),
            ("certificates\n", "`ca.pem` has no certificate in it"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "`ca.pem`: block 1 is not an X.509 certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "`ca.pem`: block 1 is not an X.509 certificate",
            ),
        ] {
            assert_eq!(read_text(text.as_bytes()).unwrap_err(), error);
        }
        let broken = read_text(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(broken.starts_with("`ca.pem` is not in PEM form: "), "{broken}");
    }
}
