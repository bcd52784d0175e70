//! The plugin configuration: what the control plane sends with each policy, as one run of bytes.

use crate::rego::{Engine, InvalidRego, Rego};
use thiserror::Error;
use weir_policy::{InvalidPolicyBytes, Policy};

/// What a configuration of this shape begins with; another shape gets another number.
const MAGIC: &[u8; 8] = b"WEIRCFG1";
/// Flags byte, bit 0: [`Configuration::judge_connect_host`].
const JUDGE_CONNECT_HOST: u8 = 1;
/// Flags byte, bit 1: a Rego policy follows the policy.
const WITH_REGO: u8 = 2;

/// What the filter enforces.
///
/// On the wire: `WEIRCFG1`, a byte of flags, three bytes of zero, the length of the Rego policy (4, little-endian; 0
/// without one), then the policy's own bytes, then the Rego policy's to the end.
#[derive(Debug)]
pub struct Configuration {
    /// Decides.
    pub policy: Policy,
    /// Whether a CONNECT is refused for its host already: this Envoy holds no certificate for a host that the policy
    /// does not name, so the request inside could not be refused readably.
    pub judge_connect_host: bool,
    /// Must agree to what the policy allows; there if and only if the policy needs it.
    pub rego: Option<Rego>,
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
    /// The Rego policy is not valid, or not for this filter.
    #[error("plugin configuration: {0}")]
    Rego(#[from] InvalidRego),
    /// A policy that needs Rego without one, or the other way round.
    #[error("plugin configuration: the policy and the Rego policy do not belong together")]
    Mismatch,
}

impl TryFrom<Vec<u8>> for Configuration {
    type Error = InvalidConfiguration;

    /// Takes the bytes over: a second copy of a large policy would stay in the VM's memory for good.
    fn try_from(mut bytes: Vec<u8>) -> Result<Self, InvalidConfiguration> {
        let header = *bytes.first_chunk::<16>().ok_or(InvalidConfiguration::Short(bytes.len()))?;
        let [magic @ .., flags, x, y, z, a, b, c, d] = &header;
        if magic != MAGIC {
            return Err(InvalidConfiguration::Magic);
        }
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        let with_rego = flags & WITH_REGO != 0;
        if flags & !(JUDGE_CONNECT_HOST | WITH_REGO) != 0 || [x, y, z] != [&0; 3] || with_rego != (length > 0)
        {
            return Err(InvalidConfiguration::Reserved);
        }
        let end = usize::try_from(length).ok().and_then(|length| bytes.len().checked_sub(length));
        let end = end.filter(|end| *end >= header.len()).ok_or(InvalidConfiguration::Mismatch)?;
        let rego = with_rego.then(|| Rego::load(bytes.get(end..).unwrap_or_default())).transpose()?;
        bytes.truncate(end);
        bytes.drain(..header.len());
        let policy = Policy::from_bytes(bytes)?;
        if policy.needs_rego() != rego.is_some() {
            return Err(InvalidConfiguration::Mismatch);
        }
        Ok(Self { policy, judge_connect_host: flags & JUDGE_CONNECT_HOST != 0, rego })
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
        let configuration = Configuration::try_from(allow_one()).unwrap();
        assert!(!configuration.judge_connect_host);
        let same = weir_policy::compile("allowed_domains: [a.example]").unwrap();
        assert_eq!(configuration.policy.as_bytes(), same.as_bytes());

        let judging = plugin_configuration("allowed_domains: [a.example]", 1);
        assert!(Configuration::try_from(judging).unwrap().judge_connect_host);
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = allow_one();
        for end in 0..whole.len() {
            assert!(Configuration::try_from(whole[..end].to_vec()).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn unknown_flags_and_reserved_bytes_are_refused() {
        for (index, value) in [(0, b'V'), (7, b'2'), (8, 2), (8, 0x80), (9, 1), (15, 1)] {
            let mut bytes = allow_one();
            bytes[index] = value;
            assert!(Configuration::try_from(bytes).is_err(), "byte {index}");
        }
    }
}
