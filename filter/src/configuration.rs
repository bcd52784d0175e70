//! The plugin configuration: what the control plane sends with each policy, as one run of bytes.

use thiserror::Error;
use weir_policy::{InvalidPolicyBytes, Policy};

/// What a configuration of this shape begins with; another shape gets another number.
const MAGIC: &[u8; 8] = b"WEIRCFG1";
/// Flags byte, bit 0: [`Configuration::judge_connect_host`].
const JUDGE_CONNECT_HOST: u8 = 1;

/// What the filter enforces.
///
/// On the wire: `WEIRCFG1`, a byte of flags, seven bytes of zero, then the policy's own bytes to the end.
#[derive(Debug)]
pub struct Configuration {
    /// Decides.
    pub policy: Policy,
    /// Whether a CONNECT is refused for its host already: this Envoy holds no certificate for a host that the policy
    /// does not name, so the request inside could not be refused readably.
    pub judge_connect_host: bool,
}

/// Why bytes are not a configuration.
#[derive(Debug, Error)]
pub enum InvalidConfiguration {
    /// Shorter than the header.
    #[error("plugin configuration has {0} bytes, its header alone has 16")]
    Short(usize),
    /// Not ours, or of another version.
    #[error("plugin configuration does not begin with `WEIRCFG1`")]
    Magic,
    /// A flag that this filter does not know must not be ignored: it may restrict.
    #[error("plugin configuration has unknown flags or reserved bytes that are not zero")]
    Reserved,
    /// The policy is not valid.
    #[error("plugin configuration: {0}")]
    Policy(#[from] InvalidPolicyBytes),
}

impl TryFrom<&[u8]> for Configuration {
    type Error = InvalidConfiguration;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidConfiguration> {
        let (header, policy) =
            bytes.split_first_chunk::<16>().ok_or(InvalidConfiguration::Short(bytes.len()))?;
        let [magic @ .., flags, _, _, _, _, _, _, _] = header;
        if magic != MAGIC {
            return Err(InvalidConfiguration::Magic);
        }
        if flags & !JUDGE_CONNECT_HOST != 0 || !header.ends_with(&[0; 7]) {
            return Err(InvalidConfiguration::Reserved);
        }
        Ok(Self { policy: Policy::from_bytes(policy)?, judge_connect_host: flags & JUDGE_CONNECT_HOST != 0 })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What the control plane sends for a policy document.
    pub(crate) fn plugin_configuration(document: &str, flags: u8) -> Vec<u8> {
        let policy = weir_policy::compile(document).expect("a valid policy document");
        let mut bytes = [MAGIC.as_slice(), &[flags], &[0; 7]].concat();
        bytes.extend_from_slice(policy.as_bytes());
        bytes
    }

    fn allow_one() -> Vec<u8> {
        plugin_configuration("allowed_domains: [a.example]", 0)
    }

    #[test]
    fn policy_and_flags_arrive() {
        let configuration = Configuration::try_from(allow_one().as_slice()).unwrap();
        assert!(!configuration.judge_connect_host);
        let same = weir_policy::compile("allowed_domains: [a.example]").unwrap();
        assert_eq!(configuration.policy.as_bytes(), same.as_bytes());

        let judging = plugin_configuration("allowed_domains: [a.example]", 1);
        assert!(Configuration::try_from(judging.as_slice()).unwrap().judge_connect_host);
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = allow_one();
        for end in 0..whole.len() {
            assert!(Configuration::try_from(&whole[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn unknown_flags_and_reserved_bytes_are_refused() {
        for (index, value) in [(0, b'V'), (7, b'2'), (8, 2), (8, 0x80), (9, 1), (15, 1)] {
            let mut bytes = allow_one();
            bytes[index] = value;
            assert!(Configuration::try_from(bytes.as_slice()).is_err(), "byte {index}");
        }
    }
}
