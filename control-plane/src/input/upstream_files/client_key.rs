//! The private key of a client certificate.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PublicKeyData};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::ca::private_key::PrivateKey;
use crate::input::certificate_file::{self, MOST_BYTES};
use crate::input::regular_file;
use crate::output::advice::Advice;

/// An error for an unusable key.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientKeyError {
    #[error("cannot read `{}`: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("others than its owner and group may use `{}`", path.display())]
    Open { path: PathBuf },
    #[error("`{}` has no private key in PEM form in it", path.display())]
    NoKey { path: PathBuf },
    #[error("`{}` is encrypted", path.display())]
    Encrypted { path: PathBuf },
    #[error("the key in `{}` cannot be read", path.display())]
    Unsupported { path: PathBuf },
    #[error("`{}` is not the key of the certificate", path.display())]
    AnotherKey { path: PathBuf },
}

impl Advice for ClientKeyError {
    fn message(&self) -> String {
        self.to_string()
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Unreadable { .. } | Self::NoKey { .. } => {
                "name a file with the private key in PEM form, relative to the policy's"
            }
            Self::Open { .. } => "take the permissions from other users: `chmod o= FILE`",
            Self::Encrypted { .. } => "write it without a passphrase: `openssl pkey -in FILE -out NEW`",
            Self::Unsupported { .. } => {
                "use an RSA key of 2048 bits or more, or one on the curve P-256 or P-384"
            }
            Self::AnotherKey { .. } => {
                "name the key of the first certificate in `client_certificate`, or put that one first"
            }
        };
        Some(help.to_owned())
    }
}

/// Reads a key. It must belong to the first certificate, if there is one.
pub(super) fn read(path: &Path, certificates: Option<&str>) -> Result<PrivateKey, ClientKeyError> {
    let file = regular_file::open(path);
    let path = || path.to_owned();
    let unreadable = |cause| ClientKeyError::Unreadable { path: path(), cause };
    let text = file.and_then(|file| certificate_file::read_bounded(file, MOST_BYTES));
    let text = Zeroizing::new(text.map_err(unreadable)?);
    let mode = std::fs::metadata(path()).map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(ClientKeyError::Open { path: path() });
    }
    let blocks = pem::parse_many(&*text).unwrap_or_default();
    // `openssl ecparam` writes the curve's parameters into a separate block.
    let Some(block) = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY")) else {
        return Err(ClientKeyError::NoKey { path: path() });
    };
    let old_encryption = block.headers().get("DEK-Info").is_some();
    if block.tag() == "ENCRYPTED PRIVATE KEY" || old_encryption {
        return Err(ClientKeyError::Encrypted { path: path() });
    }
    let unsupported = || ClientKeyError::Unsupported { path: path() };
    let certificate = certificates.and_then(|text| pem::parse(text).ok());
    let certificate = certificate.as_ref().map(|block| X509Certificate::from_der(block.contents()));
    let public_key = match &certificate {
        Some(Ok((_, certificate))) => Some(&certificate.tbs_certificate.subject_pki),
        Some(Err(_)) | None => None,
    };
    // The certificate names the curve if the key's own form does not.
    let pkcs8 = match block.tag() {
        "RSA PRIVATE KEY" => der::pkcs8(&der::RSA, block.contents()),
        "EC PRIVATE KEY" => {
            let curve = public_key.and_then(|key| key.algorithm.parameters.as_ref()?.as_oid().ok());
            let Some(curve) = curve else { return Err(unsupported()) };
            der::pkcs8(&der::on_curve(curve.as_bytes()), block.contents())
        }
        _ => block.contents().to_vec(),
    };
    let key = KeyPair::try_from(Zeroizing::new(pkcs8).as_slice()).map_err(|_| unsupported())?;
    match public_key {
        Some(public) if *public.subject_public_key.data != *key.der_bytes() => {
            Err(ClientKeyError::AnotherKey { path: path() })
        }
        Some(_) | None => Ok(PrivateKey::from(&key)),
    }
}

/// The small part of DER that wraps a key's own form into PKCS #8 (RFC 5208, section 5).
mod der {
    /// The `AlgorithmIdentifier` of RSA.
    pub(super) const RSA: [u8; 15] =
        [0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0];
    const EC_PUBLIC_KEY: [u8; 9] = [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

    /// The `AlgorithmIdentifier` of a key on the curve with this object identifier.
    pub(super) fn on_curve(curve: &[u8]) -> Vec<u8> {
        tagged(0x30, &[EC_PUBLIC_KEY.as_slice(), &tagged(0x06, curve)].concat())
    }

    pub(super) fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
        let version = [0x02, 1, 0];
        tagged(0x30, &[version.as_slice(), algorithm, &tagged(0x04, key)].concat())
    }

    fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        let significant = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
        let length = &length[significant..];
        let mut bytes = vec![tag];
        match length {
            [short] if *short < 0x80 => bytes.push(*short),
            long => {
                bytes.push(0x80 | long.len() as u8);
                bytes.extend(long);
            }
        }
        bytes.extend(content);
        bytes
    }
}
