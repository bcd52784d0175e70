//! Decision cases: the decisions that a policy should make, in a file `decisions.yaml` beside it.
//!
//! The file is a list of cases:
//!
//! ```yaml
//! - request: { method: GET, url: 'https://index.crates.io/se/rd/serde' }
//!   expect: { effect: allow, rule: crates }
//! - request: { method: GET, url: 'https://index.crates.io/', sni: example.com }
//!   expect: { effect: deny, reason: sni_mismatch }
//! ```
//!
//! The URL is split and never repaired, so that a case can be an attack. Without `sni`, an https request carries its
//! own host as server name, as an honest client's would; `sni: ''` means no server name. `headers: {name: value}` are
//! input for a Rego policy.
//!
//! `effect` is required. `rule` (`null` for none), `reason` and `tls` are compared if the case has them. `tls` is
//! `passthrough` if Envoy forwards the connection by its server name, or `intercept` if it terminates TLS
//! and the policy judges the request. A case must have `would_deny: true` if report mode alone allows the request.

use core::fmt;
use core::ops::Range;

use crate::decision::Decision;
use crate::document::fields::{Fields, Known, choice, choice_of_truth, list, mismatch, text};
use crate::document::node::{Node, Value};
use crate::document::yaml;
use crate::effect::Effect;
use crate::fault::{At, Collector, Faults};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::Request;
use crate::scheme::Scheme;
use crate::source_lines::SourceLines;
use crate::target::Target;
use crate::tls::Tls;

/// One decision case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The case's place in the source, in bytes.
    pub span: Range<usize>,
    /// The case's line, from 1.
    pub line: usize,
    /// The method.
    pub method: String,
    /// The URL as written.
    pub url: String,
    /// The server name, if the case has one.
    pub sni: Option<String>,
    /// Headers, names in lower case. Only a Rego policy reads them.
    pub headers: Vec<(String, String)>,
    /// The expected decision.
    pub expect: Expectation,
}

/// The expectation of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The effect.
    pub effect: Effect,
    /// The rule's id, or `None` inside for a decision without a rule. Compared only if the case has it.
    pub rule: Option<Option<String>>,
    /// The reason. Compared only if the case has it.
    pub reason: Option<Reason>,
    /// Whether TLS is terminated. Compared only if the case has it.
    pub tls: Option<Tls>,
    /// Whether report mode alone allows the request. False if the case does not have it.
    pub would_deny: bool,
}

/// A decision that differs from the expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The expected decision.
    pub expected: Expectation,
    /// The actual decision.
    pub decided: Expectation,
}

const CASE: Known = Known { keys: &["request", "expect"] };
const REQUEST: Known = Known { keys: &["method", "url", "sni", "headers"] };
const EXPECT: Known = Known { keys: &["effect", "rule", "reason", "would_deny", "tls"] };

/// Parses the text of a `decisions.yaml`.
///
/// # Errors
/// All faults of the text at once.
pub fn parse(source: &str) -> Result<Vec<Case>, Faults> {
    let mut faults = Collector::default();
    let mut cases = Vec::new();
    if let Some(root) = yaml::read(source, &mut faults) {
        let lines = SourceLines::new(source);
        root.inspect(&At::Root, &mut faults);
        for (index, node) in list(&root, &At::Root, &mut faults).unwrap_or_default().iter().enumerate() {
            cases.extend(case(&lines, node, &At::Index(&At::Root, index), &mut faults));
        }
    }
    faults.finish(source, cases)
}

fn case(lines: &SourceLines<'_>, node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<Case> {
    let fields = Fields::read(node, at, &CASE, faults)?;
    let request = fields.require("request", node, at, faults);
    let expect = fields.require("expect", node, at, faults);
    let expect = expect.and_then(|node| expectation(node, &At::Key(at, "expect"), faults));
    let (node_of_request, at_request) = (request?, At::Key(at, "request"));
    let fields = Fields::read(node_of_request, &at_request, &REQUEST, faults)?;
    let mut read = |key: &'static str| {
        let node = fields.require(key, node_of_request, &at_request, faults)?;
        text(node, &At::Key(&at_request, key), faults)
    };
    let (method, url) = (read("method"), read("url"));
    let sni = fields.get("sni").and_then(|node| text(node, &At::Key(&at_request, "sni"), faults));
    let headers = fields.get("headers").map(|node| headers(node, &At::Key(&at_request, "headers"), faults));
    let (method, url) = (method?, url?);
    if let Err(error) = Target::parse(&url.value) {
        faults.report(url.span, &At::Key(&at_request, "url"), format!("`{}`: {error}", url.value), None);
        return None;
    }
    Some(Case {
        span: node.span.clone(),
        line: lines.line_column(node.span.start).line,
        method: method.value.into_owned(),
        url: url.value.into_owned(),
        sni: sni.map(|sni| sni.value.into_owned()),
        headers: headers.unwrap_or_default(),
        expect: expect?,
    })
}

/// Reads a mapping of header names to values.
fn headers(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Vec<(String, String)> {
    let Value::Map(entries) = &node.value else {
        mismatch(node, at, "a map of names to values", faults);
        return Vec::new();
    };
    let header = |(name, value): &(Node<'_>, Node<'_>)| {
        let (name, value) = (text(name, at, faults)?, text(value, at, faults)?);
        Some((name.value.to_ascii_lowercase(), value.value.into_owned()))
    };
    entries.iter().filter_map(header).collect()
}

fn expectation(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<Expectation> {
    let fields = Fields::read(node, at, &EXPECT, faults)?;
    let effects = [("allow", Effect::Allow), ("deny", Effect::Deny)];
    let effect = fields
        .require("effect", node, at, faults)
        .and_then(|node| choice(node, &At::Key(at, "effect"), &effects, faults));
    let rule = fields.get("rule").and_then(|node| match &node.value {
        Value::Scalar { text, plain: true } if matches!(text.as_ref(), "null" | "~") => Some(None),
        Value::Scalar { .. } => {
            text(node, &At::Key(at, "rule"), faults).map(|id| Some(id.value.into_owned()))
        }
        Value::List(_) | Value::Map(_) | Value::Broken => {
            mismatch(node, &At::Key(at, "rule"), "the id of a rule or null", faults);
            None
        }
    });
    let reasons = Reason::ALL.map(|reason| (reason.as_str(), reason));
    let reason = fields.get("reason").and_then(|node| choice(node, &At::Key(at, "reason"), &reasons, faults));
    let would_deny = fields
        .get("would_deny")
        .and_then(|node| choice_of_truth(node, &At::Key(at, "would_deny"), faults))
        .unwrap_or(false);
    let words = Tls::ALL.map(|tls| (tls.as_str(), tls));
    let tls = fields.get("tls").and_then(|node| choice(node, &At::Key(at, "tls"), &words, faults));
    Some(Expectation { effect: effect?, rule, reason, tls, would_deny })
}

impl Case {
    /// The case's request. An invalid URL becomes an authority that every policy denies.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        let nothing = Target { scheme: Scheme::Https, authority: "", path: "/" };
        let request = Target::parse(&self.url).unwrap_or(nothing).request(&self.method);
        match &self.sni {
            Some(sni) => {
                Request { server_name: Some(sni.as_bytes()).filter(|sni| !sni.is_empty()), ..request }
            }
            None => request,
        }
    }

    /// Decides the request, or its connection if the policy passes that through.
    #[must_use]
    pub fn decide<'p>(&self, policy: &'p Policy) -> (Decision<'p>, Tls) {
        self.decide_with(policy, |request| policy.decide(request))
    }

    /// Decides the case as [`Case::decide`] does, but calls `decide` for requests, for example to include a Rego
    /// policy.
    #[must_use]
    pub fn decide_with<'p>(
        &self,
        policy: &'p Policy,
        decide: impl FnOnce(&Request<'_>) -> Decision<'p>,
    ) -> (Decision<'p>, Tls) {
        let request = self.request();
        match policy.passed_through(&request) {
            Some(connection) => (policy.pass(&connection), Tls::Passthrough),
            None => (decide(&request), Tls::Intercept),
        }
    }

    /// The request's headers, in the written order.
    #[must_use]
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
    }

    /// Decides the request and compares the decision.
    ///
    /// # Errors
    /// [`Mismatch`] when the decision differs from the case's expectation.
    pub fn check<'p>(&self, policy: &'p Policy) -> Result<Decision<'p>, Mismatch> {
        let (decision, tls) = self.decide(policy);
        self.compare(&decision, tls).map(|()| decision)
    }

    /// Compares a decision.
    ///
    /// # Errors
    /// [`Mismatch`] when the decision differs from the case's expectation.
    pub fn compare(&self, decision: &Decision<'_>, tls: Tls) -> Result<(), Mismatch> {
        let decided = Expectation {
            effect: decision.effect,
            rule: Some(decision.rule.map(|rule| rule.id().to_owned())),
            reason: Some(decision.reason),
            tls: Some(tls),
            would_deny: decision.would_deny,
        };
        let Expectation { effect, rule, reason, tls, would_deny } = &self.expect;
        let as_expected = *effect == decided.effect
            && *would_deny == decided.would_deny
            && (rule.is_none() || *rule == decided.rule)
            && (reason.is_none() || *reason == decided.reason)
            && (tls.is_none() || *tls == decided.tls);
        if as_expected { Ok(()) } else { Err(Mismatch { expected: self.expect.clone(), decided }) }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.effect.fmt(f)?;
        if self.would_deny {
            f.write_str(", would deny")?;
        }
        if let Some(reason) = self.reason {
            write!(f, ", reason {reason}")?;
        }
        match &self.rule {
            Some(Some(rule)) => write!(f, ", rule {rule}")?,
            Some(None) => f.write_str(", no rule")?,
            None => {}
        }
        match self.tls {
            Some(Tls::Passthrough) => f.write_str(", passed through"),
            Some(Tls::Intercept) | None => Ok(()),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, decided {}", self.expected, self.decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_compares_what_it_says_and_nothing_else() -> Result<(), Faults> {
        let policy = crate::compile("rules: [{id: a, effect: allow, hosts: [a.example]}]")?;
        let cases = parse(
            "- {request: {method: GET, url: 'https://a.example'}, expect: {effect: allow}}\n\
             - {request: {method: GET, url: 'https://a.example', sni: ''}, expect: {effect: deny, reason: missing_sni, rule: null}}\n\
             - {request: {method: GET, url: 'https://b.example/'}, expect: {effect: deny, rule: a}}\n",
        )?;
        let results: Vec<bool> = cases.iter().map(|case| case.check(&policy).is_ok()).collect();
        assert_eq!(results, [true, true, false]);
        assert_eq!(cases.iter().map(|case| case.line).collect::<Vec<_>>(), [1, 2, 3]);
        let mismatch =
            cases.last().and_then(|case| case.check(&policy).err()).map(|mismatch| mismatch.to_string());
        assert_eq!(
            mismatch.as_deref(),
            Some("expected deny, rule a, decided deny, reason host_not_allowed, no rule")
        );
        Ok(())
    }

    #[test]
    fn a_case_knows_what_is_passed_through() -> Result<(), Faults> {
        let policy = crate::compile(
            "rules: [{id: p, effect: allow, hosts: [p.example], tls: passthrough}, {id: a, effect: allow, hosts: ['*.example']}]",
        )?;
        let cases = parse(
            "- {request: {method: PUT, url: 'https://p.example/../'}, expect: {effect: allow, rule: p, tls: passthrough}}\n\
             - {request: {method: GET, url: 'https://p.example:8443/'}, expect: {effect: deny, reason: port_not_allowed}}\n\
             - {request: {method: GET, url: 'https://a.example/', sni: p.example}, expect: {effect: deny, reason: tunnel_mismatch, tls: passthrough}}\n\
             - {request: {method: GET, url: 'https://p.example/', sni: a.example}, expect: {effect: deny, reason: sni_mismatch, tls: intercept}}\n\
             - {request: {method: GET, url: 'https://a.example/'}, expect: {effect: allow, tls: passthrough}}\n",
        )?;
        let results: Vec<String> = cases
            .iter()
            .filter_map(|case| case.check(&policy).err())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(results, ["expected allow, passed through, decided allow, reason allowed, rule a"]);
        Ok(())
    }

    #[test]
    fn faults_of_cases_carry_their_place() {
        let faults =
            parse("- {request: {method: GET, url: 'ftp://x'}, expect: {effect: perhaps}}\n- request: {}\n");
        let places: Vec<String> =
            faults.err().into_iter().flat_map(|faults| faults.list).map(|fault| fault.at).collect();
        assert_eq!(places, ["[0].request.url", "[0].expect.effect", "[1]", "[1].request", "[1].request"]);
    }
}
