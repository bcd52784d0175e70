//! The selection of a name's addresses that Envoy gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use weir_policy::{Effect, Host, Mode, Policy};

use crate::address::own::OwnAddresses;

/// The placeholder that Envoy gets when no rule admits an address. The guard refuses it, so that the client reads why,
/// and no server has it (RFC 7600, section 4.8: the IPv4 dummy address; RFC 6666: the discard prefix).
const NOWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1))];

/// The addresses that a name's allow rules admit in addition to public addresses that are not the machine's own, rule
/// by rule.
pub(crate) struct Admitted {
    rules: Vec<Vec<IpNet>>,
}

impl Admitted {
    /// Returns `None` for a name to which the policy allows no request.
    pub(crate) fn new(policy: &Policy, host: &Host) -> Option<Self> {
        let sends = |rule: &weir_policy::Rule<'_>| rule.effect() == Effect::Allow;
        let mut rules: Vec<_> = policy.rules_for(host).into_iter().filter(sends).collect();
        if policy.upstreams().any(|upstream| upstream.host() == Some(host.as_str())) {
            let goes = |rule: &weir_policy::Rule<'_>| {
                rule.upstream().and_then(|upstream| upstream.host()) == Some(host.as_str())
            };
            rules.extend(policy.rules().filter(goes));
        }
        if rules.is_empty() && policy.mode() == Mode::Enforce {
            return None;
        }
        let sets: Vec<Vec<IpNet>> = policy.address_sets().map(|set| set.nets().collect()).collect();
        let listed = |rule: weir_policy::Rule<'_>| {
            rule.address_set().and_then(|set| sets.get(usize::from(set))).cloned().unwrap_or_default()
        };
        Some(Self { rules: rules.into_iter().map(listed).collect() })
    }

    /// Selects the addresses of both families that Envoy gets. Envoy may connect to any of them, whichever rule
    /// decides. So each must be admitted by every rule. Either all are listed in `addresses` or all are public, because
    /// the guard judges the two differently. If none is left, Envoy gets one address that some rule admits: the guard
    /// judges it, because it is the first. If no rule admits any, Envoy gets a placeholder address that every guard
    /// refuses.
    pub(crate) fn filter(&self, addresses: &[IpAddr], own: &OwnAddresses) -> Vec<IpAddr> {
        let lists =
            |rule: &Vec<IpNet>, address: &IpAddr| rule.iter().any(|network| network.contains(address));
        let by_all =
            |address: &IpAddr| !self.rules.is_empty() && self.rules.iter().all(|rule| lists(rule, address));
        let (public, inner): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.iter().copied().partition(|address| own.is_public(*address));
        let listed: Vec<IpAddr> = inner.iter().copied().filter(by_all).collect();
        if !listed.is_empty() {
            return listed;
        }
        if !public.is_empty() || addresses.is_empty() {
            return public;
        }
        let by_some = |address: &&IpAddr| self.rules.iter().any(|rule| lists(rule, address));
        match inner.iter().find(by_some) {
            Some(address) => vec![*address],
            None => NOWHERE.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
allowed_domains: [public.example]
rules:
  - {id: own, effect: allow, hosts: [own.example], addresses: [10.1.0.0/16, 'fd00::/8']}
  - {id: other, effect: allow, hosts: [other.example], addresses: [127.0.0.1]}
  - {id: self, effect: allow, hosts: [self.example], addresses: [9.9.9.9]}
  - {id: wide, effect: allow, hosts: [two.example], paths: [/a], addresses: [10.1.0.0/16, 10.2.0.1]}
  - {id: narrow, effect: allow, hosts: [two.example], paths: [/b], addresses: [10.2.0.1]}
  - {id: forbidden, effect: deny, hosts: [denied.example]}
  - {id: moved, effect: allow, hosts: [front.example], addresses: [10.3.0.1], upstream: {host: back.example}}
";

    fn policy(source: &str) -> Policy {
        weir_policy::compile(source).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// Filters addresses on a machine with the addresses 9.9.9.9 and 2620:fe::9.
    fn filtered(policy: &Policy, host: &str, addresses: &[&str]) -> Option<Vec<String>> {
        let own = OwnAddresses::new(["9.9.9.9/32", "2620:fe::9/128"].map(|own| own.parse().unwrap()));
        let host = Host::parse(host.as_bytes()).unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let given = Admitted::new(policy, &host)?.filter(&addresses, &own);
        Some(given.iter().map(ToString::to_string).collect())
    }

    fn is(host: &str, addresses: &[&str], given: &[&str]) {
        let given = given.iter().map(ToString::to_string).collect();
        assert_eq!(filtered(&policy(POLICY), host, addresses), Some(given), "{host} {addresses:?}");
    }

    #[test]
    fn public_addresses_are_kept_and_all_others_are_not() {
        let inward = [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "fe80::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00::1",
            "192.0.0.8",
            "100::1",
        ];
        is("public.example", &["8.8.8.8", "2606:4700::1111"], &["8.8.8.8", "2606:4700::1111"]);
        for address in inward {
            is("public.example", &["8.8.8.8", address], &["8.8.8.8"]);
            is("public.example", &[address, "2606:4700::1111"], &["2606:4700::1111"]);
            is("public.example", &[address], &["192.0.0.8", "100::1"]);
        }
        is("public.example", &[], &[]);
    }

    #[test]
    fn the_machines_own_addresses_are_for_who_lists_them() {
        is("public.example", &["9.9.9.9"], &["192.0.0.8", "100::1"]);
        is("public.example", &["9.9.9.9", "9.9.9.10", "2620:fe::9"], &["9.9.9.10"]);
        is("self.example", &["9.9.9.9", "9.9.9.10"], &["9.9.9.9"]);
        is("other.example", &["9.9.9.9", "8.8.8.8"], &["8.8.8.8"]);
    }

    #[test]
    fn what_a_rule_lists_is_kept_for_its_own_names_alone() {
        is("own.example", &["10.1.2.3", "10.2.0.1", "fd00::1", "127.0.0.1"], &["10.1.2.3", "fd00::1"]);
        is("own.example", &["8.8.8.8", "10.1.2.3", "::ffff:10.1.2.3"], &["10.1.2.3"]);
        is("own.example", &["2606:4700::1111", "10.2.0.1"], &["2606:4700::1111"]);
        is("other.example", &["10.1.2.3", "127.0.0.1", "127.0.0.2"], &["127.0.0.1"]);
        is("public.example", &["8.8.8.8", "127.0.0.1", "10.1.2.3"], &["8.8.8.8"]);
    }

    #[test]
    fn of_two_rules_for_a_name_both_must_admit_an_address_or_it_comes_alone() {
        is("two.example", &["10.1.2.3", "10.2.0.1"], &["10.2.0.1"]);
        is("two.example", &["10.1.2.3", "8.8.8.8"], &["8.8.8.8"]);
        is("two.example", &["10.1.2.3", "10.1.2.4"], &["10.1.2.3"]);
        is("two.example", &["10.9.0.1"], &["192.0.0.8", "100::1"]);
    }

    #[test]
    fn the_host_of_an_upstream_is_judged_by_the_rule_that_goes_there() {
        is("back.example", &["10.3.0.1", "127.0.0.1"], &["10.3.0.1"]);
    }

    #[test]
    fn names_that_the_policy_sends_nothing_to_are_not_resolved() {
        for host in ["unlisted.example", "denied.example", "www.public.example"] {
            assert_eq!(filtered(&policy(POLICY), host, &["8.8.8.8"]), None, "{host}");
        }
        let open = policy(&format!("mode: open\n{POLICY}"));
        let given = filtered(&open, "unlisted.example", &["8.8.8.8", "10.1.2.3", "127.0.0.1"]);
        assert_eq!(given, Some(vec!["8.8.8.8".to_owned()]));
        let given = filtered(&open, "unlisted.example", &["127.0.0.1"]);
        assert_eq!(given, Some(vec!["192.0.0.8".to_owned(), "100::1".to_owned()]));
    }
}
