//! Credentials for the explicit proxy, from a file of users and passwords. Envoy gets only salted hashes of them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{self, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::folder::state::{self, StateFolderError};
use crate::input::certificate_file::MOST_BYTES;

/// The maximum number of credentials. The wire form counts them in one byte.
pub(crate) const MOST: usize = 255;
/// The maximum length of a line. In base64 it stays far below Envoy's limit for request headers.
const LONGEST: usize = 1024;

/// The characters that need no percent-encoding before the host of a URL (RFC 3986, 2.3).
const USER_INFORMATION: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A salt for the hashes of passwords, which makes precomputed tables of hashes useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt([u8; 16]);

impl Salt {
    /// Draws a new random salt.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("no random bytes"))?;
        Ok(Self(salt))
    }
}

/// The hashes of the accepted credentials. Only these leave the process.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptedCredentials {
    salt: Salt,
    digests: Vec<[u8; 32]>,
}

impl AcceptedCredentials {
    /// The number of credentials: 1 to [`MOST`].
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.digests.len()).unwrap_or(u8::MAX)
    }

    /// The wire form: the salt, then for each user the SHA-256 of the salt and the base64 form of `user:password`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let digests = self.digests.iter().take(MOST).flatten();
        self.salt.0.iter().chain(digests).copied().collect()
    }
}

impl fmt::Debug for AcceptedCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AcceptedCredentials({})", self.digests.len())
    }
}

/// The credentials from a file.
pub(crate) struct ProxyCredentials {
    accepted: AcceptedCredentials,
    first: Zeroizing<String>,
}

/// An error in a credentials file. No message quotes the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyCredentialsError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {cause}\nhelp: name a file with a line `USER:PASSWORD` for each user", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// Other users could read the passwords.
    #[error(transparent)]
    Open(#[from] StateFolderError),
    /// A line is not `USER:PASSWORD`.
    #[error("`{}`: line {line}: {fault}\nhelp: write a line `USER:PASSWORD` for each user; lines that begin with `#` are skipped", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The fault in the line.
        fault: &'static str,
    },
    /// The file holds no credentials.
    #[error("`{}` has no credentials in it\nhelp: write a line `USER:PASSWORD` for each user", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file holds too many credentials.
    #[error("`{}` has more than {MOST} credentials in it\nhelp: let several clients use the same ones", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

impl ProxyCredentials {
    /// Reads a file with a line `USER:PASSWORD` for each user, in UTF-8. Empty lines and lines that begin with `#`
    /// are skipped.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or a line has another form.
    pub(crate) fn read(path: &Path, salt: Salt) -> Result<Self, ProxyCredentialsError> {
        let unreadable = |cause| ProxyCredentialsError::Unreadable { path: path.to_owned(), cause };
        let file = File::open(path).map_err(unreadable)?;
        // The check uses the open file's metadata. A check of the path could see another file than the one that is
        // read.
        state::assert_secret(path, &file.metadata().map_err(unreadable)?)?;
        let mut text = Zeroizing::new(String::new());
        let length = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if length as u64 > MOST_BYTES {
            return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
        }
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut digests = Vec::new();
        let mut first = None;
        for (line, credentials) in lines {
            if let Some(fault) = fault(credentials) {
                return Err(ProxyCredentialsError::Line { path: path.to_owned(), line, fault });
            }
            first.get_or_insert_with(|| Zeroizing::new(credentials.to_owned()));
            digests.push(digest_of(salt, credentials));
        }
        if digests.len() > MOST {
            return Err(ProxyCredentialsError::TooMany { path: path.to_owned() });
        }
        let first = first.ok_or_else(|| ProxyCredentialsError::Empty { path: path.to_owned() })?;
        Ok(Self { accepted: AcceptedCredentials { salt, digests }, first })
    }

    /// The hashes that Envoy gets.
    #[must_use]
    pub(crate) fn accepted(&self) -> &AcceptedCredentials {
        &self.accepted
    }

    /// The first user's credentials in the form that a URL has before `@`. A caller that copies them must wipe the
    /// copy.
    #[must_use]
    pub(crate) fn user_information(&self) -> Zeroizing<String> {
        let (user, password) = self.first.split_once(':').unwrap_or_default();
        let encoded = |text| utf8_percent_encode(text, USER_INFORMATION);
        Zeroizing::new(format!("{}:{}", encoded(user), encoded(password)))
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ProxyCredentials").field(&self.accepted).finish()
    }
}

/// Returns the fault of credentials that no client could send (RFC 7617, 2) or that nobody would intend.
fn fault(credentials: &str) -> Option<&'static str> {
    match credentials.split_once(':') {
        None => Some("there is no `:`"),
        Some(("", _)) => Some("there is no user before the `:`"),
        Some((_, "")) => Some("there is no password behind the `:`"),
        Some(_) if credentials.chars().any(char::is_control) => Some("there is a control character"),
        Some(_) if credentials.trim() != credentials => Some("there is white space at an end"),
        Some(_) if credentials.len() > LONGEST => Some("it is longer than 1024 bytes"),
        Some(_) => None,
    }
}

fn digest_of(salt: Salt, credentials: &str) -> [u8; 32] {
    let mut hash = digest::Context::new(&SHA256);
    hash.update(&salt.0);
    hash.update(Zeroizing::new(BASE64_STANDARD.encode(credentials)).as_bytes());
    // A SHA-256 hash always has 32 bytes.
    hash.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: impl AsRef<[u8]>, mode: u32) -> Result<ProxyCredentials, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = ProxyCredentials::read(&path, Salt([7; 16]));
        read.map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "users"))
    }

    #[test]
    fn each_line_is_a_user_and_the_first_one_is_ours() {
        let credentials = read("# CI\r\n\nci job:p@ss:wörd/1~\r\nother:2\n", 0o600).unwrap();
        assert_eq!(credentials.accepted().count(), 2);
        assert_eq!(*credentials.user_information(), "ci%20job:p%40ss%3Aw%C3%B6rd%2F1~");
        let bytes = credentials.accepted().to_bytes();
        assert_eq!(bytes.len(), 16 + 2 * 32);
        let salted = [[7; 16].as_slice(), b"b3RoZXI6Mg=="].concat();
        assert_eq!(bytes[48..], *digest::digest(&SHA256, &salted).as_ref());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o666] {
            let error = read("a:1\n", mode).unwrap_err();
            assert!(error.contains("open to other users") && error.contains("chmod 600"), "{error}");
        }
        assert!(read("a:1\n", 0o400).is_ok());
    }

    #[test]
    fn every_fault_is_said_with_its_line_and_without_the_line() {
        let long = format!("a:{}", "x".repeat(LONGEST));
        for (text, message) in [
            ("a:1\nsecret\n", "`users`: line 2: there is no `:`"),
            (":secret", "`users`: line 1: there is no user"),
            ("secret:", "`users`: line 1: there is no password"),
            ("a:sec\u{7f}ret", "`users`: line 1: there is a control character"),
            ("a:secret \n", "`users`: line 1: there is white space"),
            (&long, "`users`: line 1: it is longer"),
            ("# a:secret\n", "`users` has no credentials in it"),
            (&"a:secret\n".repeat(256), "`users` has more than 255"),
        ] {
            let error = read(text, 0o600).unwrap_err();
            assert!(error.starts_with(message) && error.contains("help: "), "{error}");
            assert!(!error.contains("secret") && !error.contains("xxx"), "{error}");
        }
        let error = read(b"a:\xff\n", 0o600).unwrap_err();
        assert!(error.starts_with("cannot read `users`"), "{error}");
    }

    #[test]
    fn nothing_of_them_prints() {
        let credentials = read("a:secret", 0o600).unwrap();
        assert_eq!(format!("{credentials:?}"), "ProxyCredentials(AcceptedCredentials(1))");
    }
}
