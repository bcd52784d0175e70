//! The method of a request.

use core::fmt;

use crate::limits::METHOD_BYTES;

/// A method: 1 to 32 letters, digits and some marks, compared byte for byte, because methods are case-sensitive
/// (RFC 9110, section 9.1).
///
/// An HTTP token (section 5.6.2) may also contain characters that are special to a shell, such as a backtick. No
/// registered method contains one, and Envoy writes the method into its own responses unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method<'a>(&'a str);

/// An error for bytes that are not a method: none, more than 32, or with another byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a method is 1 to {METHOD_BYTES} letters, digits, `-`, `_`, `.` or `+`")]
pub struct InvalidMethod;

impl<'a> Method<'a> {
    /// The methods that are registered in capital letters.
    pub const STANDARD: [&'static str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

    /// Parses a method.
    ///
    /// # Errors
    /// [`InvalidMethod`] for other bytes or too many.
    pub fn parse(raw: &'a [u8]) -> Result<Method<'a>, InvalidMethod> {
        if raw.is_empty() || raw.len() > METHOD_BYTES || !raw.iter().copied().all(is_method_byte) {
            return Err(InvalidMethod);
        }
        core::str::from_utf8(raw).map(Method).map_err(|_| InvalidMethod)
    }

    /// The method as sent.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tokens_are_methods_and_nothing_else_is() {
        for raw in ["GET", "get", "PROPFIND", "M-SEARCH", "X_1.+"] {
            assert_eq!(Method::parse(raw.as_bytes()).map(|method| method.as_str()), Ok(raw));
        }
        for raw in [
            &b""[..],
            b"GET ",
            b"GE\tT",
            b"G\0T",
            b"GET\xff",
            b"GET/",
            b"X!",
            b"`id`",
            b"A|B",
            b"$A",
            &[b'A'; 33],
        ] {
            assert_eq!(Method::parse(raw), Err(InvalidMethod));
        }
    }
}
