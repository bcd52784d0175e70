//! A private key that is sent to one Envoy. It is never printed, and its memory is wiped when it is dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A private key in PEM (PKCS #8).
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// The key as PEM. A caller that copies it must wipe the copy.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }
}

impl From<&rcgen::KeyPair> for PrivateKey {
    fn from(key: &rcgen::KeyPair) -> Self {
        Self(Zeroizing::new(key.serialize_pem()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(..)")
    }
}
