//! The evaluation of canonical facts: every rule for the host is evaluated, and one outcome decides.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::seen_path::SeenPath;
use super::{Policy, candidates};
use crate::authority::Authority;
use crate::decision::Decision;
use crate::effect::Effect;
use crate::git::GitUse;
use crate::mode::Mode;
use crate::path::Path;
use crate::reason::Reason;
use crate::rule::Rule;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::{Image, Ports, RuleRecord};

/// The outcome of a rule for the host: the first property that differed, or a match. A greater outcome is nearer to a
/// match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleOutcome {
    /// The rule is for passed-through connections and the facts are a request, or the reverse.
    TlsDiffers,
    /// The rule is for another scheme.
    SchemeDiffers,
    /// The scheme matches, but the port does not.
    PortDiffers,
    /// Scheme and port match, but the method does not.
    MethodDiffers,
    /// Everything except the path matches.
    PathDiffers,
    /// All but the path fits, and the path has several readings, some of which fit.
    PathAmbiguous,
    /// Everything matches.
    Matched,
}

impl RuleOutcome {
    fn reason_of_miss(self) -> Option<Reason> {
        match self {
            RuleOutcome::TlsDiffers => Some(Reason::TlsNotAllowed),
            RuleOutcome::SchemeDiffers => Some(Reason::SchemeNotAllowed),
            RuleOutcome::PortDiffers => Some(Reason::PortNotAllowed),
            RuleOutcome::MethodDiffers => Some(Reason::MethodNotAllowed),
            RuleOutcome::PathDiffers => Some(Reason::PathNotAllowed),
            RuleOutcome::PathAmbiguous => Some(Reason::AmbiguousPath),
            RuleOutcome::Matched => None,
        }
    }
}

/// Observes an evaluation without influencing it.
pub(super) trait Observer<'p> {
    /// Receives the path of a well-formed request. It is not called if the path is ambiguous.
    fn path(&mut self, path: &Path<'_>);
    /// Receives a rule for the host, with its outcome.
    fn rule(&mut self, rule: Rule<'p>, outcome: RuleOutcome);
}

impl<'p> Observer<'p> for () {
    fn path(&mut self, _: &Path<'_>) {}
    fn rule(&mut self, _: Rule<'p>, _: RuleOutcome) {}
}

/// The canonical facts that rules are compared with.
pub(super) struct CanonicalFacts<'a> {
    pub(super) scheme: Scheme,
    pub(super) port: u16,
    pub(super) seen: Seen<'a>,
}

/// The facts beyond host, scheme and port.
pub(super) enum Seen<'a> {
    /// A request.
    Request(SeenRequest<'a>),
    /// A TLS connection that Envoy would pass through, which has no further facts.
    Connection,
}

/// The facts of a request.
pub(super) struct SeenRequest<'a> {
    /// The method's bit; `None` if no rule of the policy names the method.
    pub(super) method: Option<u64>,
    pub(super) path: SeenPath<'a>,
    pub(super) git: GitUse,
}

impl CanonicalFacts<'_> {
    fn ask(&self, image: &Image, rule: &RuleRecord) -> RuleOutcome {
        match (rule.effect, rule.tls, &self.seen) {
            (Effect::Allow, Tls::Passthrough, Seen::Request(_))
            | (Effect::Allow, Tls::Intercept, Seen::Connection) => return RuleOutcome::TlsDiffers,
            (Effect::Deny, _, _) | (Effect::Allow, _, _) => {}
        }
        if rule.schemes & self.scheme.bit() == 0 {
            return RuleOutcome::SchemeDiffers;
        }
        let port = match rule.ports {
            Ports::Default => self.port == self.scheme.default_port(),
            Ports::Listed => image.lists_port(rule, self.port),
            Ports::Any => true,
        };
        if !port {
            return RuleOutcome::PortDiffers;
        }
        match &self.seen {
            Seen::Request(request) => request.ask(image, rule),
            // A deny rule's conditions on requests could match a request inside the connection.
            Seen::Connection => RuleOutcome::Matched,
        }
    }
}

impl SeenRequest<'_> {
    fn ask(&self, image: &Image, rule: &RuleRecord) -> RuleOutcome {
        if rule.methods != 0 && self.method.is_none_or(|bit| rule.methods & bit == 0) {
            return RuleOutcome::MethodDiffers;
        }
        let path = if rule.paths.count == 0 { Some(true) } else { self.path.fits(image, rule) };
        match (path, rule.git.covers(self.git, || self.path.writes_elsewhere())) {
            (Some(true), Some(true)) => RuleOutcome::Matched,
            (Some(false), _) | (_, Some(false)) => RuleOutcome::PathDiffers,
            (None, _) | (_, None) => RuleOutcome::PathAmbiguous,
        }
    }
}

/// Judges canonical facts. A deny rule overrides allow rules, even if only some readings of the path match it. Among
/// rules with equal outcomes, the first of the document decides. If an allow rule matches and no deny rule does,
/// `agree` is called, and may still deny for a reason of its own.
pub(super) fn judge<'p>(
    policy: &'p Policy,
    authority: &Authority,
    facts: &CanonicalFacts<'_>,
    observer: &mut impl Observer<'p>,
    agree: impl FnOnce() -> Result<(), Reason>,
) -> Decision<'p> {
    let image = policy.image();
    // The furthest outcome among enforcing deny rules, and the first rule that reached it.
    let mut denied: Option<(RuleOutcome, u16)> = None;
    // The furthest outcome among deny rules in report mode, and the first rule that reached it.
    let mut reported: Option<(RuleOutcome, u16)> = None;
    // The furthest outcome among allow rules, and the first rule that reached it.
    let mut nearest: Option<(RuleOutcome, u16)> = None;
    let mut readings = RulesOfReadings::default();
    candidates::for_each(image, &authority.host, |index| {
        let Some(rule) = image.rule(index) else { return };
        let outcome = facts.ask(image, &rule);
        observer.rule(Rule::new(image, index), outcome);
        match rule.effect {
            Effect::Deny if outcome >= RuleOutcome::PathAmbiguous => match rule.mode {
                Mode::Report => keep_furthest(&mut reported, outcome, index),
                Mode::Enforce | Mode::Open => keep_furthest(&mut denied, outcome, index),
            },
            Effect::Deny => {}
            Effect::Allow => {
                keep_furthest(&mut nearest, outcome, index);
                readings.add(outcome, rule.mode, index);
            }
        }
    });
    let rule = |index| Rule::new(image, index);
    let reason_of_deny = |outcome: RuleOutcome| outcome.reason_of_miss().unwrap_or(Reason::DeniedByRule);
    if let Some((outcome, index)) = denied {
        return Decision::deny(reason_of_deny(outcome), Some(rule(index)), Some(*authority));
    }
    let named = nearest.map(|(_, index)| rule(index));
    let mode = match (nearest, &facts.seen) {
        // Every mode keeps passed-through hosts from being intercepted, and intercepted or unknown hosts from being
        // passed through.
        (Some((RuleOutcome::TlsDiffers, _)), _) | (None, Seen::Connection) => Mode::Enforce,
        (Some((outcome, index)), _) if readings.enforce(outcome, index, policy.needs_rego()) => Mode::Enforce,
        (nearest, _) => nearest.map_or(image.mode(), |(_, index)| rule(index).mode()),
    };
    let miss = match nearest {
        Some((RuleOutcome::Matched, _)) => agree().err(),
        Some((outcome, _)) => outcome.reason_of_miss(),
        None if authority.host.is_address() => Some(Reason::AddressLiteral),
        None => Some(Reason::HostNotAllowed),
    };
    let decision = match (miss, mode) {
        (None, _) => Decision::allow(named, Reason::Allowed, *authority),
        (Some(reason), Mode::Enforce) => return Decision::deny(reason, named, Some(*authority)),
        (Some(reason), Mode::Report) => {
            Decision { would_deny: true, ..Decision::allow(named, reason, *authority) }
        }
        (Some(_), Mode::Open) => Decision::allow(named, Reason::OpenMode, *authority),
    };
    match reported {
        Some((outcome, index)) => Decision {
            would_deny: true,
            reason: reason_of_deny(outcome),
            rule: Some(rule(index)),
            ..decision
        },
        None => decision,
    }
}

/// The allow rules that can decide one reading of a path, while the rule with the furthest outcome decides the path as a
/// whole. A path is forwarded only if each of its readings would be.
#[derive(Default)]
struct RulesOfReadings {
    /// The first enforcing rule that matches some readings.
    enforcing: Option<u16>,
    /// The first rule for which everything but the path fits, with its mode. It decides a reading that no rule matches.
    first: Option<(u16, Mode)>,
}

impl RulesOfReadings {
    fn add(&mut self, outcome: RuleOutcome, mode: Mode, index: u16) {
        if outcome == RuleOutcome::PathAmbiguous && mode == Mode::Enforce {
            self.enforcing = Some(self.enforcing.map_or(index, |first| first.min(index)));
        }
        let is_near = matches!(outcome, RuleOutcome::PathDiffers | RuleOutcome::PathAmbiguous);
        if is_near && self.first.is_none_or(|(first, _)| index < first) {
            self.first = Some((index, mode));
        }
    }

    /// Returns whether a rule that enforces could deny a reading, if this outcome of this rule is the furthest. Rego may
    /// deny a reading that the rule matches.
    fn enforce(&self, outcome: RuleOutcome, index: u16, needs_rego: bool) -> bool {
        match outcome {
            RuleOutcome::Matched => needs_rego && self.enforcing.is_some_and(|first| first < index),
            RuleOutcome::PathAmbiguous => {
                needs_rego && self.enforcing.is_some()
                    || self.first.is_some_and(|(_, mode)| mode == Mode::Enforce)
            }
            RuleOutcome::PathDiffers
            | RuleOutcome::MethodDiffers
            | RuleOutcome::PortDiffers
            | RuleOutcome::SchemeDiffers
            | RuleOutcome::TlsDiffers => false,
        }
    }
}

/// Keeps the furthest outcome. Among equal outcomes it keeps the first rule.
fn keep_furthest(kept: &mut Option<(RuleOutcome, u16)>, outcome: RuleOutcome, index: u16) {
    let nearer =
        kept.is_none_or(|(furthest, first)| outcome > furthest || (outcome == furthest && index < first));
    if nearer {
        *kept = Some((outcome, index));
    }
}
