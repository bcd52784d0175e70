//! The credentials that the explicit proxy accepts (RFC 7617). The filter knows only a salted hash of each.

use sha2::{Digest, Sha256};
use std::fmt;
use weir_contract::configuration::{DIGEST, SALT};

/// The accepted credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    salt: [u8; SALT],
    /// Digests of the salt and the credentials in the form of the header: `user:password` in base64.
    digests: Vec<[u8; DIGEST]>,
}

impl ProxyCredentials {
    /// Parses a salt and whole digests; `None` for any other bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (salt, digests) = bytes.split_first_chunk::<SALT>()?;
        let (digests, rest) = digests.as_chunks::<DIGEST>();
        let whole = rest.is_empty() && !digests.is_empty();
        whole.then(|| Self { salt: *salt, digests: digests.to_vec() })
    }

    /// Returns whether a value of `Proxy-Authorization` has accepted credentials.
    pub fn accept(&self, authorization: &[u8]) -> bool {
        let Some(token) = basic_token(authorization) else { return false };
        let sent: [u8; DIGEST] = Sha256::new().chain_update(self.salt).chain_update(token).finalize().into();
        // Every digest is compared in full, so that the duration does not tell how much of one is right.
        self.digests.iter().fold(false, |accepted, known| accepted | is_same(known, &sent))
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProxyCredentials(..)")
    }
}

/// Returns the token after the scheme. The scheme ignores case, and spaces follow it (RFC 9110, 11.4).
fn basic_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) =
        authorization.split_at_checked(authorization.iter().position(|byte| *byte == b' ')?)?;
    scheme.eq_ignore_ascii_case(b"Basic").then(|| token.trim_ascii())
}

fn is_same(a: &[u8; DIGEST], b: &[u8; DIGEST]) -> bool {
    let differences = a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b));
    std::hint::black_box(differences) == 0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A salt and the digests of these tokens, as the control plane sends them.
    pub(crate) fn sealed(tokens: &[&[u8]]) -> Vec<u8> {
        let salt = *b"salt of 16 bytes";
        let digests = tokens.iter().flat_map(|token| Sha256::digest([salt.as_slice(), token].concat()));
        salt.into_iter().chain(digests).collect()
    }

    fn accepting(tokens: &[&[u8]]) -> ProxyCredentials {
        ProxyCredentials::read(&sealed(tokens)).unwrap()
    }

    #[test]
    fn each_of_the_accepted_credentials_is_accepted() {
        let credentials = accepting(&[b"YTox", b"Yjoy"]);
        for value in ["Basic YTox", "Basic Yjoy", "basic YTox", "BASIC   YTox", "Basic YTox "] {
            assert!(credentials.accept(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn nothing_else_is_accepted() {
        let credentials = accepting(&[b"YTox", b"Yjoy"]);
        for value in [
            b"".as_slice(),
            b"Basic",
            b"Basic ",
            b"YTox",
            b" YTox",
            b"BasicYTox",
            b"Bearer YTox",
            b"Basic ytox",
            b"Basic YTo",
            b"Basic YToxYjoy",
            b"Basic YTox,Basic Yjoy",
            b"Basic YTox, Basic YTox",
            b"Basic YTox\0Basic YTox",
            b"Basic YTox YTox",
            b"Basic \xff\xfe",
            b"\xff YTox",
            b"Basic a:1",
        ] {
            assert!(!credentials.accept(value), "{value:?}");
        }
    }

    #[test]
    fn cut_bytes_are_none() {
        let bytes = sealed(&[b"YTox"]);
        for end in 0..bytes.len() {
            assert!(ProxyCredentials::read(&bytes[..end]).is_none(), "{end} bytes");
        }
        assert!(ProxyCredentials::read(&sealed(&[])).is_none(), "a salt without a digest");
    }

    #[test]
    fn they_do_not_print() {
        assert_eq!(format!("{:?}", accepting(&[b"YTox"])), "ProxyCredentials(..)");
    }
}
