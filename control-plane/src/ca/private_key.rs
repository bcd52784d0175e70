//! A private key on its way to the one Envoy that needs it: it never prints, and is wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A private key in PEM (PKCS #8).
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// The key as PEM. Whoever copies it answers for the copy.
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
