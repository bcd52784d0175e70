//! Rules that can never decide, because others decide all that they are about: one of them, or several together
//! ([`together`]).
//!
//! Sound and not complete: a rule that is reported never decides.

use std::collections::{HashMap, HashSet};

use super::together;
use crate::decision::Effect;
use crate::git::GitScope;
use crate::host::Host;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::writer::{Draft, DraftHost, DraftPorts};

/// A rule that never decides, and those that do in its place; positions among the drafts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    pub(crate) rule: usize,
    /// One at least, in the order of the document.
    pub(crate) by: Vec<usize>,
}

/// A host pattern, to look up by.
pub(super) type Pattern<'d> = (&'d str, bool);

/// Finds, of the rules from `first` on, those that others cover; in the order of the document.
pub(crate) fn find(drafts: &[Draft<'_>], first: usize) -> Vec<Shadow> {
    let mut found = by_one(drafts, first);
    let alone: HashSet<usize> = found.iter().map(|shadow| shadow.rule).collect();
    found.extend(together::find(drafts, (first..drafts.len()).filter(|rule| !alone.contains(rule))));
    found.sort_by_key(|shadow| shadow.rule);
    found
}

/// Each rule is held against those only that name its first host in some way, so that many rules cost little.
fn by_one(drafts: &[Draft<'_>], first: usize) -> Vec<Shadow> {
    let mut wanted: HashMap<Pattern<'_>, Vec<usize>> = HashMap::new();
    for draft in drafts.iter().skip(first) {
        if let Some(host) = first_host(draft) {
            for pattern in above(host) {
                wanted.entry(pattern).or_default();
            }
        }
    }
    let mut everywhere = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        match &draft.hosts {
            None => everywhere.push(index),
            Some(hosts) => {
                for host in hosts {
                    if let Some(rules) = wanted.get_mut(&pattern(host)) {
                        rules.push(index);
                    }
                }
            }
        }
    }
    let mut sets: HashMap<usize, HashSet<Pattern<'_>>> = HashMap::new();
    let mut shadow = |rule: usize, draft: &Draft<'_>| {
        let named = first_host(draft).into_iter().flat_map(above).filter_map(|pattern| wanted.get(&pattern));
        let mut candidates: Vec<usize> = named.flatten().chain(&everywhere).copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let by = candidates.into_iter().find(|by| {
            let Some(other) = drafts.get(*by).filter(|_| *by != rule) else { return false };
            if !precedes(other, draft, *by < rule) || !covers(other, draft) {
                return false;
            }
            let hosts = || other.hosts.iter().flatten().map(pattern).collect();
            covers_hosts(other, draft, sets.entry(*by).or_insert_with(hosts))
        })?;
        Some(Shadow { rule, by: vec![by] })
    };
    drafts.iter().enumerate().skip(first).filter_map(|(rule, draft)| shadow(rule, draft)).collect()
}

/// Whether the first rule decides where both match.
pub(super) fn precedes(one: &Draft<'_>, other: &Draft<'_>, comes_first: bool) -> bool {
    match (one.effect, other.effect) {
        (Effect::Allow, Effect::Allow) if one.tls != other.tls => false,
        (Effect::Deny, Effect::Allow) => one.mode == Mode::Enforce,
        (Effect::Deny, Effect::Deny) => comes_first && (one.mode == Mode::Enforce || one.mode == other.mode),
        (Effect::Allow, Effect::Allow) => comes_first,
        (Effect::Allow, Effect::Deny) => false,
    }
}

pub(super) fn pattern<'d>(host: &'d DraftHost<'_>) -> Pattern<'d> {
    (&host.name, host.below)
}

fn first_host<'d>(draft: &'d Draft<'_>) -> Option<&'d DraftHost<'d>> {
    draft.hosts.as_ref().and_then(|hosts| hosts.first())
}

/// Every pattern that covers the host's: itself, and everything below a name above it.
pub(super) fn above<'d>(host: &'d DraftHost<'d>) -> impl Iterator<Item = Pattern<'d>> {
    let mut rest: &str = &host.name;
    let address = Host::parse(rest.as_bytes()).is_ok_and(|host| host.is_address());
    let parents = core::iter::from_fn(move || {
        rest = rest.split_once('.')?.1;
        Some((rest, true))
    });
    core::iter::once(pattern(host)).chain(parents.take(if address { 0 } else { usize::MAX }))
}

/// Whether one rule names every host that the other does; `hosts` are the one's.
fn covers_hosts(one: &Draft<'_>, other: &Draft<'_>, hosts: &HashSet<Pattern<'_>>) -> bool {
    match (&one.hosts, &other.hosts) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(wanted)) => {
            wanted.iter().all(|host| above(host).any(|pattern| hosts.contains(&pattern)))
        }
    }
}

/// Whether one rule is about every request that the other is about, hosts aside.
pub(super) fn covers(one: &Draft<'_>, other: &Draft<'_>) -> bool {
    // Of a connection that is passed through, a deny rule never learns more.
    let unseen = one.effect == Effect::Deny && other.tls == Tls::Passthrough;
    (unseen || covers_requests(one, other))
        && other
            .schemes
            .iter()
            .all(|scheme| one.schemes.contains(scheme) && covers_ports(one, other, *scheme))
}

/// Whether one rule is about every method, path and use of git that the other is about.
fn covers_requests(one: &Draft<'_>, other: &Draft<'_>) -> bool {
    let subset = |all: bool, none: bool, within: bool| all || (!none && within);
    subset(one.methods.is_empty(), other.methods.is_empty(), other.methods.is_subset(&one.methods))
        && (one.git == GitScope::Any || one.git == other.git)
        && subset(
            one.paths.is_empty(),
            other.paths.is_empty(),
            other.paths.iter().all(|path| one.paths.iter().any(|wider| covers_path(wider, path))),
        )
}

fn covers_ports(one: &Draft<'_>, other: &Draft<'_>, scheme: Scheme) -> bool {
    let has = |port: u16| match &one.ports {
        DraftPorts::Any => true,
        DraftPorts::Default => port == scheme.default_port(),
        DraftPorts::Listed(ports) => ports.contains(&port),
    };
    match &other.ports {
        DraftPorts::Any => one.ports == DraftPorts::Any,
        DraftPorts::Default => has(scheme.default_port()),
        DraftPorts::Listed(ports) => ports.iter().all(|port| has(*port)),
    }
}

fn covers_path(one: &(String, PatternKind), other: &(String, PatternKind)) -> bool {
    let segments = |(text, kind): &(String, PatternKind)| {
        let mut segments: Vec<String> = text.split('/').map(str::to_owned).collect();
        if kind.prefix {
            segments.pop();
        }
        segments
    };
    let (wide, narrow) = (segments(one), segments(other));
    let length = match (one.1.prefix, other.1.prefix) {
        (true, true) => narrow.len() >= wide.len(),
        (true, false) => narrow.len() > wide.len(),
        (false, false) => narrow.len() == wide.len(),
        (false, true) => false,
    };
    let covers = |wide: &str, narrow: &str| wide == narrow || (wide.starts_with('{') && !narrow.is_empty());
    // `{name}` names nothing: two of them are the same.
    length && wide.iter().zip(&narrow).all(|(wide, narrow)| covers(wide, narrow))
}

#[cfg(test)]
mod tests {
    /// Each fault as `at: message`.
    fn faults(rules: &str) -> Vec<String> {
        let faults = crate::compile(rules).err().into_iter().flat_map(|faults| faults.list);
        faults.map(|fault| format!("{}: {}", fault.at, fault.message)).collect()
    }

    #[test]
    fn a_rule_that_can_never_decide_is_a_fault_with_both_places() {
        let found = faults(
            "allowed_domains: [read.example]\n\
             rules:\n\
             - {id: api, effect: allow, hosts: ['*.example'], paths: ['/v1/{x}/*'], ports: [443, 8443]}\n\
             - {id: one, effect: allow, hosts: [a.example, '*.b.example'], paths: [/v1/y/z], methods: [GET]}\n\
             - {id: two, effect: allow, hosts: [read.example], schemes: [http], methods: [GET]}\n\
             - {id: three, effect: allow, hosts: [bad.test]}\n\
             - {id: four, effect: deny, hosts: [bad.test, worse.test]}\n\
             - {id: five, effect: deny, hosts: [bad.test], methods: [PUT], mode: report}\n",
        );
        assert_eq!(
            found,
            [
                "rules[1].id: `one` can never decide: `api` (`rules[0]`, line 3) covers all of it and comes first",
                "rules[2].id: `two` can never decide: `allowed_domains` covers all of it and comes first",
                "rules[3].id: `three` can never allow: `four` (`rules[4]`, line 7) denies all of it",
                "rules[5].id: `five` can never decide: `four` (`rules[4]`, line 7) covers all of it and comes first",
            ]
        );
    }

    #[test]
    fn several_rules_cover_together_what_none_does_alone() {
        let found = faults(
            "rules:\n\
             - {id: a, effect: allow, hosts: [a.example], methods: [GET, HEAD]}\n\
             - {id: below, effect: allow, hosts: ['*.b.example'], ports: [443]}\n\
             - {id: no-put, effect: deny, methods: [PUT], paths: ['/x/*']}\n\
             - {id: one, effect: allow, hosts: [a.example, x.b.example], methods: [GET, HEAD]}\n\
             - {id: two, effect: allow, hosts: [a.example, c.example], methods: [PUT], paths: [/x/y, /x/z]}\n\
             - {id: three, effect: allow, hosts: [a.example], methods: [GET, PUT], paths: [/x/y]}\n",
        );
        assert_eq!(
            found,
            [
                "rules[3].id: `one` can never decide: `a` (`rules[0]`, line 2), `below` (`rules[1]`, line 3) cover all of it together and come first",
                "rules[4].id: `two` can never allow: `no-put` (`rules[2]`, line 4) denies all of it",
                "rules[5].id: `three` can never decide: `a` (`rules[0]`, line 2), `no-put` (`rules[2]`, line 4) cover all of it together and come first",
            ]
        );
    }

    #[test]
    fn a_rule_that_decides_something_is_none() {
        for rules in [
            // A part that none of several covers.
            "{id: a, effect: allow, hosts: [a.example], methods: [GET]}, {id: b, effect: allow, hosts: [b.example], methods: [PUT]}, {id: c, effect: allow, hosts: [a.example, b.example], methods: [GET, PUT]}",
            "{id: a, effect: allow, hosts: [a.example], methods: [GET]}, {id: b, effect: allow, hosts: [a.example], methods: [PUT]}, {id: c, effect: allow, hosts: [a.example]}",
            "{id: a, effect: allow, hosts: [a.example]}, {id: b, effect: deny, hosts: [b.example], mode: report}, {id: c, effect: allow, hosts: [a.example, b.example]}",
            // The wider one comes later.
            "{id: a, effect: allow, hosts: [a.example], paths: [/x]}, {id: b, effect: allow, hosts: [a.example]}",
            // One host, port, method, scheme or path more.
            "{id: a, effect: allow, hosts: [a.example]}, {id: b, effect: allow, hosts: [a.example, b.example]}",
            "{id: a, effect: allow, hosts: ['*.example']}, {id: b, effect: allow, hosts: [example]}",
            "{id: a, effect: allow, hosts: ['*.b.example']}, {id: b, effect: allow, hosts: ['*.example']}",
            "{id: a, effect: allow, hosts: [a.example]}, {id: b, effect: allow, hosts: [a.example], ports: [443, 1]}",
            "{id: a, effect: allow, hosts: [a.example], methods: [GET]}, {id: b, effect: allow, hosts: [a.example]}",
            "{id: a, effect: allow, hosts: [a.example]}, {id: b, effect: allow, hosts: [a.example], schemes: [http]}",
            "{id: a, effect: allow, hosts: [a.example], paths: [/x/*]}, {id: b, effect: allow, hosts: [a.example], paths: [/x]}",
            "{id: a, effect: allow, hosts: [a.example], paths: [/x/y]}, {id: b, effect: allow, hosts: [a.example], paths: ['/x/{y}']}",
            // A deny rule that only reports leaves the rest to others.
            "{id: a, effect: deny, hosts: [a.example], mode: report}, {id: b, effect: allow, hosts: [a.example]}",
            "{id: a, effect: deny, mode: report}, {id: b, effect: deny, hosts: [a.example]}",
        ] {
            assert_eq!(faults(&format!("rules: [{rules}]")), [""; 0], "{rules}");
        }
    }
}
