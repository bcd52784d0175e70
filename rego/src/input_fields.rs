//! The fields of the input that a policy may read, and sets of them.

/// A field of the input, identified by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputField {
    Method,
    Path,
    Host,
    Scheme,
    Headers,
    Principal,
    ParsedPath,
    ParsedQuery,
}

impl InputField {
    pub(crate) const ALL: [InputField; 8] = [
        InputField::Method,
        InputField::Path,
        InputField::Host,
        InputField::Scheme,
        InputField::Headers,
        InputField::Principal,
        InputField::ParsedPath,
        InputField::ParsedQuery,
    ];

    /// The field's keys below `input`.
    pub(crate) const fn keys(self) -> &'static [&'static str] {
        match self {
            InputField::Method => &["attributes", "request", "http", "method"],
            InputField::Path => &["attributes", "request", "http", "path"],
            InputField::Host => &["attributes", "request", "http", "host"],
            InputField::Scheme => &["attributes", "request", "http", "scheme"],
            InputField::Headers => &["attributes", "request", "http", "headers"],
            InputField::Principal => &["attributes", "destination", "principal"],
            InputField::ParsedPath => &["parsed_path"],
            InputField::ParsedQuery => &["parsed_query"],
        }
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputFields(u8);

impl InputFields {
    pub(crate) const ALL: InputFields = InputFields(u8::MAX);

    pub(crate) fn from_bits(bits: u8) -> InputFields {
        InputFields(bits)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn has(self, field: InputField) -> bool {
        self.0 & (1 << field as u8) != 0
    }

    pub(crate) fn add(&mut self, field: InputField) {
        self.0 |= 1 << field as u8;
    }
}
