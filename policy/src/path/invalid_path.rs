//! The reasons why a path has no canonical form.

use crate::limits::PATH_BYTES;

/// An error for a path that servers could read in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// The path does not start with a slash. `*` is not a path either.
    #[error("the path does not start with `/`")]
    NotAbsolute,
    /// The path is longer than the limit.
    #[error("the path is longer than {PATH_BYTES} bytes")]
    TooLong,
    /// The path contains a control character or NUL, raw or encoded, or a raw space. An encoded space is allowed.
    #[error("the path contains a control character or a raw space")]
    Control,
    /// The path contains a raw backslash, which some servers treat as a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// The path contains `%2F` or `%5C`, which is a separator for some servers and a character for others. It has no
    /// other fault, in either reading.
    #[error("the path contains an encoded slash or backslash")]
    EncodedSeparator,
    /// The path contains an encoded separator, and has a dot segment for servers that treat it as a separator. So the
    /// reading decides where the path leads.
    #[error("the path has dot segments beside an encoded slash or backslash")]
    DotsAndEncodedSeparator,
    /// The path contains a raw `#`, which ends the path for some servers only.
    #[error("the path contains a raw `#`")]
    Fragment,
    /// The path contains a `%` without two hexadecimal digits.
    #[error("the path contains a `%` without two hexadecimal digits")]
    Escape,
    /// The path contains an escape that decodes to an escape, and a second decoding gives a dot segment, a control
    /// character or a third escape: `%252e%252e`, `%2500`, `%252541`.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// The path contains an escape that decodes to an escape: `%2561` is `%61` for a server that decodes once, and `a`
    /// for a server that decodes twice. It has no other fault, in either reading.
    #[error("the path contains an encoded escape")]
    EncodedEscape,
    /// The path contains UTF-8 with more bytes than necessary. `%c0%af` is a slash for a lenient decoder.
    #[error("the path contains overlong UTF-8")]
    Overlong,
    /// The path has more `..` segments than segments before them.
    #[error("the path leaves the root")]
    AboveRoot,
    /// The path has both dot segments and empty segments, and the result depends on which of them a server removes
    /// first. A segment that consists of parameters (`/;x/`) is empty for servers that drop parameters first.
    #[error("the path has both dot segments and empty segments")]
    DotsAndEmpty,
    /// The path contains `..;x`, a dot segment for servers that drop parameters first.
    #[error("the path has a dot segment with parameters")]
    DotParameters,
    /// The path begins with several slashes. In `//x/y`, `x` is a segment for some servers, and a host for servers that
    /// read the path as a URL reference. The path has no other fault.
    #[error("the path begins with more than one slash")]
    EmptyBeginning,
}

impl InvalidPath {
    /// Returns whether the rules decide about the path. A rule with `paths` judges each reading of it; for any other
    /// rule, the path makes no difference.
    #[must_use]
    pub fn is_undecided(self) -> bool {
        matches!(
            self,
            InvalidPath::EncodedSeparator | InvalidPath::EncodedEscape | InvalidPath::EmptyBeginning
        )
    }
}
