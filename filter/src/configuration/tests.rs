//! Tests of the plugin configuration, and configurations for other tests.

use super::*;
use crate::proxy_credentials::tests::sealed;
use weir_contract::configuration::PluginConfiguration;
use weir_contract::envelope::seal;

/// The limit of separate pools in every plugin configuration.
pub(crate) const SEPARATE_POOLS: u16 = 2;

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
    PluginConfiguration { judge_connect_host, separate_pools: SEPARATE_POOLS, credentials, policy, rego }
        .encode()
}

const DOCUMENT: &str = "allowed_domains: [a.example]";

fn allow_one() -> Vec<u8> {
    content(DOCUMENT, false, &[], None)
}

#[test]
fn workers_can_share_a_configuration() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Configuration>();
    is_shared::<crate::counters::Counters>();
}

#[test]
fn policy_and_flags_arrive() {
    let configuration = Configuration::try_from(seal(&allow_one())).unwrap();
    assert!(!configuration.judge_connect_host);
    assert_eq!(configuration.separate_pools, SEPARATE_POOLS);
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
