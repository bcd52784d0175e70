//! The text of a policy document, from a file or from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use weir_policy::{Fault, Faults, limits};

use crate::output::report::printable;

/// The text of a policy document, and its name in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyText {
    name: String,
    /// The folder to which the paths in the document are relative.
    folder: PathBuf,
    text: String,
    /// Whether `text` ends before bytes that are not UTF-8. Such a document is invalid.
    cut: bool,
}

/// A policy document that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the policy `{}`: {cause}", printable(&path.to_string_lossy()))]
pub(crate) struct PolicyTextError {
    path: PathBuf,
    cause: io::Error,
}

impl PolicyText {
    /// Reads the document at `path`, or from `input` if the path is `-`.
    ///
    /// # Errors
    /// When it cannot be read. [`Self::parse`] reports faults inside the document.
    pub(crate) fn read(path: &Path, input: &mut dyn Read) -> Result<Self, PolicyTextError> {
        let failed = |cause| PolicyTextError { path: path.to_owned(), cause };
        if path == Path::new("-") {
            return Self::read_all("<stdin>".to_owned(), PathBuf::new(), input).map_err(failed);
        }
        let mut file = File::open(path).map_err(failed)?;
        let folder = path.parent().unwrap_or(path).to_owned();
        Self::read_all(path.display().to_string(), folder, &mut file).map_err(failed)
    }

    /// Makes the path of the document's folder absolute.
    #[must_use]
    pub(crate) fn with_absolute_folder(mut self) -> Self {
        // `std::path::absolute` refuses an empty path.
        self.folder = std::path::absolute(Path::new(".").join(&self.folder)).unwrap_or(self.folder);
        self
    }

    fn read_all(name: String, folder: PathBuf, from: &mut dyn Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        // Reads one byte more than the limit, so that the compiler sees that the document is too long. It reads no
        // further, because the path may name an endless file.
        from.take(limits::DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let (text, cut) = match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(valid);
                (String::from_utf8_lossy(&bytes).into_owned(), true)
            }
        };
        Ok(Self { name, folder, text, cut })
    }

    /// Returns the document's name in messages: its path, or `<stdin>`.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the document's folder, to which the paths in the document are relative.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the document's text, which the faults' places refer to.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Parses the document with `read`.
    ///
    /// # Errors
    /// Every fault of the document at once.
    pub(crate) fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, Faults>) -> Result<T, Faults> {
        if self.cut {
            return Err(self.not_text());
        }
        read(&self.text)
    }

    fn not_text(&self) -> Faults {
        let end = self.text.len();
        let help = Some("save it as UTF-8".to_owned());
        let fault = Fault::new(&self.text, end..end, "", "the document is not UTF-8 from here on", help);
        Faults { list: vec![fault], omitted: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_missing_file_steers_no_terminal() {
        let missing = Path::new("missing\u{1b}[31m\u{9b}2J.yaml");
        let error = PolicyText::read(missing, &mut io::empty()).unwrap_err().to_string();
        assert!(error.contains("`missing\\u{1b}[31m\\u{9b}2J.yaml`"), "{error}");
    }

    #[test]
    fn a_dash_is_standard_input() {
        let file = PolicyText::read(Path::new("-"), &mut b"allowed_domains: []".as_slice()).unwrap();
        assert_eq!((file.name(), file.text()), ("<stdin>", "allowed_domains: []"));
    }

    #[test]
    fn what_is_not_text_is_a_fault_where_the_text_ends() {
        let file = PolicyText::read(Path::new("-"), &mut b"# one\n# tw\xFF\n".as_slice()).unwrap();
        let faults = file.parse(weir_policy::compile).unwrap_err();
        assert_eq!((faults.list[0].line, faults.list[0].column), (2, 5));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = PolicyText::read(Path::new("/no/such"), &mut io::empty()).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the policy `/no/such`: "), "{error}");
    }
}
