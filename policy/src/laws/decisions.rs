//! Laws of decisions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proptest::collection::btree_set;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference;
use super::strategies::{any_mode, deny_rule, request, rules, wild_request};
use crate::compile::shadow;
use crate::resolved_rule::ResolvedRule;
use crate::wire::writer;
use crate::{Connection, Decision, Effect, Mode, Policy, Reason, Tls, Tunnel};

pub(super) fn policy(rules: &[ResolvedRule<'_>]) -> Policy {
    policy_in(Mode::Enforce, rules)
}

pub(super) fn policy_in(mode: Mode, rules: &[ResolvedRule<'_>]) -> Policy {
    Policy::from_bytes(writer::write(rules, mode, false).expect("within limits"))
        .expect("the written policy is valid")
}

/// Returns whether reason, effect and report flag are consistent.
fn is_sound(decision: &Decision<'_>) -> bool {
    let allows = matches!(decision.reason, Reason::Allowed | Reason::OpenMode);
    match decision.effect {
        Effect::Allow => allows != decision.would_deny && decision.authority.is_some(),
        Effect::Deny => {
            !allows && !decision.would_deny && decision.address_set.is_none() && decision.upstream.is_none()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_decision_equals_the_plain_one(rules in rules(), mode in any_mode(), request in request()) {
        let policy = policy_in(mode, &rules);
        let request = request.as_request();
        let decision = policy.decide(&request);
        let rule = decision.rule.map(|rule| rule.index());
        let plain = (decision.effect, decision.reason, rule, decision.would_deny);
        prop_assert_eq!(plain, reference::decide(&rules, mode, &request));
        prop_assert!(is_sound(&decision), "{:?}", decision);
    }

    #[test]
    fn the_compiled_decision_of_a_connection_equals_the_plain_one(
        rules in rules(), mode in any_mode(), request in request(), port in select(&[443u16, 8443][..]),
    ) {
        let policy = policy_in(mode, &rules);
        let connection = request.as_connection(port);
        let decision = policy.pass(&connection);
        let rule = decision.rule.map(|rule| rule.index());
        let plain = (decision.effect, decision.reason, rule, decision.would_deny);
        prop_assert_eq!(plain, reference::pass(&rules, &connection));
        prop_assert!(is_sound(&decision), "{:?}", decision);
        let (explained, _) = policy.explain_pass(&connection);
        prop_assert_eq!((explained.effect, explained.reason, explained.rule), (decision.effect, decision.reason, decision.rule));
    }

    #[test]
    fn a_request_is_never_allowed_by_what_passes_through_and_a_connection_by_nothing_else(
        rules in rules(), mode in any_mode(), request in request(), port in select(&[443u16, 8443][..]),
    ) {
        let policy = policy_in(mode, &rules);
        let only = |tls: Tls| {
            let kept = rules.iter().filter(|rule| rule.effect == Effect::Deny || rule.tls == tls);
            policy_in(Mode::Enforce, &kept.cloned().collect::<Vec<_>>())
        };
        let decision = policy.decide(&request.as_request());
        prop_assert!(decision.effect == Effect::Deny || decision.rule.is_none_or(|rule| rule.tls() == Tls::Intercept));
        prop_assert!(only(Tls::Passthrough).decide(&request.as_request()).effect == Effect::Deny);
        let connection = request.as_connection(port);
        prop_assert!(only(Tls::Intercept).pass(&connection).effect == Effect::Deny);
        if policy.pass(&connection).effect == Effect::Allow {
            let host = policy.pass(&connection).authority.map(|authority| authority.host);
            prop_assert!(host.is_some_and(|host| policy.passes_through(&host)));
            let authority = policy.pass(&connection).authority.map(|authority| authority.to_string()).unwrap_or_default();
            let tunnel = Tunnel { authority: authority.as_bytes(), judge_host: true };
            // A deny rule in report mode also applies to the tunnel, and only reports it.
            prop_assert_eq!(policy.admit(&tunnel).effect, Effect::Allow);
        }
    }

    #[test]
    fn what_is_allowed_goes_where_its_rule_says(rules in rules(), request in request()) {
        let policy = policy(&rules);
        let decision = policy.decide(&request.as_request());
        if decision.reason == Reason::Allowed {
            let rule = decision.rule.expect("the allowing rule");
            prop_assert_eq!(decision.upstream, rule.upstream_number());
            let resolved = rules[rule.index()].upstream.as_ref();
            prop_assert_eq!(rule.upstream().is_some(), resolved.is_some());
            if let (Some(upstream), Some(resolved)) = (rule.upstream(), resolved) {
                prop_assert_eq!(policy.upstreams().nth(usize::from(decision.upstream.expect("a number"))), Some(upstream));
                prop_assert_eq!(
                    (upstream.host(), upstream.port(), upstream.sni(), upstream.sessions()),
                    (resolved.host.as_deref(), resolved.port, resolved.sni.as_deref(), resolved.sessions)
                );
                prop_assert_eq!(
                    (upstream.ca(), upstream.client_certificate(), upstream.client_key()),
                    (resolved.ca.as_deref(), resolved.client_certificate.as_deref(), resolved.client_key.as_deref())
                );
                prop_assert!(upstream.names().eq(resolved.names.iter().map(AsRef::as_ref)));
            }
        }
    }

    #[test]
    fn adding_a_deny_rule_never_allows_more(rules in rules(), added in deny_rule(), place in 0usize..7, mode in any_mode(), request in request()) {
        let before = policy_in(mode, &rules);
        let mut with = rules.clone();
        with.insert(place.min(rules.len()), added);
        let after = policy_in(mode, &with);
        if before.decide(&request.as_request()).effect == Effect::Deny {
            prop_assert_eq!(after.decide(&request.as_request()).effect, Effect::Deny);
        }
        let connection = request.as_connection(443);
        if before.pass(&connection).effect == Effect::Deny {
            prop_assert_eq!(after.pass(&connection).effect, Effect::Deny);
        }
    }

    #[test]
    fn report_mode_reports_what_would_be_denied_and_nothing_else(rules in rules(), request in request()) {
        let all = |mode| rules.iter().map(|rule| ResolvedRule { mode, ..rule.clone() }).collect::<Vec<_>>();
        let enforcing = policy_in(Mode::Enforce, &all(Mode::Enforce));
        let reporting = policy_in(Mode::Report, &all(Mode::Report));
        let (enforced, reported) = (enforcing.decide(&request.as_request()), reporting.decide(&request.as_request()));
        // Every mode denies for this reason, so it precedes reported ones.
        if reported.reason != Reason::TlsNotAllowed {
            prop_assert_eq!(enforced.reason, reported.reason);
            prop_assert_eq!(enforced.rule.map(|rule| rule.index()), reported.rule.map(|rule| rule.index()));
        }
        if reported.effect == Effect::Allow {
            prop_assert_eq!(reported.would_deny, enforced.effect == Effect::Deny);
        }
    }

    #[test]
    fn a_rule_that_is_reported_as_shadowed_never_decides(
        mut rules in rules(),
        copy: prop::sample::Index,
        methods in btree_set(select(&["GET", "HEAD"][..]).prop_map(Cow::Borrowed), 1..3),
        request in request(),
    ) {
        // A narrower copy of a rule makes shadowed rules likely.
        if !rules.is_empty() {
            let copied = copy.get(&rules).clone();
            let methods = if copied.tls == Tls::Passthrough { BTreeSet::new() } else { methods };
            rules.push(ResolvedRule { id: Cow::Borrowed("copy"), methods, ..copied });
        }
        let policy = policy(&rules);
        for decision in [policy.decide(&request.as_request()), policy.pass(&request.as_connection(443))] {
            let decided = decision.reason == Reason::Allowed
                || decision.rule.is_some_and(|rule| rule.effect() == Effect::Deny);
            let rule = decision.rule.map(|rule| rule.index()).filter(|_| decided);
            for shadow in shadow::find(&rules, 0) {
                prop_assert!(rule != Some(shadow.rule), "{:?} {:?}", shadow, decision);
            }
        }
    }

    #[test]
    fn explaining_decides_the_same_and_lists_the_deciding_rule(rules in rules(), request in request()) {
        let policy = policy(&rules);
        let decision = policy.decide(&request.as_request());
        let (explained, trace) = policy.explain(&request.as_request());
        prop_assert_eq!(explained.reason, decision.reason);
        prop_assert_eq!(explained.rule, decision.rule);
        prop_assert!(trace.steps.is_sorted_by_key(|step| step.rule.index()));
        if let Some(rule) = decision.rule {
            prop_assert!(trace.steps.iter().any(|step| step.rule == rule));
        }
    }

    #[test]
    fn deciding_any_bytes_is_total(rules in rules(), request in wild_request()) {
        let policy = policy(&rules);
        let request = request.as_request();
        let _ = policy.explain(&request);
        let passed = policy.pass(&Connection { server_name: request.server_name, port: 443, tunnel: request.tunnel });
        prop_assert!(is_sound(&passed), "{:?}", passed);
        let decision = policy.decide(&request);
        prop_assert!(is_sound(&decision), "{:?}", decision);
        for judge_host in [false, true] {
            let _ = policy.admit(&Tunnel { authority: request.authority, judge_host });
        }
    }

    #[test]
    fn an_allowed_request_is_admitted_as_a_tunnel(rules in rules(), mode in any_mode(), request in request(), judge_host: bool) {
        let policy = policy_in(mode, &rules);
        let decision = policy.decide(&request.as_request());
        // If the tunnel judges hosts, a host that no rule names gets no certificate, in any mode.
        if decision.effect == Effect::Allow && (!judge_host || decision.reason == Reason::Allowed) {
            let authority = decision.authority.map(|authority| authority.to_string()).unwrap_or_default();
            let tunnel = Tunnel { authority: authority.as_bytes(), judge_host };
            prop_assert_eq!(policy.admit(&tunnel).effect, Effect::Allow);
        }
    }

    #[test]
    fn a_refusal_at_the_connect_has_the_reason_of_a_request(
        rules in rules(), request in request(), judge_host: bool,
    ) {
        let kept = rules.iter().filter(|rule| rule.effect == Effect::Deny || rule.tls == Tls::Intercept);
        let policy = policy(&kept.cloned().collect::<Vec<_>>());
        let decision = policy.decide(&request.as_request());
        let names_a_host = [
            Reason::Allowed,
            Reason::PortNotAllowed,
            Reason::SchemeNotAllowed,
            Reason::MethodNotAllowed,
            Reason::PathNotAllowed,
        ];
        if let Some(authority) = decision.authority {
            let authority = format!("{}:{}", authority.host, authority.port);
            let tunnel = policy.admit(&Tunnel { authority: authority.as_bytes(), judge_host });
            prop_assert!(tunnel.reason != Reason::HostNotAllowed || !names_a_host.contains(&decision.reason));
            prop_assert!(tunnel.reason != Reason::PortNotAllowed || decision.reason != Reason::HostNotAllowed);
        }
    }

    #[test]
    fn the_empty_policy_denies_everything(request in request()) {
        prop_assert_eq!(Policy::deny_all().decide(&request.as_request()).effect, Effect::Deny);
    }
}
