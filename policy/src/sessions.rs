//! The resumption of TLS sessions with an upstream.

/// Whether Envoy resumes TLS sessions with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sessions {
    /// Sessions are resumed as far as Envoy can do so safely.
    #[default]
    Resume,
    /// Sessions are never resumed: every handshake is a full one.
    None,
}

impl Sessions {
    pub(crate) const ALL: [Sessions; 2] = [Sessions::Resume, Sessions::None];

    /// The name in a document: `resume` or `none`.
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
