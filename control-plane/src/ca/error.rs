//! The errors of the CA, each with advice to the operator.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::validity;
use crate::folder::state::StateFolderError;
use crate::output::advice::Advice;

/// The reason why no certificate can be made. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum CaError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] StateFolderError),
    /// The root's key file holds no key.
    NotAKey {
        /// The key file.
        path: PathBuf,
        /// The certificate file.
        other: PathBuf,
        /// The fault.
        why: String,
    },
    /// The root's certificate file holds no certificate that can sign others.
    NotACaCertificate {
        /// The certificate file.
        path: PathBuf,
        /// The key file.
        other: PathBuf,
        /// The fault.
        why: String,
    },
    /// The certificate exists, but its key is missing.
    KeyMissing {
        /// The certificate file.
        path: PathBuf,
        /// The key file.
        missing: PathBuf,
    },
    /// The key does not belong to the certificate.
    KeyMismatch {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
    },
    /// The root has expired.
    Expired {
        /// The certificate file.
        path: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The end of its validity.
        not_after: SystemTime,
    },
    /// The root is not valid yet, which means that the clock is wrong.
    NotYetValid {
        /// The certificate file.
        path: PathBuf,
        /// The start of its validity.
        not_before: SystemTime,
    },
    /// The file of older roots is damaged.
    OldRoots {
        /// The file.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// A file of an external CA is unusable.
    External {
        /// The file.
        path: PathBuf,
        /// The fault.
        why: String,
        /// Advice to the operator.
        help: String,
    },
    /// A key or a signature could not be made.
    Sign {
        /// The subject of the certificate.
        subject: String,
        /// The signing library's error.
        cause: rcgen::Error,
    },
}

impl CaError {
    pub(super) fn external(path: &Path, why: String, help: &str) -> Self {
        Self::External { path: path.to_owned(), why, help: help.to_owned() }
    }
}

impl Advice for CaError {
    fn message(&self) -> String {
        match self {
            Self::Folder(error) => error.message(),
            Self::NotAKey { path, why, .. } => {
                format!("`{}` is not a private key in PEM (PKCS #8): {why}", path.display())
            }
            Self::NotACaCertificate { path, why, .. } => {
                format!("`{}` is not the certificate of a CA in PEM: {why}", path.display())
            }
            Self::KeyMissing { path, missing } => {
                format!("`{}` has no private key: `{}` is missing", path.display(), missing.display())
            }
            Self::KeyMismatch { key, certificate } => format!(
                "the key in `{}` is not the key of the certificate in `{}`",
                key.display(),
                certificate.display()
            ),
            Self::Expired { path, not_after, .. } => {
                format!("the CA certificate in `{}` ended on {}", path.display(), validity::date(*not_after))
            }
            Self::NotYetValid { path, not_before } => format!(
                "the CA certificate in `{}` is valid from {} only",
                path.display(),
                validity::date(*not_before)
            ),
            Self::OldRoots { path, why } => {
                format!("`{}` does not hold older roots: {why}", path.display())
            }
            Self::External { path, why, .. } => format!("`{}`: {why}", path.display()),
            Self::Sign { subject, cause } => format!("cannot make a certificate for `{subject}`: {cause}"),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Folder(error) => return error.help(),
            Self::NotAKey { other, .. } => format!(
                "restore the file, or remove it and `{}` to get a new CA, which clients must then trust",
                other.display()
            ),
            Self::NotACaCertificate { other, .. } => format!(
                "restore the file, or remove it: it is made again from `{}`, and clients must then trust the new certificate",
                other.display()
            ),
            Self::KeyMissing { path, .. } => format!(
                "restore it, or remove `{}` to get a new CA, which clients must then trust",
                path.display()
            ),
            Self::KeyMismatch { .. } => {
                "restore the pair, or remove both to get a new CA, which clients must then trust".to_owned()
            }
            Self::Expired { key, .. } => {
                format!("remove it and `{}` to get a new CA, which clients must then trust", key.display())
            }
            Self::NotYetValid { .. } => "set this machine's clock".to_owned(),
            Self::OldRoots { .. } => {
                "remove it; clients that trust only an older root must then trust the new one".to_owned()
            }
            Self::External { help, .. } => help.clone(),
            Self::Sign { .. } => return None,
        })
    }
}

/// Returns a conversion of a signing library's error about a subject.
pub(super) fn cannot_sign(subject: &str) -> impl FnOnce(rcgen::Error) -> CaError {
    move |cause| CaError::Sign { subject: subject.to_owned(), cause }
}
