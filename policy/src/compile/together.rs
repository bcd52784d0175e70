//! Rules that can never decide because several others, each of a part, decide all that they are about.
//!
//! A rule is cut into its atoms: one host, scheme, port, method and path each. Where one other rule covers each atom and
//! comes first, the rule never decides. Sound, and complete but for what is listed here: rules whose patterns only meet
//! within an atom (`/a/*` is not found covered by all that may stand below it), and rules of more than [`ATOMS`] atoms.

use std::collections::{BTreeSet, HashMap};

use super::shadow::{self, Pattern, Shadow, above, pattern};
use crate::wire::writer::{Draft, DraftHost, DraftPorts};

/// Atoms of a rule that is looked at, so that a rule of many hosts costs nothing.
const ATOMS: usize = 1024;
/// Comparisons for one document; what is left then is not looked at.
const COMPARISONS: usize = 4_000_000;

/// Finds, of these rules, those that others cover together.
pub(super) fn find(drafts: &[Draft<'_>], rules: impl Iterator<Item = usize>) -> Vec<Shadow> {
    let rules: Vec<(usize, &Draft<'_>)> = rules
        .filter_map(|rule| Some((rule, drafts.get(rule)?)))
        .filter(|(_, draft)| (2..=ATOMS).contains(&atoms(draft)))
        .collect();
    let named = Named::new(drafts, rules.iter().map(|(_, draft)| *draft));
    let mut comparisons = 0usize;
    let covered = rules.iter().filter_map(|(rule, draft)| {
        let (mut by, mut atoms) = (BTreeSet::new(), Vec::new());
        for host in hosts(draft) {
            let candidates: Vec<(usize, &Draft<'_>)> = named
                .rules(host)
                .filter(|other| other != rule)
                .filter_map(|other| Some((other, drafts.get(other)?)))
                .filter(|(other, one)| shadow::precedes(one, draft, other < rule))
                .collect();
            if candidates.is_empty() {
                return None;
            }
            if atoms.is_empty() {
                atoms = cut(draft);
            }
            for atom in &atoms {
                comparisons = comparisons.saturating_add(candidates.len());
                if comparisons > COMPARISONS {
                    return None;
                }
                let (first, _) = candidates.iter().find(|(_, one)| shadow::covers(one, atom))?;
                by.insert(*first);
            }
        }
        Some(Shadow { rule: *rule, by: by.into_iter().collect() })
    });
    covered.collect()
}

/// Which rules speak about everything that a pattern is about.
struct Named<'d> {
    by_pattern: HashMap<Pattern<'d>, Vec<usize>>,
    everywhere: Vec<usize>,
}

impl<'d> Named<'d> {
    /// Of all rules, but only for the hosts of those that will be asked about.
    fn new(drafts: &'d [Draft<'d>], asked: impl Iterator<Item = &'d Draft<'d>>) -> Named<'d> {
        let mut by_pattern: HashMap<Pattern<'_>, Vec<usize>> =
            asked.flat_map(hosts).flatten().flat_map(above).map(|pattern| (pattern, Vec::new())).collect();
        let mut everywhere = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let Some(hosts) = &draft.hosts else {
                everywhere.push(index);
                continue;
            };
            for host in hosts {
                if let Some(rules) = by_pattern.get_mut(&pattern(host)) {
                    rules.push(index);
                }
            }
        }
        Named { by_pattern, everywhere }
    }

    /// In no order, and some twice; for none, of every host, those that are about every host.
    fn rules(&self, host: Option<&'d DraftHost<'d>>) -> impl Iterator<Item = usize> {
        let named = host.into_iter().flat_map(above).filter_map(|pattern| self.by_pattern.get(&pattern));
        let mut rules: Vec<usize> = named.flatten().chain(&self.everywhere).copied().collect();
        rules.sort_unstable();
        rules.dedup();
        rules.into_iter()
    }
}

/// The hosts of a rule, or one none for a rule about every host.
fn hosts<'d>(draft: &'d Draft<'d>) -> impl Iterator<Item = Option<&'d DraftHost<'d>>> {
    let every = draft.hosts.is_none().then_some(None);
    draft.hosts.iter().flatten().map(Some).chain(every)
}

fn atoms(draft: &Draft<'_>) -> usize {
    let ports = match &draft.ports {
        DraftPorts::Listed(ports) => ports.len(),
        DraftPorts::Default | DraftPorts::Any => 1,
    };
    [draft.hosts.as_ref().map_or(1, Vec::len), ports, draft.methods.len().max(1), draft.paths.len().max(1)]
        .into_iter()
        .fold(draft.schemes.len(), usize::saturating_mul)
}

/// The rule's atoms, their hosts aside.
fn cut<'d>(draft: &'d Draft<'d>) -> Vec<Draft<'d>> {
    let ports: Vec<DraftPorts> = match &draft.ports {
        DraftPorts::Listed(ports) => ports.iter().map(|port| DraftPorts::Listed([*port].into())).collect(),
        DraftPorts::Default => vec![DraftPorts::Default],
        DraftPorts::Any => vec![DraftPorts::Any],
    };
    let methods = each(&draft.methods);
    let paths = each(&draft.paths);
    let whole = Draft { hosts: None, methods: BTreeSet::new(), paths: BTreeSet::new(), ..draft.clone() };
    let mut cut = Vec::new();
    for scheme in &draft.schemes {
        for port in &ports {
            for method in &methods {
                for path in &paths {
                    cut.push(Draft {
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

/// A set of one for each, and the empty set, which is any, for none.
fn each<T: Ord + Clone>(set: &BTreeSet<T>) -> Vec<BTreeSet<T>> {
    if set.is_empty() {
        return vec![BTreeSet::new()];
    }
    set.iter().map(|one| BTreeSet::from([one.clone()])).collect()
}
