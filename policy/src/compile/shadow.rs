//! Finds rules that can never decide, because one other rule covers them, or several together do ([`joint_shadow`]).

use std::collections::{HashMap, HashSet};

use super::coverage::{HostKey, Shadow, covers, covers_hosts, host_key, hosts, precedes};
use super::index::{Index, Work};
use super::joint_shadow;
use crate::resolved_rule::ResolvedRule;

/// Finds the covered rules from position `first` on, in the order of the document.
pub(crate) fn find(rules: &[ResolvedRule<'_>], first: usize) -> Vec<Shadow> {
    find_within(rules, first, &mut Work::default())
}

fn find_within(rules: &[ResolvedRule<'_>], first: usize, work: &mut Work) -> Vec<Shadow> {
    let index = Index::new(rules);
    let mut found = by_one(rules, first, &index, work);
    let covered: HashSet<usize> = found.iter().map(|shadow| shadow.rule).collect();
    let others = (first..rules.len()).filter(|position| !covered.contains(position));
    found.extend(joint_shadow::find(rules, others, &index, work));
    found.sort_by_key(|shadow| shadow.rule);
    found
}

fn by_one(rules: &[ResolvedRule<'_>], first: usize, index: &Index<'_>, work: &mut Work) -> Vec<Shadow> {
    let mut keys: HashMap<usize, HashSet<HostKey<'_>>> = HashMap::new();
    let mut shadow = |position: usize, rule: &ResolvedRule<'_>| {
        let by = index.first(hosts(rule), rule, work, |by, work| {
            let Some(other) = rules.get(by).filter(|_| by != position) else { return false };
            if !precedes(other, rule, by < position) || !work.take(other.paths.len()) || !covers(other, rule)
            {
                return false;
            }
            let listed = || other.hosts.iter().flatten().map(host_key).collect();
            work.take(rule.hosts.as_ref().map_or(1, Vec::len))
                && covers_hosts(other, rule, keys.entry(by).or_insert_with(listed))
        })?;
        Some(Shadow { rule: position, by: vec![by] })
    };
    rules.iter().enumerate().skip(first).filter_map(|(position, rule)| shadow(position, rule)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::resolve;
    use crate::compile::tests::faults;
    use crate::document::{PolicyDocument, yaml};
    use crate::fault::Collector;
    use crate::mode::Mode;

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
        let rules: Vec<ResolvedRule<'_>> =
            rules.into_iter().filter_map(|rule| resolve(rule, Mode::Enforce, None)).collect();
        assert_eq!(rules.len(), count);
        let mut work = Work::default();
        find_within(&rules, 0, &mut work);
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
