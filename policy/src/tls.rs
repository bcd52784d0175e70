//! What becomes of a TLS connection: it is opened and its requests are judged, or it is passed through.

use core::fmt;

/// What an allow rule says of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tls {
    /// Ended here, so that each request inside is judged.
    #[default]
    Intercept,
    /// Forwarded untouched, judged by server name and port alone.
    Passthrough,
}

impl Tls {
    pub(crate) const ALL: [Tls; 2] = [Tls::Intercept, Tls::Passthrough];

    /// `intercept` or `passthrough`.
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
