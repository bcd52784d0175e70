//! Where a rule's requests go instead of to the host that they name, and how that server proves who it is.

use core::fmt;

use crate::wire::{Image, UpstreamRecord};

/// Whether TLS sessions with an upstream are resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sessions {
    /// As far as the proxy can do it safely.
    #[default]
    Resume,
    /// Never: every connection is a full handshake.
    None,
}

impl Sessions {
    pub(crate) const ALL: [Sessions; 2] = [Sessions::Resume, Sessions::None];

    /// `resume` or `none`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sessions::Resume => "resume",
            Sessions::None => "none",
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Sessions> {
        Sessions::ALL.into_iter().find(|sessions| sessions.byte() == byte)
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Sessions::Resume => 0,
            Sessions::None => 1,
        }
    }
}

/// A distinct `upstream` of a policy. What it leaves out is as without it.
#[derive(Clone, Copy)]
pub struct Upstream<'p> {
    image: &'p Image,
    record: UpstreamRecord,
}

impl<'p> Upstream<'p> {
    pub(crate) fn new(image: &'p Image, record: UpstreamRecord) -> Upstream<'p> {
        Upstream { image, record }
    }

    /// The host to connect to, a name or an address, canonical; else the request's.
    #[must_use]
    pub fn host(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.host)
    }

    /// The port to connect to; else the request's.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.record.port
    }

    /// The server name to send, canonical; else the request's host.
    #[must_use]
    pub fn sni(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.sni)
    }

    /// The names of which the server's certificate must carry one, canonical and sorted; if there are none, the
    /// request's host.
    pub fn names(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        self.image.upstream_names(&self.record)
    }

    /// The file with the roots to verify it by instead of the usual ones, as written: relative to the policy's file.
    #[must_use]
    pub fn ca(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.ca)
    }

    /// The file with the certificate to show to it, as written. There is always a key with it.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.client_certificate)
    }

    /// The file with the key of that certificate, as written.
    #[must_use]
    pub fn client_key(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.client_key)
    }

    /// Whether sessions with it are resumed.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.record.sessions
    }
}

impl PartialEq for Upstream<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.host() == other.host()
            && self.port() == other.port()
            && self.sni() == other.sni()
            && self.names().eq(other.names())
            && self.ca() == other.ca()
            && self.client_certificate() == other.client_certificate()
            && self.client_key() == other.client_key()
            && self.sessions() == other.sessions()
    }
}

impl Eq for Upstream<'_> {}

impl fmt::Debug for Upstream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("host", &self.host())
            .field("port", &self.port())
            .field("sni", &self.sni())
            .field("names", &self.names().collect::<Vec<_>>())
            .field("ca", &self.ca())
            .field("client_certificate", &self.client_certificate())
            .field("client_key", &self.client_key())
            .field("sessions", &self.sessions())
            .finish()
    }
}
