//! The plugin configuration: flags, credentials, policy and Rego policy in one run of bytes.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `WEIRCFG2`; another layout has another number |
//! | 1 | flags |
//! | 1 | number of accepted proxy credentials |
//! | 2 | limit of separate pools of a worker, little-endian |
//! | 4 | length of the Rego policy, little-endian; 0 without one |
//! | 16 + 32 each | salt, then a digest for each credential; absent without credentials |
//! | … | the policy |
//! | … | the Rego policy, to the end |
//!
//! The bytes travel in an [envelope](crate::envelope).

use std::ops::Range;

const MAGIC: &[u8; 8] = b"WEIRCFG2";
const HEADER: usize = 16;

/// Bytes of the salt of the credentials.
pub const SALT: usize = 16;
/// Bytes of the SHA-256 of the salt and one credential.
pub const DIGEST: usize = 32;

/// Flag: the filter denies a CONNECT to a host that no rule names. This Envoy has certificates only for the policy's
/// hosts, so it could not answer a denied request inside the tunnel.
const JUDGE_CONNECT_HOST: u8 = 1;
/// Flag: a Rego policy follows the policy.
const WITH_REGO: u8 = 2;
/// Flag: the explicit proxy requires credentials.
const WITH_CREDENTIALS: u8 = 4;

/// The configuration to encode.
#[derive(Clone, Copy, Debug)]
pub struct PluginConfiguration<'c> {
    /// Whether a CONNECT is judged by its host.
    pub judge_connect_host: bool,
    /// The maximum number of pools of upstream connections that a worker has for single connections of clients.
    pub separate_pools: u16,
    /// The salt and the digests of the accepted credentials, as bytes; `None` where the proxy requires none.
    pub credentials: Option<&'c [u8]>,
    /// The policy.
    pub policy: &'c [u8],
    /// The Rego policy that must agree.
    pub rego: Option<&'c [u8]>,
}

impl PluginConfiguration<'_> {
    /// Encodes the configuration, without its envelope.
    pub fn encode(&self) -> Vec<u8> {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let credentials = self.credentials.unwrap_or_default();
        let rego = self.rego.unwrap_or_default();
        let flags = flag(self.judge_connect_host, JUDGE_CONNECT_HOST)
            | flag(self.rego.is_some(), WITH_REGO)
            | flag(self.credentials.is_some(), WITH_CREDENTIALS);
        // Both are bounded far below the largest number. One that was cut short here is refused by the decoder.
        let count = u8::try_from(credentials.len().saturating_sub(SALT) / DIGEST).unwrap_or(u8::MAX);
        let length = u32::try_from(rego.len()).unwrap_or(u32::MAX);
        let mut bytes = MAGIC.to_vec();
        bytes.extend([flags, count]);
        bytes.extend(self.separate_pools.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        for part in [credentials, self.policy, rego] {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// The places of a configuration's parts. Places and not slices: the filter takes the bytes over without a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Whether a CONNECT is judged by its host.
    pub judge_connect_host: bool,
    /// The maximum number of pools of upstream connections that a worker has for single connections of clients.
    pub separate_pools: u16,
    /// The salt and the digests of the accepted credentials.
    pub credentials: Option<Range<usize>>,
    /// The policy.
    pub policy: Range<usize>,
    /// The Rego policy.
    pub rego: Option<Range<usize>>,
}

/// Bytes that are not a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParts {
    /// The bytes are shorter than the header.
    #[error("plugin configuration has {0} bytes, its header alone has 16")]
    Short(usize),
    /// The bytes begin with something else: they are not a configuration, or one of another layout.
    #[error("plugin configuration does not begin with `WEIRCFG2`")]
    Magic,
    /// An unknown flag must not be ignored: it may restrict.
    #[error("plugin configuration has unknown flags, or flags that contradict its lengths")]
    Reserved,
    /// The bytes are shorter than their credentials.
    #[error("plugin configuration does not hold the credentials that it announces")]
    Credentials,
    /// The bytes are shorter than their Rego policy.
    #[error("plugin configuration does not hold the Rego policy that it announces")]
    Rego,
}

impl Parts {
    /// Finds the parts of a configuration.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn find(bytes: &[u8]) -> Result<Self, InvalidParts> {
        let header = bytes.first_chunk::<HEADER>().ok_or(InvalidParts::Short(bytes.len()))?;
        let [magic @ .., flags, count, x, y, a, b, c, d] = header;
        if magic != MAGIC {
            return Err(InvalidParts::Magic);
        }
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        let (with_rego, with_credentials) = (flags & WITH_REGO != 0, flags & WITH_CREDENTIALS != 0);
        if flags & !(JUDGE_CONNECT_HOST | WITH_REGO | WITH_CREDENTIALS) != 0
            || with_rego != (length > 0)
            || with_credentials != (*count > 0)
        {
            return Err(InvalidParts::Reserved);
        }
        let credentials = if with_credentials { SALT + DIGEST * usize::from(*count) } else { 0 };
        let policy = HEADER + credentials;
        if bytes.len() < policy {
            return Err(InvalidParts::Credentials);
        }
        let rego = usize::try_from(length).ok().and_then(|length| bytes.len().checked_sub(length));
        let rego = rego.filter(|rego| *rego >= policy).ok_or(InvalidParts::Rego)?;
        Ok(Self {
            judge_connect_host: flags & JUDGE_CONNECT_HOST != 0,
            separate_pools: u16::from_le_bytes([*x, *y]),
            credentials: with_credentials.then_some(HEADER..policy),
            policy: policy..rego,
            rego: with_rego.then_some(rego..bytes.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn configuration()(
            judge_connect_host in any::<bool>(),
            separate_pools in any::<u16>(),
            credentials in prop::option::of((1_u8..=255).prop_map(|count| vec![7; SALT + DIGEST * usize::from(count)])),
            policy in prop::collection::vec(any::<u8>(), 0..100),
            rego in prop::option::of(prop::collection::vec(any::<u8>(), 1..100)),
        ) -> (bool, u16, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>) {
            (judge_connect_host, separate_pools, credentials, policy, rego)
        }
    }

    proptest! {
        #[test]
        fn a_configuration_is_decoded_as_it_was_encoded(parts in configuration()) {
            let (judge_connect_host, separate_pools, credentials, policy, rego) = parts;
            let (credentials, rego) = (credentials.as_deref(), rego.as_deref());
            let bytes =
                PluginConfiguration { judge_connect_host, separate_pools, credentials, policy: &policy, rego }.encode();
            let found = Parts::find(&bytes).unwrap();
            prop_assert_eq!(found.judge_connect_host, judge_connect_host);
            prop_assert_eq!(found.separate_pools, separate_pools);
            prop_assert_eq!(found.credentials.map(|range| &bytes[range]), credentials);
            prop_assert_eq!(&bytes[found.policy], &policy);
            prop_assert_eq!(found.rego.map(|range| &bytes[range]), rego);
        }

        #[test]
        fn any_bytes_are_refused_or_have_their_parts_in_order(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = [MAGIC.as_slice(), &bytes].concat();
            if let Ok(parts) = Parts::find(&bytes) {
                prop_assert!(parts.policy.start <= parts.policy.end && parts.policy.end <= bytes.len());
            }
        }
    }

    #[test]
    fn the_header_is_never_cut() {
        let bytes = PluginConfiguration {
            judge_connect_host: true,
            separate_pools: 1,
            credentials: None,
            policy: b"",
            rego: None,
        }
        .encode();
        assert_eq!(bytes.len(), HEADER);
        for end in 0..HEADER {
            assert_eq!(Parts::find(&bytes[..end]), Err(InvalidParts::Short(end)));
        }
    }

    #[test]
    fn unknown_flags_and_other_layouts_are_refused() {
        for (index, value) in [(0, b'V'), (7, b'1'), (8, 2), (8, 4), (8, 8), (8, 0x80), (9, 1), (15, 1)] {
            let whole = PluginConfiguration {
                judge_connect_host: false,
                separate_pools: 1,
                credentials: None,
                policy: b"p",
                rego: None,
            };
            let mut bytes = whole.encode();
            bytes[index] = value;
            assert!(Parts::find(&bytes).is_err(), "byte {index}");
        }
    }
}
