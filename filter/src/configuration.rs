//! The plugin configuration: what the control plane sends with each policy, as one run of bytes.

use crate::envelope;
use crate::proxy_credentials::ProxyCredentials;
use crate::rego::{Engine, InvalidRego, Rego};
use thiserror::Error;
use weir_policy::{InvalidPolicyBytes, Policy, PolicyVersion};

/// What a configuration of this shape begins with; another shape gets another number.
const MAGIC: &[u8; 8] = b"WEIRCFG1";
/// Flags byte, bit 0: [`Configuration::judge_connect_host`].
const JUDGE_CONNECT_HOST: u8 = 1;
/// Flags byte, bit 1: a Rego policy follows the policy.
const WITH_REGO: u8 = 2;
/// Flags byte, bit 2: the explicit proxy asks for credentials.
const WITH_CREDENTIALS: u8 = 4;

/// What the filter enforces.
///
/// On the wire, in an [`envelope`]: `WEIRCFG1`, a byte of flags, a byte with the number of accepted credentials, two
/// bytes of zero, the length of the Rego policy (4, little-endian; 0 without one), then where credentials are asked for
/// a salt (16) and a digest of each (32), then the policy's own bytes, then the Rego policy's to the end.
#[derive(Debug)]
pub struct Configuration {
    /// Decides.
    pub policy: Policy,
    /// Whether a CONNECT is refused for its host already: this Envoy holds no certificate for a host that the policy
    /// does not name, so the request inside could not be refused readably.
    pub judge_connect_host: bool,
    /// What clients of the explicit proxy must know; nothing where there are none.
    pub proxy_credentials: Option<ProxyCredentials>,
    /// Of the policy and the Rego policy together.
    pub version: PolicyVersion,
    /// Must agree to what the policy allows; there if and only if the policy needs it.
    pub rego: Option<Rego>,
}

/// Why bytes are not a configuration.
#[derive(Debug, Error)]
pub enum InvalidConfiguration {
    /// Not in its envelope.
    #[error("plugin configuration is not in its envelope")]
    Envelope,
    /// Shorter than the header.
    #[error("plugin configuration has {0} bytes, its header alone has 16")]
    Short(usize),
    /// Not ours, or of another version.
    #[error("plugin configuration does not begin with `WEIRCFG1`")]
    Magic,
    /// A flag that this filter does not know must not be ignored: it may restrict.
    #[error("plugin configuration has unknown flags or reserved bytes that are not zero")]
    Reserved,
    /// Shorter than it says.
    #[error("plugin configuration does not hold the credentials that it announces")]
    Credentials,
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
    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidConfiguration> {
        let mut bytes = envelope::open(bytes).ok_or(InvalidConfiguration::Envelope)?;
        let (header, rest) =
            bytes.split_first_chunk::<16>().ok_or(InvalidConfiguration::Short(bytes.len()))?;
        let [magic @ .., flags, credentials, x, y, a, b, c, d] = header;
        if magic != MAGIC {
            return Err(InvalidConfiguration::Magic);
        }
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        let with_rego = flags & WITH_REGO != 0;
        let with_credentials = flags & WITH_CREDENTIALS != 0;
        if flags & !(JUDGE_CONNECT_HOST | WITH_REGO | WITH_CREDENTIALS) != 0
            || [x, y] != [&0; 2]
            || with_rego != (length > 0)
            || with_credentials != (*credentials > 0)
        {
            return Err(InvalidConfiguration::Reserved);
        }
        let judge_connect_host = flags & JUDGE_CONNECT_HOST != 0;
        let (proxy_credentials, rest) = if with_credentials {
            let (proxy_credentials, rest) =
                ProxyCredentials::split_from(rest, *credentials).ok_or(InvalidConfiguration::Credentials)?;
            (Some(proxy_credentials), rest)
        } else {
            (None, rest)
        };
        let begin = bytes.len().saturating_sub(rest.len());
        let end = usize::try_from(length).ok().and_then(|length| bytes.len().checked_sub(length));
        let end = end.filter(|end| *end >= begin).ok_or(InvalidConfiguration::Mismatch)?;
        let rego_bytes = bytes.split_off(end);
        let rego = with_rego.then(|| Rego::load(&rego_bytes)).transpose()?;
        bytes.drain(..begin);
        let policy = Policy::from_bytes(bytes)?;
        let version = if with_rego { policy.version().with(&rego_bytes) } else { policy.version() };
        if policy.needs_rego() != rego.is_some() {
            return Err(InvalidConfiguration::Mismatch);
        }
        Ok(Self { policy, judge_connect_host, proxy_credentials, version, rego })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::envelope::tests::seal;
    use crate::proxy_credentials::tests::sealed;

    /// What the control plane sends for a policy document.
    pub(crate) fn plugin_configuration(document: &str, flags: u8) -> Vec<u8> {
        seal(&content(document, flags, &[]))
    }

    /// The same where the proxy asks for one of these credentials (base64).
    pub(crate) fn asking_for(document: &str, tokens: &[&[u8]]) -> Vec<u8> {
        seal(&content(document, WITH_CREDENTIALS, tokens))
    }

    fn content(document: &str, flags: u8, tokens: &[&[u8]]) -> Vec<u8> {
        let policy = weir_policy::compile(document).expect("a valid policy document");
        let credentials = if tokens.is_empty() { Vec::new() } else { sealed(tokens) };
        let header = [flags, u8::try_from(tokens.len()).unwrap(), 0, 0, 0, 0, 0, 0];
        [MAGIC.as_slice(), &header, &credentials, policy.as_bytes()].concat()
    }

    const DOCUMENT: &str = "allowed_domains: [a.example]";

    fn allow_one() -> Vec<u8> {
        content(DOCUMENT, 0, &[])
    }

    #[test]
    fn policy_and_flags_arrive() {
        let configuration = Configuration::try_from(seal(&allow_one())).unwrap();
        assert!(!configuration.judge_connect_host);
        assert_eq!(configuration.proxy_credentials, None);
        let same = weir_policy::compile(DOCUMENT).unwrap();
        assert_eq!(configuration.policy.as_bytes(), same.as_bytes());

        let judging = plugin_configuration(DOCUMENT, JUDGE_CONNECT_HOST);
        assert!(Configuration::try_from(judging).unwrap().judge_connect_host);
    }

    #[test]
    fn credentials_arrive_with_the_policy_behind_them() {
        let configuration = Configuration::try_from(asking_for(DOCUMENT, &[b"YTox", b"Yjoy"])).unwrap();
        assert!(configuration.proxy_credentials.unwrap().accept(b"Basic Yjoy"));
        let same = weir_policy::compile(DOCUMENT).unwrap();
        assert_eq!(configuration.policy.as_bytes(), same.as_bytes());
    }

    #[test]
    fn every_truncation_is_refused() {
        for whole in [allow_one(), content(DOCUMENT, WITH_CREDENTIALS, &[b"YTox"])] {
            for end in 0..whole.len() {
                assert!(Configuration::try_from(seal(&whole[..end])).is_err(), "{end} bytes");
            }
        }
        assert!(Configuration::try_from(allow_one()).is_err(), "no envelope");
    }

    /// A document and a Rego policy, whatever that is.
    fn with_rego(document: &str, rego: &[u8]) -> Vec<u8> {
        let mut bytes = content(document, WITH_REGO, &[]);
        bytes[12..16].copy_from_slice(&u32::try_from(rego.len()).unwrap().to_le_bytes());
        [bytes, rego.to_vec()].concat()
    }

    const NEEDS_REGO: &str = "rego: {policy: policy.rego}";

    #[test]
    fn a_policy_that_needs_rego_is_refused_where_it_was_lost() {
        let lost = Configuration::try_from(plugin_configuration(NEEDS_REGO, 0));
        assert!(matches!(lost, Err(InvalidConfiguration::Mismatch)), "{lost:?}");
    }

    #[cfg(not(feature = "rego"))]
    #[test]
    fn the_filter_without_an_engine_refuses_a_rego_policy() {
        let refused = Configuration::try_from(seal(&with_rego(NEEDS_REGO, b"anything")));
        assert!(matches!(refused, Err(InvalidConfiguration::Rego(InvalidRego::NoEngine))), "{refused:?}");
    }

    #[cfg(feature = "rego")]
    #[test]
    fn a_rego_policy_is_a_part_of_the_version_and_loads_whole_or_not_at_all() {
        let plan = rego_plan("GET");
        let version = |bytes: &[u8]| Configuration::try_from(seal(bytes)).map(|loaded| loaded.version);
        let whole = with_rego(NEEDS_REGO, &plan);
        assert_eq!(version(&whole).unwrap(), version(&whole).unwrap());
        assert_ne!(version(&whole).unwrap(), version(&with_rego(NEEDS_REGO, &rego_plan("PUT"))).unwrap());
        assert!(version(&with_rego(DOCUMENT, &plan)).is_err(), "a document that needs none");
        for end in 0..whole.len() {
            assert!(version(&whole[..end]).is_err(), "{end} bytes");
        }
        for end in 0..plan.len() {
            assert!(version(&with_rego(NEEDS_REGO, &plan[..end])).is_err(), "{end} bytes of the Rego policy");
        }
    }

    /// The configuration of a Rego policy that allows one method and says why it denies others.
    #[cfg(feature = "rego")]
    pub(crate) fn allowing_method(method: &str) -> Vec<u8> {
        seal(&with_rego(NEEDS_REGO, &rego_plan(method)))
    }

    #[cfg(feature = "rego")]
    fn rego_plan(method: &str) -> Vec<u8> {
        let text = format!(
            "package p\n\nallow if input.attributes.request.http.method == \"{method}\"\n\n\
             answer := {{\"allowed\": true}} if allow\n\n\
             answer := {{\"allowed\": false, \"http_status\": 451, \"reason\": \"no\"}} if not allow\n"
        );
        let modules = vec![weir_rego::Module { name: "policy.rego".to_owned(), text }];
        let bundle = weir_rego::Bundle { modules, data: "{}".to_owned(), query: "data.p.answer".to_owned() };
        weir_rego::check(&bundle).expect("a Rego policy").plan.to_bytes()
    }

    #[test]
    fn unknown_flags_and_reserved_bytes_are_refused() {
        for (index, value) in
            [(0, b'V'), (7, b'2'), (8, 2), (8, 4), (8, 8), (8, 0x80), (9, 1), (10, 1), (15, 1)]
        {
            let mut bytes = allow_one();
            bytes[index] = value;
            assert!(Configuration::try_from(seal(&bytes)).is_err(), "byte {index}");
        }
    }
}
