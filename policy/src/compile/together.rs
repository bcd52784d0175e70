//! Rules that can never decide because several others, each of a part, decide all that they are about.
//!
//! A rule is cut into its atoms: one host, scheme, port, method and path each. Where one other rule covers each atom and
//! comes first, the rule never decides. Sound, and complete but for what is listed here: rules whose patterns only meet
//! within an atom (`/a/*` is not found covered by all that may stand below it), and rules of more than [`ATOMS`] atoms.

use std::collections::BTreeSet;

use super::index::{Index, Work};
use super::shadow::{self, Shadow, above, hosts, pattern};
use crate::wire::writer::{Draft, DraftHost, DraftPorts};

/// Atoms of a rule that is looked at, so that a rule of many hosts costs nothing.
const ATOMS: usize = 1024;

/// Finds, of these rules, those that others cover together.
pub(super) fn find(
    drafts: &[Draft<'_>],
    rules: impl Iterator<Item = usize>,
    index: &Index<'_>,
    work: &mut Work,
) -> Vec<Shadow> {
    let rules = rules.filter_map(|rule| Some((rule, drafts.get(rule)?)));
    let rules = rules.filter(|(_, draft)| (2..=ATOMS).contains(&atoms(draft)));
    let mut covered = |rule: usize, draft: &Draft<'_>| {
        let (mut by, mut atoms) = (BTreeSet::new(), None);
        for host in hosts(draft) {
            for atom in atoms.get_or_insert_with(|| cut(draft)).iter() {
                let first = index.first(core::iter::once(host), atom, work, |other, work| {
                    let one = drafts.get(other).filter(|_| other != rule);
                    one.is_some_and(|one| {
                        shadow::precedes(one, draft, other < rule)
                            && work.take(one.paths.len())
                            && shadow::covers(one, atom)
                            && names(one, host, work)
                    })
                });
                by.insert(first?);
            }
        }
        Some(Shadow { rule, by: by.into_iter().collect() })
    };
    rules.filter_map(|(rule, draft)| covered(rule, draft)).collect()
}

/// Whether a rule is about everything that a pattern is about; none is every host.
fn names(rule: &Draft<'_>, host: Option<&DraftHost<'_>>, work: &mut Work) -> bool {
    match (&rule.hosts, host) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(hosts), Some(host)) => {
            work.take(hosts.len()) && above(host).any(|wide| hosts.iter().any(|host| pattern(host) == wide))
        }
    }
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
