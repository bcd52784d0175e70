//! The scheme of a request. It decides whether the upstream connection uses TLS.

/// The scheme `http` or `https`. [`Scheme::Https`] also means that the listener terminated the client's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// Both schemes, in listing order.
    pub const ALL: [Scheme; 2] = [Scheme::Http, Scheme::Https];

    /// The name in a URL: `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of an authority without one: 80 or 443.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    pub(crate) fn bit(self) -> u8 {
        match self {
            Scheme::Http => 1,
            Scheme::Https => 2,
        }
    }
}

impl core::fmt::Display for Scheme {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
