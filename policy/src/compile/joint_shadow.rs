//! Finds rules that can never decide because several other rules together cover them, each a part.
//!
//! A rule is cut into atoms: one host, scheme, port, method and path each. If an earlier rule covers each atom, the rule
//! never decides. The search is sound, and complete with two exceptions. It misses path patterns that overlap only within
//! an atom: it does not find `/a/*` covered by rules for everything below `/a/`. And it skips rules of more than
//! [`ATOMS`] atoms.

use std::collections::BTreeSet;

use super::coverage::{Shadow, covering_keys, covers, host_key, hosts, precedes};
use super::index::{Index, Work};
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};

/// The largest number of atoms of an examined rule, so that a rule of many hosts costs nothing.
const ATOMS: usize = 1024;

/// Finds the rules among `positions` that other rules together cover.
pub(super) fn find(
    rules: &[ResolvedRule<'_>],
    positions: impl Iterator<Item = usize>,
    index: &Index<'_>,
    work: &mut Work,
) -> Vec<Shadow> {
    let examined = positions.filter_map(|position| Some((position, rules.get(position)?)));
    let examined = examined.filter(|(_, rule)| (2..=ATOMS).contains(&count_atoms(rule)));
    let mut covered = |position: usize, rule: &ResolvedRule<'_>| {
        let (mut by, mut atoms) = (BTreeSet::new(), None);
        for host in hosts(rule) {
            for atom in atoms.get_or_insert_with(|| cut(rule)).iter() {
                let first = index.first(core::iter::once(host), atom, work, |other, work| {
                    let one = rules.get(other).filter(|_| other != position);
                    one.is_some_and(|one| {
                        precedes(one, rule, other < position)
                            && work.take(one.paths.len())
                            && covers(one, atom)
                            && covers_host(one, host, work)
                    })
                });
                by.insert(first?);
            }
        }
        Some(Shadow { rule: position, by: by.into_iter().collect() })
    };
    examined.filter_map(|(position, rule)| covered(position, rule)).collect()
}

/// Returns whether a rule covers a host pattern. `None` means every host.
fn covers_host(rule: &ResolvedRule<'_>, host: Option<&ResolvedHost<'_>>, work: &mut Work) -> bool {
    match (&rule.hosts, host) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(hosts), Some(host)) => {
            work.take(hosts.len())
                && covering_keys(host).any(|wide| hosts.iter().any(|host| host_key(host) == wide))
        }
    }
}

fn count_atoms(rule: &ResolvedRule<'_>) -> usize {
    let ports = match &rule.ports {
        ResolvedPorts::Listed(ports) => ports.len(),
        ResolvedPorts::Default | ResolvedPorts::Any => 1,
    };
    [rule.hosts.as_ref().map_or(1, Vec::len), ports, rule.methods.len().max(1), rule.paths.len().max(1)]
        .into_iter()
        .fold(rule.schemes.len(), usize::saturating_mul)
}

/// Cuts a rule into its atoms, apart from their hosts.
fn cut<'r>(rule: &'r ResolvedRule<'r>) -> Vec<ResolvedRule<'r>> {
    let ports: Vec<ResolvedPorts> = match &rule.ports {
        ResolvedPorts::Listed(ports) => {
            ports.iter().map(|port| ResolvedPorts::Listed([*port].into())).collect()
        }
        ResolvedPorts::Default => vec![ResolvedPorts::Default],
        ResolvedPorts::Any => vec![ResolvedPorts::Any],
    };
    let methods = singletons(&rule.methods);
    let paths = singletons(&rule.paths);
    let whole =
        ResolvedRule { hosts: None, methods: BTreeSet::new(), paths: BTreeSet::new(), ..rule.clone() };
    let mut cut = Vec::new();
    for scheme in &rule.schemes {
        for port in &ports {
            for method in &methods {
                for path in &paths {
                    cut.push(ResolvedRule {
                        schemes: [*scheme].into(),
                        ports: port.clone(),
                        methods: method.clone(),
                        paths: path.clone(),
                        ..whole.clone()
                    });
                }
            }
        }
    }
    cut
}

/// Returns a set for each element. The empty set means any value, so it gives one empty set.
fn singletons<T: Ord + Clone>(set: &BTreeSet<T>) -> Vec<BTreeSet<T>> {
    if set.is_empty() {
        return vec![BTreeSet::new()];
    }
    set.iter().map(|one| BTreeSet::from([one.clone()])).collect()
}
