//! The parts of a request that a policy may read, and sets of them.

/// A part of the input, identified by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Method,
    Path,
    Host,
    Scheme,
    Headers,
    Principal,
    ParsedPath,
    ParsedQuery,
}

impl Part {
    pub(crate) const ALL: [Part; 8] = [
        Part::Method,
        Part::Path,
        Part::Host,
        Part::Scheme,
        Part::Headers,
        Part::Principal,
        Part::ParsedPath,
        Part::ParsedQuery,
    ];

    /// The part's keys below `input`.
    pub(crate) const fn keys(self) -> &'static [&'static str] {
        match self {
            Part::Method => &["attributes", "request", "http", "method"],
            Part::Path => &["attributes", "request", "http", "path"],
            Part::Host => &["attributes", "request", "http", "host"],
            Part::Scheme => &["attributes", "request", "http", "scheme"],
            Part::Headers => &["attributes", "request", "http", "headers"],
            Part::Principal => &["attributes", "destination", "principal"],
            Part::ParsedPath => &["parsed_path"],
            Part::ParsedQuery => &["parsed_query"],
        }
    }
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(u8);

impl Parts {
    pub(crate) const ALL: Parts = Parts(u8::MAX);

    pub(crate) fn from_bits(bits: u8) -> Parts {
        Parts(bits)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    pub(crate) fn add(&mut self, part: Part) {
        self.0 |= 1 << part as u8;
    }
}
