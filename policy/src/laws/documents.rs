//! Laws of documents.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::strategies::rules;
use crate::compile;
use crate::compile::{overlap, shadow};
use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::path::pattern::{Case, PatternKind};
use crate::resolved_rule::{ResolvedPorts, ResolvedRule, ResolvedUpstream};
use crate::wire::writer;
use crate::{Host, Scheme, Sessions, Tls};

/// Writes rules as a document.
fn print(rules: &[ResolvedRule<'_>]) -> String {
    let mut text = String::from("rules:\n");
    for rule in rules {
        let ResolvedRule {
            id,
            effect,
            hosts,
            schemes,
            ports,
            methods,
            paths,
            git: _,
            mode,
            addresses: _,
            tls,
            upstream,
        } = rule;
        let _ = writeln!(text, "- id: {id}\n  effect: {effect}\n  mode: {mode}");
        let mut list = |key: &str, items: Vec<String>| {
            let items: Vec<String> = items.into_iter().map(|item| format!("'{item}'")).collect();
            let _ = writeln!(text, "  {key}: [{}]", items.join(", "));
        };
        if let Some(hosts) = hosts {
            let star = |below: bool| if below { "*." } else { "" };
            list("hosts", hosts.iter().map(|host| format!("{}{}", star(host.below), host.name)).collect());
        }
        list("schemes", schemes.iter().map(ToString::to_string).collect());
        if !methods.is_empty() {
            list("methods", methods.iter().map(ToString::to_string).collect());
        }
        if !paths.is_empty() {
            let star = |prefix: bool| if prefix { "*" } else { "" };
            list("paths", paths.iter().map(|(path, kind)| format!("{path}{}", star(kind.prefix))).collect());
            let _ = writeln!(
                text,
                "  paths_ignore_case: {}",
                paths.iter().any(|(_, kind)| kind.case != Case::Exact)
            );
        }
        if let ResolvedPorts::Listed(ports) = ports {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "  ports: [{}]", ports.join(", "));
        }
        if *effect == Effect::Allow {
            let _ = writeln!(text, "  tls: {tls}");
        }
        if let Some(upstream) = upstream {
            print_upstream(&mut text, upstream);
        }
    }
    if rules.is_empty() { "rules: []".to_owned() } else { text }
}

fn print_upstream(text: &mut String, upstream: &ResolvedUpstream<'_>) {
    let ResolvedUpstream { host, port, sni, names, ca, client_certificate, client_key, sessions } = upstream;
    text.push_str("  upstream:\n");
    let texts = [
        ("host", host),
        ("sni", sni),
        ("ca", ca),
        ("client_certificate", client_certificate),
        ("client_key", client_key),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            let _ = writeln!(text, "    {key}: {value}");
        }
    }
    if let Some(port) = port {
        let _ = writeln!(text, "    port: {port}");
    }
    if !names.is_empty() {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(text, "    names: [{}]", names.join(", "));
    }
    if *sessions != Sessions::default() {
        let _ = writeln!(text, "    sessions: {sessions:?}", sessions = sessions.as_str());
    }
}

/// Reduces the case of a rule's paths to the values that the key can express: that of each effect, or exact.
fn with_one_case(rule: ResolvedRule<'static>) -> ResolvedRule<'static> {
    let ignored = if rule.effect == Effect::Deny { Case::Every } else { Case::Ascii };
    let case =
        if rule.paths.iter().any(|(_, kind)| kind.case != Case::Exact) { ignored } else { Case::Exact };
    let paths = rule.paths.into_iter().map(|(text, kind)| (text, PatternKind { case, ..kind })).collect();
    ResolvedRule { paths, ..rule }
}

/// Returns whether a document can express the rule. A deny rule without ports covers all ports, documents do not
/// contain `get`, and only data keys set git scopes.
fn can_be_written(rule: &ResolvedRule<'_>) -> bool {
    (rule.effect == Effect::Allow || rule.ports != ResolvedPorts::Default)
        && !rule.methods.contains("get")
        && rule.git == GitScope::Any
        && (rule.schemes.contains(&Scheme::Https)
            || rule.upstream.as_ref().is_none_or(|upstream| {
                let ResolvedUpstream { host, port, .. } = upstream.clone();
                *upstream == ResolvedUpstream { host, port, ..ResolvedUpstream::default() }
            }))
        && (rule.tls == Tls::Intercept || rule.hosts.iter().flatten().all(|host| !is_address(&host.name)))
}

fn is_address(name: &str) -> bool {
    Host::parse(name.as_bytes()).is_ok_and(|host| host.is_address())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_means_the_rules_that_it_says(rules in rules()) {
        let mut rules: Vec<ResolvedRule<'_>> = rules.into_iter().map(with_one_case).filter(can_be_written).collect();
        while let Some(overlap) = overlap::find(&rules).first().map(|overlap| overlap.passes) {
            rules.remove(overlap);
        }
        while let Some(shadow) = shadow::find(&rules, 0).first() {
            rules.remove(shadow.rule);
        }
        let policy = compile(&print(&rules)).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        prop_assert_eq!(policy.as_bytes(), &*writer::write(&rules, Mode::Enforce, false).expect("within limits"));
    }

    #[test]
    fn any_text_is_a_policy_or_has_faults_within_it(
        text in prop_oneof![
            any::<String>(),
            "([a-z]{1,3}|[\\[\\]{}:,#&*!|>'\"%@` \n\t-]|rules|hosts|allowed_domains: |- id: |\u{e9}){0,60}",
        ]
    ) {
        if let Err(faults) = compile(&text) {
            prop_assert!(!faults.list.is_empty());
            for fault in &faults.list {
                prop_assert!(text.get(fault.span.clone()).is_some(), "{:?}", fault);
                prop_assert!(fault.line >= 1 && fault.column >= 1 && fault.line <= text.lines().count().max(1) + 1, "{:?}", fault);
            }
        }
    }

    #[test]
    fn a_damaged_document_never_panics(rules in rules(), cut: prop::sample::Index, insert in any::<char>()) {
        let text = print(&rules);
        let characters: Vec<char> = text.chars().collect();
        let (before, after) = characters.split_at(cut.index(characters.len()));
        let damaged: String = before.iter().chain([&insert]).chain(after).collect();
        let _ = compile(&damaged);
        let _ = crate::cases::parse(&damaged);
    }
}
