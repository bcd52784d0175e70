//! The address guard: once the name is resolved, it allows only public addresses that are not the machine's own, and
//! the addresses that the rule lists.
//!
//! The guard is an RBAC filter behind the forward-proxy filter, and judges the address that the forward proxy saved.
//! Its action is ALLOW: where Envoy gives it no address (sub-clusters, measured on 1.37.0 to 1.40.0), no rule matches
//! and the request is denied. It trusts the filter state that the policy filter wrote, and no header.
//!
//! The guard sees only the first address of a name, and Envoy tries the other addresses when the first does not answer
//! (happy eyeballs). So Weir's resolver gives Envoy no address that some rule for the name could refuse
//! ([`dns`](crate::dns)).

use envoy_types::pb::envoy::config::core::v3::{ExtensionConfigSource, TypedExtensionConfig};
use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac as Rules, permission};
use envoy_types::pb::envoy::config::rbac::v3::{principal, rbac};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::rbac::matchers::upstream_ip_port::v3::UpstreamIpPortMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::filter_state_matcher::Matcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{FilterStateMatcher, StringMatcher};
use envoy_types::pb::envoy::r#type::v3::Int64Range;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use ipnet::IpNet;
use prost::{Message, Name};
use weir_xds::Resource;

use super::names;
use super::protobuf::{ads, cidr, extension};
use crate::address::public;
use crate::envoy::gateway::{GatewayPolicy, NodeSettings};

/// The ports that Weir reserves for listeners of its own. They stay closed at each address that a rule lists.
/// [`own_ports`] adds the ports of the listeners in use.
const OWN_PORTS: std::ops::Range<i64> = 15000..15021;

/// The discovery source of the guard. Every request is denied until the guard has arrived.
pub(super) fn source() -> ExtensionConfigSource {
    ExtensionConfigSource {
        config_source: Some(ads()),
        default_config: Some(deny_all("address_guard_missing")),
        apply_default_config_without_warming: true,
        type_urls: vec![Rbac::type_url()],
    }
}

/// An RBAC filter that denies every request; `policy` names the cause in Envoy's response code details.
pub(super) fn deny_all(policy: &str) -> Any {
    let any = Policy {
        permissions: vec![Permission { rule: Some(permission::Rule::Any(true)) }],
        principals: vec![Principal { identifier: Some(principal::Identifier::Any(true)) }],
        ..Policy::default()
    };
    pack_any(Rbac { rules: Some(rules(rbac::Action::Deny, [(policy.to_owned(), any)])), ..Rbac::default() })
}

pub(super) fn resource(policy: &GatewayPolicy, node: &NodeSettings) -> Resource {
    let public = Policy {
        permissions: vec![all_of(vec![
            any_of(public::unicast()),
            not(any_of(public::not_public().chain(node.own_addresses.iter()))),
        ])],
        principals: vec![Principal { identifier: Some(principal::Identifier::Any(true)) }],
        ..Policy::default()
    };
    let own_ports = own_ports(node);
    let mut value = guard(("public".to_owned(), public)).encode_to_vec();
    for (number, networks) in policy.rules.address_sets().enumerate() {
        let listed = any_of(networks.nets());
        let policy = Policy {
            permissions: vec![all_of(vec![listed, not(own_ports.clone())])],
            principals: vec![address_set(number)],
            ..Policy::default()
        };
        // A concatenation of encoded messages decodes as their merger. Encoding the entries in order keeps the bytes
        // stable, and their hash is the resource's version.
        value.extend(guard((format!("address_set_{number}"), policy)).encode_to_vec());
    }
    let config = TypedExtensionConfig {
        name: names::ADDRESS_GUARD.to_owned(),
        typed_config: Some(Any { type_url: Rbac::type_url(), value }),
    };
    Resource::new(names::ADDRESS_GUARD, &config)
}

fn guard(policy: (String, Policy)) -> Rbac {
    Rbac { rules: Some(rules(rbac::Action::Allow, [policy])), ..Rbac::default() }
}

fn rules<const N: usize>(action: rbac::Action, policies: [(String, Policy); N]) -> Rules {
    Rules { action: action as i32, policies: policies.into(), ..Rules::default() }
}

/// Matches requests whose rule has the address set of this number.
fn address_set(number: usize) -> Principal {
    let exact = StringMatcher {
        match_pattern: Some(MatchPattern::Exact(number.to_string())),
        ..StringMatcher::default()
    };
    let matcher = FilterStateMatcher {
        key: weir_contract::filter_state::ADDRESS_SET.to_owned(),
        matcher: Some(Matcher::StringMatch(exact)),
    };
    Principal { identifier: Some(principal::Identifier::FilterState(matcher)) }
}

fn own_ports(node: &NodeSettings) -> Permission {
    let listeners = node.transparent.iter().chain([&node.listen]);
    let mut ports: Vec<_> = listeners.map(|address| i64::from(address.port())).collect();
    ports.sort_unstable();
    ports.dedup();
    let ranges = [OWN_PORTS].into_iter().chain(ports.into_iter().map(|port| port..port + 1));
    let rules = ranges.map(|range| {
        matcher(UpstreamIpPortMatcher {
            upstream_port_range: Some(Int64Range { start: range.start, end: range.end }),
            ..UpstreamIpPortMatcher::default()
        })
    });
    // The resolver has any free port, which is closed on its own address alone.
    let resolver = node.resolver.map(|resolver| {
        let port = i64::from(resolver.port());
        matcher(UpstreamIpPortMatcher {
            upstream_ip: Some(cidr(resolver.ip().into())),
            upstream_port_range: Some(Int64Range { start: port, end: port + 1 }),
        })
    });
    let rules = rules.chain(resolver);
    Permission { rule: Some(permission::Rule::OrRules(permission::Set { rules: rules.collect() })) }
}

fn any_of(networks: impl Iterator<Item = IpNet>) -> Permission {
    let rules = networks.map(address).collect();
    Permission { rule: Some(permission::Rule::OrRules(permission::Set { rules })) }
}

fn address(network: IpNet) -> Permission {
    matcher(UpstreamIpPortMatcher { upstream_ip: Some(cidr(network)), ..UpstreamIpPortMatcher::default() })
}

fn matcher(matcher: UpstreamIpPortMatcher) -> Permission {
    let extension = extension("envoy.rbac.matchers.upstream_ip_port", matcher);
    Permission { rule: Some(permission::Rule::Matcher(extension)) }
}

fn all_of(rules: Vec<Permission>) -> Permission {
    Permission { rule: Some(permission::Rule::AndRules(permission::Set { rules })) }
}

fn not(rule: Permission) -> Permission {
    Permission { rule: Some(permission::Rule::NotRule(Box::new(rule))) }
}
