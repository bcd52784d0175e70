//! Laws of both policies together: a Rego policy only restricts the document's rules.

use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use weir_policy::{Decision, Effect, Faults, Policy, Reason, Request, Scheme, compile_document};

use super::policies::{Family, policy};
use super::{analyse, bundle, plan};
use crate::check::check;
use crate::decision::{decide, explain};
use crate::evaluation_error::EvaluationError;
use crate::plan::Engine;
use crate::program::Program;

const NAMES: [&str; 5] = ["a.example", "b.a.example", "xa.example", "other.test", "none.test"];
/// An address, which only a rule that names it can allow.
const ADDRESS: &str = "192.0.2.1";
const HEADERS: &[(&str, &[u8])] = &[("a", b"1"), ("x-a", b"b")];

thread_local! {
    static ALLOWS_ALL: Rc<Program> = Rc::new(checked("package p\n\nallow := true\n"));
    static ENDLESS: Rc<Program> = Rc::new(endless());
}

/// A program of a policy that passes `weir check`.
fn checked(text: &str) -> Program {
    let checked = check(&bundle(text)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    Program::load(&checked.plan).unwrap()
}

/// A program that exceeds the step limit for every request. `weir check` would reject it.
fn endless() -> Program {
    let loops = "some a in numbers; some b in numbers; some c in numbers; a + b + c < 0";
    let numbers: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let text = format!(
        "package p\n\nimport rego.v1\n\nnumbers := [{}]\n\ndefault allow := true\n\nallow := false if {{ {loops} }}\n",
        numbers.join(", ")
    );
    let bundle = bundle(&text);
    Program::load(&plan(&bundle, &analyse(&bundle), Engine::Interpreter)).unwrap()
}

/// A rule, without its id.
fn rule(effect: Effect) -> impl Strategy<Value = String> {
    let hosts = select(&["a.example", "'*.a.example'", "b.a.example", "xa.example", ADDRESS][..]);
    let hosts = vec(hosts, 1..3).prop_map(|hosts| format!(", hosts: [{}]", hosts.join(", ")));
    let hosts = match effect {
        Effect::Allow => hosts.boxed(),
        Effect::Deny => prop_oneof![3 => hosts, 1 => Just(String::new())].boxed(),
    };
    let schemes = select(&["", ", schemes: [http]", ", schemes: [https]", ", schemes: [http, https]"][..]);
    let methods = select(&["", "", ", methods: [GET]", ", methods: [POST, HEAD]"][..]);
    let paths = select(&["", "", ", paths: [/a]", ", paths: [/a/]", ", paths: ['/a/{x}', /b/]"][..]);
    let ports = select(&["", "", "", ", ports: [8443]"][..]);
    let mode = select(&["", "", "", "", ", mode: report"][..]);
    (hosts, schemes, methods, paths, ports, mode).prop_map(
        move |(hosts, schemes, methods, paths, ports, mode)| {
            format!("effect: {}{hosts}{schemes}{methods}{paths}{ports}{mode}", effect.as_str())
        },
    )
}

/// The rules of a document, and its mode.
#[derive(Clone, Debug)]
struct Rules {
    mode: &'static str,
    rules: Vec<String>,
}

impl Rules {
    /// Returns whether the document has allow rules of its own.
    fn fences(&self) -> bool {
        self.rules.iter().any(|rule| rule.starts_with("effect: allow"))
    }

    /// Compiles the document with the key `rego`, whose policy is loaded elsewhere.
    fn with_rego(&self) -> Result<Policy, Faults> {
        self.compile("rego: {policy: p.rego}", None)
    }

    /// Compiles the document without a Rego policy. If the Rego policy would decide alone, a rule allows every host.
    fn alone(&self) -> Result<Policy, Faults> {
        let all = format!("effect: allow, schemes: [http, https], hosts: [{}]", NAMES.join(", "));
        self.compile("", (!self.fences()).then_some(&all))
    }

    fn compile(&self, key: &str, more: Option<&str>) -> Result<Policy, Faults> {
        let rules = self.rules.iter().map(String::as_str).chain(more);
        let rules = rules.enumerate().map(|(index, rule)| format!("  {{id: r{index}, {rule}}},\n"));
        let document = format!("mode: {}\n{key}\nrules: [\n{}]\n", self.mode, rules.collect::<String>());
        compile_document(&document).map(|compiled| compiled.policy)
    }

    /// Compiles both variants.
    fn policies(&self) -> (Policy, Policy) {
        (self.with_rego().unwrap(), self.alone().unwrap())
    }
}

/// Deny rules, or deny and allow rules. A rule that another makes useless is left out, because that is a fault.
fn rules() -> impl Strategy<Value = Rules> {
    let deny = || vec(rule(Effect::Deny), 0..4);
    let both = (deny(), vec(rule(Effect::Allow), 1..4)).prop_map(|(deny, allow)| [deny, allow].concat());
    (select(&["enforce", "enforce", "report", "open"][..]), prop_oneof![deny(), both]).prop_map(
        |(mode, all)| {
            let mut rules = Rules { mode, rules: Vec::new() };
            for rule in all {
                rules.rules.push(rule);
                if rules.with_rego().is_err() || rules.alone().is_err() {
                    rules.rules.pop();
                }
            }
            rules
        },
    )
}

/// A request that owns its bytes.
#[derive(Clone, Debug)]
struct Asked {
    scheme: Scheme,
    authority: String,
    method: &'static str,
    path: String,
    server_name: Option<String>,
    tunnel: Option<String>,
}

impl Asked {
    fn request(&self) -> Request<'_> {
        Request {
            scheme: self.scheme,
            authority: self.authority.as_bytes(),
            method: self.method.as_bytes(),
            path: self.path.as_bytes(),
            server_name: self.server_name.as_deref().map(str::as_bytes),
            tunnel: self.tunnel.as_deref().map(str::as_bytes),
        }
    }
}

/// Requests for the hosts in the documents, in right and wrong spellings, over right and wrong connections.
fn asked() -> impl Strategy<Value = Asked> {
    let spelling = select(&["$", "$", "$", "$.", "u@$", "$:", "$ ", "%24$", "$..", "$\u{e4}"][..]);
    let port = select(&["", "", "", ":80", ":443", ":8443", ":0", ":a"][..]);
    let segment = prop_oneof![
        4 => select(&["a", "b", "c"][..]),
        1 => select(&["%61", ".", "..", "", "a%2fb", "%2e%2e", "a;x", "%zz", "%00", "a%5c"][..]),
    ];
    let path = vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")));
    let method = select(&["GET", "POST", "HEAD", "get", "CONNECT", ""][..]);
    let server_name = prop_oneof![6 => Just(None), 1 => select(&["", "a.example", "xa.example", "A.EXAMPLE"][..]).prop_map(Some)];
    let tunnel = prop_oneof![
        6 => Just(None),
        1 => Just(Some(None)),
        1 => select(&["a.example:443", "xa.example:443", "a.example", "@"][..]).prop_map(|other| Some(Some(other))),
    ];
    let host = prop_oneof![7 => select(&NAMES[..]), 1 => Just(ADDRESS)];
    (select(&Scheme::ALL[..]), host, spelling, port, method, path, server_name, tunnel).prop_map(
        |(scheme, host, spelling, port, method, path, server_name, tunnel)| {
            let authority = format!("{}{port}", spelling.replace('$', host));
            Asked {
                scheme,
                method,
                path,
                server_name: (scheme == Scheme::Https).then(|| server_name.unwrap_or(host).to_owned()),
                tunnel: tunnel.map(|other| other.map_or_else(|| authority.clone(), str::to_owned)),
                authority,
            }
        },
    )
}

/// The comparable parts of a decision. The allowing rule is left out, because its name differs if Rego allows.
fn said(decision: &Decision<'_>) -> (Effect, Reason, bool, Option<String>) {
    let denying = decision.rule.filter(|rule| rule.effect() == Effect::Deny);
    let denying = denying.map(|rule| rule.id().to_owned());
    (decision.effect, decision.reason, decision.would_deny, denying)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rego_that_allows_everything_leaves_what_the_document_says(
        rules in rules(), asked in vec(asked(), 8),
    ) {
        let program = ALLOWS_ALL.with(Rc::clone);
        let (together, alone) = rules.policies();
        for asked in &asked {
            let request = asked.request();
            let ruling = decide(&together, &program, &request, HEADERS);
            let plain = alone.decide(&request);
            prop_assert_eq!(said(&ruling.decision), said(&plain), "{:?}", asked);
            prop_assert!(ruling.answer.is_none() || plain.effect == Effect::Allow, "{:?}", asked);
            let (explained, _) = explain(&together, &program, &request, HEADERS);
            prop_assert_eq!(said(&explained.decision), said(&plain), "{:?}", asked);
        }
    }

    #[test]
    fn rego_that_does_not_end_allows_nothing(rules in rules(), asked in vec(asked(), 2)) {
        let program = ENDLESS.with(Rc::clone);
        let (together, alone) = rules.policies();
        for asked in &asked {
            let request = asked.request();
            let ruling = decide(&together, &program, &request, HEADERS);
            let plain = alone.decide(&request);
            if plain.reason == Reason::Allowed {
                prop_assert_eq!(ruling.answer, Some(Err(EvaluationError::Exhausted)), "{:?}", asked);
            } else if plain.effect == Effect::Deny {
                prop_assert_eq!(said(&ruling.decision), said(&plain), "{:?}", asked);
            }
            prop_assert!(ruling.decision.reason != Reason::Allowed, "{:?}", asked);
            let spared = rules.mode != "enforce" || rules.rules.iter().any(|rule| rule.contains("mode: report"));
            prop_assert!(ruling.decision.effect == Effect::Deny || spared, "{:?}", asked);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rego_policy_allows_what_the_document_denies_or_it_denies_itself(
        text in policy(Family::Any), rules in rules(), asked in vec(asked(), 24),
    ) {
        let bundle = bundle(&text);
        let Ok(program) = Program::load(&plan(&bundle, &analyse(&bundle), Engine::Interpreter)) else { return Ok(()) };
        let (together, alone) = rules.policies();
        for asked in &asked {
            let request = asked.request();
            let ruling = decide(&together, &program, &request, HEADERS);
            let plain = alone.decide(&request);
            if ruling.decision.reason == Reason::Allowed {
                prop_assert_eq!(plain.reason, Reason::Allowed, "{}\n{:?}", text, asked);
                let answer = ruling.answer.and_then(Result::ok);
                prop_assert!(answer.is_some_and(|answer| answer.allowed), "{}\n{:?}", text, asked);
            } else if plain.effect == Effect::Deny {
                prop_assert_eq!(said(&ruling.decision), said(&plain), "{}\n{:?}", text, asked);
            } else if plain.reason != Reason::Allowed {
                // Rego may also deny a request that report mode or open mode allows.
                let by_rego = [Reason::DeniedByRego, Reason::RegoError, Reason::AmbiguousPath];
                let same = said(&ruling.decision) == said(&plain);
                prop_assert!(same || by_rego.contains(&ruling.decision.reason), "{}\n{:?}", text, asked);
            }
        }
    }
}
