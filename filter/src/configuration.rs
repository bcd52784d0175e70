//! The plugin configuration: what the control plane sends with each policy, as one run of bytes.

use crate::proxy_credentials::ProxyCredentials;
use crate::rego::{Engine, InvalidRego, Rego};
use thiserror::Error;
use weir_contract::configuration::{InvalidParts, Parts};
use weir_contract::envelope;
use weir_policy::{InvalidPolicyBytes, Policy, PolicyVersion};

/// What the filter enforces.
///
/// [`weir_contract::configuration`] has the layout of its bytes.
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
    /// The bytes have another layout.
    #[error(transparent)]
    Layout(#[from] InvalidParts),
    /// The credentials are not a salt and digests.
    #[error("plugin configuration has no valid credentials")]
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
        let Parts { judge_connect_host, credentials, policy, rego } = Parts::find(&bytes)?;
        // Credentials that cannot be read must not become a proxy that requires none.
        let proxy_credentials = match credentials {
            None => None,
            Some(range) => {
                let read = bytes.get(range).and_then(ProxyCredentials::read);
                Some(read.ok_or(InvalidConfiguration::Credentials)?)
            }
        };
        let with_rego = rego.is_some();
        let rego_bytes = bytes.split_off(policy.end);
        let rego = with_rego.then(|| Rego::load(&rego_bytes)).transpose()?;
        bytes.drain(..policy.start);
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
    use crate::proxy_credentials::tests::sealed;
    use weir_contract::configuration::PluginConfiguration;
    use weir_contract::envelope::seal;

    /// The plugin configuration of a policy document.
    pub(crate) fn plugin_configuration(document: &str, judge_connect_host: bool) -> Vec<u8> {
        seal(&content(document, judge_connect_host, &[], None))
    }

    /// The plugin configuration of a policy document for a proxy that requires one of these credentials (base64).
    pub(crate) fn asking_for(document: &str, tokens: &[&[u8]]) -> Vec<u8> {
        seal(&content(document, false, tokens, None))
    }

    fn content(document: &str, judge_connect_host: bool, tokens: &[&[u8]], rego: Option<&[u8]>) -> Vec<u8> {
        let policy = weir_policy::compile(document).expect("a valid policy document");
        let credentials = (!tokens.is_empty()).then(|| sealed(tokens));
        let (credentials, policy) = (credentials.as_deref(), policy.as_bytes());
        PluginConfiguration { judge_connect_host, credentials, policy, rego }.encode()
    }

    const DOCUMENT: &str = "allowed_domains: [a.example]";

    fn allow_one() -> Vec<u8> {
        content(DOCUMENT, false, &[], None)
    }

    #[test]
    fn policy_and_flags_arrive() {
        let configuration = Configuration::try_from(seal(&allow_one())).unwrap();
        assert!(!configuration.judge_connect_host);
        assert_eq!(configuration.proxy_credentials, None);
        let same = weir_policy::compile(DOCUMENT).unwrap();
        assert_eq!(configuration.policy.as_bytes(), same.as_bytes());

        let judging = plugin_configuration(DOCUMENT, true);
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
        for whole in [allow_one(), content(DOCUMENT, false, &[b"YTox"], None)] {
            for end in 0..whole.len() {
                assert!(Configuration::try_from(seal(&whole[..end])).is_err(), "{end} bytes");
            }
        }
        assert!(Configuration::try_from(allow_one()).is_err(), "no envelope");
    }

    /// A document and the bytes of a Rego policy.
    fn with_rego(document: &str, rego: &[u8]) -> Vec<u8> {
        content(document, false, &[], Some(rego))
    }

    const NEEDS_REGO: &str = "rego: {policy: policy.rego}";

    #[test]
    fn a_policy_that_needs_rego_is_refused_where_it_was_lost() {
        let lost = Configuration::try_from(plugin_configuration(NEEDS_REGO, false));
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
}
