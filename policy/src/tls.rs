//! The treatment of a TLS connection: Envoy terminates TLS and the policy judges requests, or Envoy passes the
//! connection through.

use core::fmt;

/// The key `tls` of an allow rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tls {
    /// Envoy terminates TLS, and the policy judges each request inside.
    #[default]
    Intercept,
    /// Envoy forwards the connection unchanged, and the policy judges only its server name and port.
    Passthrough,
}

impl Tls {
    pub(crate) const ALL: [Tls; 2] = [Tls::Intercept, Tls::Passthrough];

    /// The name in a document: `intercept` or `passthrough`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Tls::Intercept => "intercept",
            Tls::Passthrough => "passthrough",
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Tls> {
        Tls::ALL.into_iter().find(|tls| tls.byte() == byte)
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Tls::Intercept => 0,
            Tls::Passthrough => 1,
        }
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
