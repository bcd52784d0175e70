//! Rules that can never decide, because others decide all that they are about: one of them, or several together
//! ([`together`]).
//!
//! Sound and not complete: a rule that is reported never decides.

use std::collections::{HashMap, HashSet};

use super::index::{Index, Work};
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
    find_within(drafts, first, &mut Work::default())
}

fn find_within(drafts: &[Draft<'_>], first: usize, work: &mut Work) -> Vec<Shadow> {
    let index = Index::new(drafts);
    let mut found = by_one(drafts, first, &index, work);
    let alone: HashSet<usize> = found.iter().map(|shadow| shadow.rule).collect();
    let others = (first..drafts.len()).filter(|rule| !alone.contains(rule));
    found.extend(together::find(drafts, others, &index, work));
    found.sort_by_key(|shadow| shadow.rule);
    found
}

fn by_one(drafts: &[Draft<'_>], first: usize, index: &Index<'_>, work: &mut Work) -> Vec<Shadow> {
    let mut sets: HashMap<usize, HashSet<Pattern<'_>>> = HashMap::new();
    let mut shadow = |rule: usize, draft: &Draft<'_>| {
        let by = index.first(hosts(draft), draft, work, |by, work| {
            let Some(other) = drafts.get(by).filter(|_| by != rule) else { return false };
            if !precedes(other, draft, by < rule) || !work.take(other.paths.len()) || !covers(other, draft) {
                return false;
            }
            let named = || other.hosts.iter().flatten().map(pattern).collect();
            work.take(draft.hosts.as_ref().map_or(1, Vec::len))
                && covers_hosts(other, draft, sets.entry(by).or_insert_with(named))
        })?;
        Some(Shadow { rule, by: vec![by] })
    };
    drafts.iter().enumerate().skip(first).filter_map(|(rule, draft)| shadow(rule, draft)).collect()
}

/// The hosts of a rule, or one none for a rule about every host.
pub(super) fn hosts<'d>(draft: &'d Draft<'d>) -> impl Iterator<Item = Option<&'d DraftHost<'d>>> {
    let every = draft.hosts.is_none().then_some(None);
    draft.hosts.iter().flatten().map(Some).chain(every)
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
            // Most that is covered is covered by itself.
            other.paths.iter().all(|path| {
                one.paths.contains(path) || one.paths.iter().any(|wider| covers_path(wider, path))
            }),
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
    let segments = |(text, kind): &'_ (String, PatternKind)| {
        let count = text.split('/').count();
        if kind.prefix { count.saturating_sub(1) } else { count }
    };
    let (wide, narrow) = (segments(one), segments(other));
    let length = match (one.1.prefix, other.1.prefix) {
        (true, true) => narrow >= wide,
        (true, false) => narrow > wide,
        (false, false) => narrow == wide,
        (false, true) => false,
    };
    let (case, narrow_case) = (one.1.case, other.1.case);
    let covers = |(wide, narrow): (&str, &str)| {
        case.is_same(wide.as_bytes(), narrow.as_bytes()) || (wide.starts_with('{') && !narrow.is_empty())
    };
    // `{name}` names nothing: two of them are the same.
    length && case >= narrow_case && one.0.split('/').zip(other.0.split('/')).take(wide).all(covers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::draft;
    use crate::document::{PolicyDocument, yaml};
    use crate::fault::Collector;

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
            // One spelling more.
            "{id: a, effect: deny, hosts: [a.example], paths: [/x]}, {id: b, effect: deny, hosts: [a.example], paths: [/x], paths_ignore_case: true}",
            "{id: a, effect: allow, hosts: [a.example], paths: [/x], paths_ignore_case: true}, {id: b, effect: deny, hosts: [a.example], paths: [/x]}",
            // A deny rule that only reports leaves the rest to others.
            "{id: a, effect: deny, hosts: [a.example], mode: report}, {id: b, effect: allow, hosts: [a.example]}",
            "{id: a, effect: deny, mode: report}, {id: b, effect: deny, hosts: [a.example]}",
        ] {
            assert_eq!(faults(&format!("rules: [{rules}]")), [""; 0], "{rules}");
        }
    }

    #[test]
    fn case_is_ignored_as_far_as_the_wider_rule_ignores_it() {
        let found = faults(
            "rules:\n\
             - {id: a, effect: deny, hosts: [a.example], paths: [/keys/*], paths_ignore_case: true}\n\
             - {id: b, effect: deny, hosts: [a.example], paths: [/Keys/x]}\n\
             - {id: c, effect: allow, hosts: [a.example], paths: ['/\u{212a}eys/{x}', /KEYS/], paths_ignore_case: true}\n",
        );
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    /// The steps for `count` rules that one pattern makes.
    fn steps(count: usize, rule: &dyn Fn(usize) -> String) -> usize {
        let rules: Vec<String> =
            (0..count).map(|number| format!("- {{id: r{number}, {}}}\n", rule(number))).collect();
        let source = format!("rules:\n{}", rules.concat());
        let mut faults = Collector::default();
        let root = yaml::read(&source, &mut faults).expect("YAML");
        let rules = PolicyDocument::read(&root, &mut faults).rules;
        assert!(faults.is_empty());
        let drafts: Vec<Draft<'_>> =
            rules.into_iter().filter_map(|rule| draft(rule, Mode::Enforce)).collect();
        assert_eq!(drafts.len(), count);
        let mut work = Work::default();
        find_within(&drafts, 0, &mut work);
        work.steps
    }

    #[test]
    fn twice_the_rules_are_twice_the_work() {
        let families: [(&str, &dyn Fn(usize) -> String); 12] = [
            ("paths", &|n| format!("effect: deny, hosts: [a.example], paths: [/p/{n}]")),
            ("paths of every host", &|n| format!("effect: deny, paths: [/p/{n}]")),
            ("prefixes", &|n| format!("effect: deny, hosts: [a.example], paths: ['/p/{n}/*']")),
            ("ends", &|n| format!("effect: deny, hosts: [a.example], paths: ['/{{x}}/p/{n}']")),
            ("one path of two", &|n| format!("effect: deny, hosts: [a.example], paths: [/p, /p/{n}]")),
            ("ports", &|n| format!("effect: deny, hosts: [a.example], ports: [443, {}]", 1000 + n)),
            ("hosts", &|n| format!("effect: deny, hosts: [a.example, h{n}.example], paths: [/p]")),
            ("hosts below", &|n| format!("effect: allow, hosts: ['*.a.example', h{n}.example]")),
            ("allowed paths", &|n| format!("effect: allow, hosts: [a.example], paths: [/p/{n}]")),
            ("in any case", &|n| {
                format!("effect: deny, hosts: [a.example], paths: [/p/{n}], paths_ignore_case: true")
            }),
            ("the same", &|_| "effect: deny, hosts: [a.example], paths: [/p]".to_owned()),
            ("passed through", &|n| {
                format!("effect: allow, hosts: [a.example, h{n}.example], tls: passthrough")
            }),
        ];
        for (name, rule) in families {
            let (once, twice) = (steps(300, rule), steps(600, rule));
            assert!(twice <= once * 9 / 4, "{name}: {once} steps for 300 rules, {twice} for 600");
        }
    }
}
