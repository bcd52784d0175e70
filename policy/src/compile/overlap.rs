//! Finds hosts whose connections one rule passes through, and whose requests another rule judges.

use std::collections::{HashMap, HashSet};

use super::coverage::{covering_keys, host_key};
use crate::effect::Effect;
use crate::resolved_rule::{ResolvedHost, ResolvedRule};
use crate::scheme::Scheme;
use crate::tls::Tls;

/// A host that one rule passes through and another intercepts. Rules are named by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap<'r> {
    pub(crate) passes: usize,
    pub(crate) intercepts: usize,
    pub(crate) host: &'r ResolvedHost<'r>,
}

/// Finds the overlapping hosts, one for each pair of rules. A passthrough pattern may not cover an intercepted one, whose
/// requests would then never be judged. The reverse is no fault: a narrower passthrough pattern is an exception from a
/// wider intercepted one.
pub(crate) fn find<'r>(rules: &'r [ResolvedRule<'r>]) -> Vec<Overlap<'r>> {
    let mut passing = HashMap::new();
    for (position, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.tls == Tls::Passthrough) {
        for host in rule.hosts.iter().flatten() {
            passing.entry(host_key(host)).or_insert(position);
        }
    }
    let mut overlaps: Vec<Overlap<'r>> = Vec::new();
    let mut found = HashSet::new();
    if passing.is_empty() {
        return overlaps;
    }
    let intercepting = rules.iter().enumerate().filter(|(_, rule)| {
        rule.effect == Effect::Allow && rule.tls == Tls::Intercept && rule.schemes.contains(&Scheme::Https)
    });
    for (intercepts, rule) in intercepting {
        for host in rule.hosts.iter().flatten() {
            let Some(passes) = covering_keys(host).find_map(|key| passing.get(&key).copied()) else {
                continue;
            };
            if found.insert((passes, intercepts)) {
                overlaps.push(Overlap { passes, intercepts, host });
            }
        }
    }
    overlaps
}

#[cfg(test)]
mod tests {
    use crate::compile::tests::faults;

    #[test]
    fn a_host_is_opened_or_passed_through_and_not_both() {
        let found = faults(
            "allowed_domains: [read.example, a.other.test]\n\
             rules:\n\
             - {id: api, effect: allow, hosts: [api.example, b.api.example], ports: [8443]}\n\
             - {id: pinned, effect: allow, hosts: ['*.example', '*.other.test'], tls: passthrough}\n",
        );
        assert_eq!(
            found,
            [
                "rules[1].id: `pinned` passes `read.example` through, and `allowed_domains` judges its requests",
                "rules[1].id: `pinned` passes `api.example` through, and `api` (`rules[0]`, line 3) judges its requests",
            ]
        );
    }

    #[test]
    fn a_narrower_host_is_cut_out_of_a_wider_one() {
        for rules in [
            "{id: wide, effect: allow, hosts: ['*.example']}, {id: pinned, effect: allow, hosts: [a.example, '*.b.example'], tls: passthrough}",
            "{id: plain, effect: allow, hosts: [a.example], schemes: [http]}, {id: pinned, effect: allow, hosts: [a.example], tls: passthrough}",
        ] {
            assert_eq!(faults(&format!("rules: [{rules}]")), [""; 0], "{rules}");
        }
    }
}
