//! Hosts whose connections one rule passes through, while another judges the requests inside.

use std::collections::{HashMap, HashSet};

use super::shadow::{above, pattern};
use crate::decision::Effect;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::writer::{Draft, DraftHost};

/// A host that two rules claim in two ways; positions among the drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap<'d> {
    pub(crate) passes: usize,
    pub(crate) opens: usize,
    pub(crate) host: &'d DraftHost<'d>,
}

/// Finds the hosts, one of each two rules, whose requests would never be seen: what passes through a host passes through
/// what is below it too. A narrower pattern that passes through is cut out of a wider one that opens, and that is meant.
pub(crate) fn find<'d>(drafts: &'d [Draft<'d>]) -> Vec<Overlap<'d>> {
    let mut passing = HashMap::new();
    for (index, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.tls == Tls::Passthrough) {
        for host in draft.hosts.iter().flatten() {
            passing.entry(pattern(host)).or_insert(index);
        }
    }
    let mut overlaps: Vec<Overlap<'d>> = Vec::new();
    let mut found = HashSet::new();
    if passing.is_empty() {
        return overlaps;
    }
    let opening = drafts.iter().enumerate().filter(|(_, draft)| {
        draft.effect == Effect::Allow && draft.tls == Tls::Intercept && draft.schemes.contains(&Scheme::Https)
    });
    for (opens, draft) in opening {
        for host in draft.hosts.iter().flatten() {
            let Some(passes) = above(host).find_map(|pattern| passing.get(&pattern).copied()) else {
                continue;
            };
            if found.insert((passes, opens)) {
                overlaps.push(Overlap { passes, opens, host });
            }
        }
    }
    overlaps
}

#[cfg(test)]
mod tests {
    fn faults(rules: &str) -> Vec<String> {
        let faults = crate::compile(rules).err().into_iter().flat_map(|faults| faults.list);
        faults.map(|fault| format!("{}: {}", fault.at, fault.message)).collect()
    }

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
