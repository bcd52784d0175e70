//! Who may use the explicit proxy: users and their passwords in a file. Envoy gets salted hashes of them alone.

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

use crate::certificate_file::MOST_BYTES;
use crate::state_folder::{self, StateFolderError};

/// How many credentials may be accepted at a time: a byte says their number.
pub const MOST: usize = 255;
/// The longest line: with base64 it stays far below what Envoy reads of a request's headers.
const LONGEST: usize = 1024;

/// What a URL holds as it is before its host (RFC 3986, 2.3).
const USER_INFORMATION: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What hashes of passwords begin with, so that a table of hashes made elsewhere is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Salt {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn draw() -> io::Result<Self> {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("no random bytes"))?;
        Ok(Self(salt))
    }
}

/// The hashes of what is accepted: all that leaves this process.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptedCredentials {
    salt: Salt,
    digests: Vec<[u8; 32]>,
}

impl AcceptedCredentials {
    /// How many there are: 1 to [`MOST`].
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.digests.len()).unwrap_or(u8::MAX)
    }

    /// The salt, then the SHA-256 of the salt and each one's `user:password` in base64.
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

/// The credentials of a file.
pub struct ProxyCredentials {
    accepted: AcceptedCredentials,
    first: Zeroizing<String>,
}

/// A file that names no credentials. No message quotes it.
#[derive(Debug, thiserror::Error)]
pub enum ProxyCredentialsError {
    /// It cannot be read.
    #[error("cannot read `{}`: {cause}\nhelp: name a file with a line `USER:PASSWORD` for each user", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others could read the passwords.
    #[error(transparent)]
    Open(#[from] StateFolderError),
    /// A line is something else.
    #[error("`{}`: line {line}: {fault}\nhelp: write a line `USER:PASSWORD` for each user; what begins with `#` is left out", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It has none.
    #[error("`{}` has no credentials in it\nhelp: write a line `USER:PASSWORD` for each user", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It has too many.
    #[error("`{}` has more than {MOST} credentials in it\nhelp: let several clients use the same ones", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

impl ProxyCredentials {
    /// Reads a file: a line `USER:PASSWORD` for each, in UTF-8. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it holds something else.
    pub fn read(path: &Path, salt: Salt) -> Result<Self, ProxyCredentialsError> {
        let unreadable = |cause| ProxyCredentialsError::Unreadable { path: path.to_owned(), cause };
        let file = File::open(path).map_err(unreadable)?;
        // Of the open file, not of the path: what is checked is what is read.
        state_folder::assert_secret(path, &file.metadata().map_err(unreadable)?)?;
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

    /// What Envoy is told.
    #[must_use]
    pub fn accepted(&self) -> &AcceptedCredentials {
        &self.accepted
    }

    /// The first of them as it stands in a URL before `@`. Whoever copies it answers for the copy.
    #[must_use]
    pub fn user_information(&self) -> Zeroizing<String> {
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

/// What no client could send (RFC 7617, 2), or nobody would mean.
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
    // SHA-256 has 32 bytes.
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
