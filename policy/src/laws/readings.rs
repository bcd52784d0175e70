//! Laws of paths that servers read in several ways.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::decisions::{policy, policy_in};
use super::reference;
use super::strategies::{any_mode, deny_rule, request, rules};
use crate::git::GitScope;
use crate::manual::attack::HONEST;
use crate::path::pattern::PatternKind;
use crate::path::readings::Readings;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::{Effect, Mode, Path, Policy, Reason, Request, Scheme, Tls};

/// An enforcing allow rule for every request to one host.
fn rule_for_a_host(id: &'static str) -> ResolvedRule<'static> {
    ResolvedRule {
        id: Cow::Borrowed(id),
        effect: Effect::Allow,
        hosts: Some(vec![ResolvedHost { name: Cow::Borrowed("a.example"), below: false }]),
        schemes: BTreeSet::from([Scheme::Https]),
        ports: ResolvedPorts::Default,
        methods: BTreeSet::new(),
        paths: BTreeSet::new(),
        git: GitScope::Any,
        mode: Mode::Enforce,
        addresses: Arc::default(),
        tls: Tls::Intercept,
        upstream: None,
    }
}

/// A request to the host of [`rule_for_a_host`].
fn request_for_the_host(path: &str) -> Request<'_> {
    Request { authority: b"a.example", server_name: Some(b"a.example"), path: path.as_bytes(), ..HONEST }
}

/// The path ends in a reading in which the git operation is hidden, and in one that the first rule denies.
#[test]
fn a_rule_in_report_mode_opens_no_reading_that_an_enforcing_rule_denies() {
    let root = BTreeSet::from([("/".to_owned(), PatternKind::default())]);
    let rules = [
        ResolvedRule { paths: root, ..rule_for_a_host("strict") },
        ResolvedRule { git: GitScope::Write, mode: Mode::Report, ..rule_for_a_host("tried") },
    ];
    let policy = policy(&rules);
    for (path, reason, rule) in [("/x/", Reason::PathNotAllowed, 0), ("/x%2f", Reason::AmbiguousPath, 1)] {
        let decision = policy.decide(&request_for_the_host(path));
        let decided = (decision.effect, decision.reason, decision.rule.map(|rule| rule.index()), false);
        assert_eq!(decided, (Effect::Deny, reason, Some(rule), false), "{path}");
        assert_eq!(decided, reference::decide(&rules, Mode::Enforce, &request_for_the_host(path)), "{path}");
        let (explained, _) = policy.explain(&request_for_the_host(path));
        assert_eq!((explained.effect, explained.reason), (Effect::Deny, reason), "{path}");
    }
}

/// The path has no canonical form, and a `+` that only some servers read as a space.
#[test]
fn a_deny_rule_that_matches_every_reading_of_a_path_denies_it_for_certain() {
    let everything =
        BTreeSet::from([("/".to_owned(), PatternKind { prefix: true, ..PatternKind::default() })]);
    let rules = [ResolvedRule { effect: Effect::Deny, paths: everything, ..rule_for_a_host("all") }];
    let request = request_for_the_host("/a%252fb/a+b");
    let decision = policy(&rules).decide(&request).reason;
    assert_eq!(decision, Reason::DeniedByRule);
    assert_eq!(reference::decide(&rules, Mode::Enforce, &request).1, decision);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_undecided_path_never_allows_more_than_each_reading_of_it(
        rules in rules(),
        request in request(),
        segments in vec(select(&["a", "b", "x%2f", "a%2fb", "%2F", "b%5c", "%2561", "%2562"][..]), 1..4),
    ) {
        let policy = policy(&rules);
        let path = format!("/{}", segments.join("/"));
        let decide = |path: &str| policy.decide(&Request { path: path.as_bytes(), ..request.as_request() }).effect;
        if path.contains('%') && decide(&path) == Effect::Allow {
            for (slash, backslash) in [("/", "/"), ("/", "_"), ("_", "_")] {
                let reading = path.replace("%2f", slash).replace("%2F", slash).replace("%5c", backslash);
                for percent in ["%", "_"] {
                    let reading = reading.replace("%25", percent);
                    prop_assert_eq!(decide(&reading), Effect::Allow, "{}", reading);
                }
            }
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_in_every_reading(
        rules in rules(),
        mode in any_mode(),
        request in request(),
        path in "/{1,3}([aAb]|repos/a/b/forks|git-receive-pack)?(/|//|%2f|%5c|;x|%3b|%3f|%252f|%23|[abAB]|%61|%2562|@){0,7}",
    ) {
        let mut rules = rules;
        // A rule that names parameters covers only those.
        rules.retain(|rule| !rule.paths.iter().any(|(text, _)| text.contains(';')));
        let policy = policy_in(mode, &rules);
        let decide = |path: &[u8]| policy.decide(&Request { path, ..request.as_request() });
        if decide(path.as_bytes()).reason != Reason::Allowed {
            return Ok(());
        }
        for reading in Readings::every(path.as_bytes()).list() {
            let sent: String = reading.iter().map(|byte| match byte {
                b'/' | b';' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
                other => format!("%{other:02x}"),
            }).collect();
            // Only a path without other readings is compared.
            let plain = Path::parse(sent.as_bytes()).is_ok_and(|path| Readings::several(Some(&path), sent.as_bytes()).is_none());
            if plain {
                prop_assert_eq!(decide(sent.as_bytes()).reason, Reason::Allowed, "{} is also {}", path, sent);
            }
        }
    }

    #[test]
    fn rego_is_asked_of_every_reading_of_a_path_that_is_decided(
        raw in "/[ab](/|//|;x|%3f|%61|%2f|/[ab]){0,5}", refused: prop::sample::Index,
    ) {
        let everywhere = crate::compile("unrestricted_domains: [a.example]").expect("a policy");
        let mut bytes = everywhere.as_bytes().to_vec();
        // The header's byte for a Rego policy whose decision must also be allow.
        bytes[157] = 1;
        let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[24..], 4);
        bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
        let policy = Policy::from_bytes(bytes).expect("a policy");
        let request = Request { path: raw.as_bytes(), authority: b"a.example", server_name: Some(b"a.example"), ..HONEST };
        let mut asked = Vec::new();
        let decision = policy.decide_with_rego(&request, |canonical| {
            asked.push(canonical.path.map(|path| path.as_bytes().to_vec()));
            Ok(())
        });
        prop_assert_eq!(decision.reason, Reason::Allowed);
        let every = Readings::every(raw.as_bytes());
        let refused = refused.get(every.list());
        let decision = policy.decide_with_rego(&request, |canonical| match canonical.path {
            Some(path) if path.as_bytes() == refused => Err(Reason::DeniedByRego),
            Some(_) => Ok(()),
            None => Err(Reason::AmbiguousPath),
        });
        prop_assert_eq!(decision.effect, Effect::Deny, "{:?} was asked of {:?}", raw, asked);
    }

    #[test]
    fn parameters_go_around_no_deny_rule(
        rules in rules(),
        added in deny_rule(),
        request in request(),
        segments in vec((select(&["a", "b", "", ".", ".."][..]), select(&["", ";", ";x", "%3bx", "/;x", "/%3B"][..])), 1..5),
    ) {
        let policy = policy(&[rules, vec![added]].concat());
        let decide = |path: &str| {
            let decision = policy.decide(&Request { path: path.as_bytes(), ..request.as_request() });
            (decision.effect, decision.reason)
        };
        let plain: String = segments.iter().map(|(segment, _)| format!("/{segment}")).collect();
        let decorated: String =
            segments.iter().map(|(segment, parameters)| format!("/{segment}{parameters}")).collect();
        let (effect, reason) = decide(&plain);
        // A final segment that consists of parameters becomes a trailing slash without them, which is another path.
        let same_end = !segments.last().is_some_and(|(segment, last)| last.starts_with('/') && !segment.is_empty());
        if effect == Effect::Deny && reason == Reason::DeniedByRule && same_end {
            prop_assert_eq!(decide(&decorated).0, Effect::Deny, "{} {}", plain, decorated);
        }
    }

    #[test]
    fn parameters_make_no_allow_rule_wider(rules in rules(), request in request()) {
        let mut rules = rules;
        rules.retain(|rule| rule.effect == Effect::Allow && !rule.paths.iter().any(|(text, kind)| kind.prefix || kind.parameters || text.contains(';')));
        let policy = policy(&rules);
        let decision = policy.decide(&Request { path: b"/a;x", ..request.as_request() });
        if decision.reason == Reason::Allowed {
            let rule = decision.rule.map(|rule| rule.index()).and_then(|index| rules.get(index));
            prop_assert!(rule.is_some_and(|rule| rule.paths.is_empty()));
        }
    }
}
