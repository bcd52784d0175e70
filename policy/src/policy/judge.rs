//! The evaluation of what was read: each rule for the host is asked, and one outcome decides.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::seen_path::SeenPath;
use super::{Policy, candidates};
use crate::authority::Authority;
use crate::decision::{Decision, Effect};
use crate::git::GitUse;
use crate::mode::Mode;
use crate::path::Path;
use crate::reason::Reason;
use crate::rule::Rule;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::{Image, Ports, RuleRecord};

/// How far a rule for the host came: the first thing that differed, or nothing. Ordered: later is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The rule is about connections that are passed through and this is a request, or the other way round.
    TlsDiffers,
    /// The rule is about another scheme.
    SchemeDiffers,
    /// The scheme fits, the port does not.
    PortDiffers,
    /// Scheme and port fit, the method does not.
    MethodDiffers,
    /// All but the path fits.
    PathDiffers,
    /// All but the path fits, and the path has several readings, some of which fit.
    PathAmbiguous,
    /// Everything fits.
    Matched,
}

impl Outcome {
    fn reason_of_miss(self) -> Option<Reason> {
        match self {
            Outcome::TlsDiffers => Some(Reason::TlsNotAllowed),
            Outcome::SchemeDiffers => Some(Reason::SchemeNotAllowed),
            Outcome::PortDiffers => Some(Reason::PortNotAllowed),
            Outcome::MethodDiffers => Some(Reason::MethodNotAllowed),
            Outcome::PathDiffers => Some(Reason::PathNotAllowed),
            Outcome::PathAmbiguous => Some(Reason::AmbiguousPath),
            Outcome::Matched => None,
        }
    }
}

/// Watches an evaluation. Watching changes nothing: no method answers.
pub(super) trait Observer<'p> {
    /// The request was well-formed, and this is its path; not called when the path is undecided.
    fn path(&mut self, path: &Path<'_>);
    /// A rule for the host was asked.
    fn rule(&mut self, rule: Rule<'p>, outcome: Outcome);
}

impl<'p> Observer<'p> for () {
    fn path(&mut self, _: &Path<'_>) {}
    fn rule(&mut self, _: Rule<'p>, _: Outcome) {}
}

/// What rules are held against, all of it canonical.
pub(super) struct Facts<'a> {
    pub(super) scheme: Scheme,
    pub(super) port: u16,
    pub(super) seen: Seen<'a>,
}

/// What is known beyond host, scheme and port.
pub(super) enum Seen<'a> {
    /// A request.
    Request(SeenRequest<'a>),
    /// A TLS connection that is not opened: nothing.
    Connection,
}

/// What is known of a request.
pub(super) struct SeenRequest<'a> {
    /// None when no rule of the policy names the method.
    pub(super) method: Option<u64>,
    pub(super) path: SeenPath<'a>,
    pub(super) git: GitUse,
}

impl Facts<'_> {
    fn ask(&self, image: &Image, rule: &RuleRecord) -> Outcome {
        match (rule.effect, rule.tls, &self.seen) {
            (Effect::Allow, Tls::Passthrough, Seen::Request(_))
            | (Effect::Allow, Tls::Intercept, Seen::Connection) => return Outcome::TlsDiffers,
            (Effect::Deny, _, _) | (Effect::Allow, _, _) => {}
        }
        if rule.schemes & self.scheme.bit() == 0 {
            return Outcome::SchemeDiffers;
        }
        let port = match rule.ports {
            Ports::Default => self.port == self.scheme.default_port(),
            Ports::Listed => image.lists_port(rule, self.port),
            Ports::Any => true,
        };
        if !port {
            return Outcome::PortDiffers;
        }
        match &self.seen {
            Seen::Request(request) => request.ask(image, rule),
            // Whatever a deny rule says of requests may be said of one in there.
            Seen::Connection => Outcome::Matched,
        }
    }
}

impl SeenRequest<'_> {
    fn ask(&self, image: &Image, rule: &RuleRecord) -> Outcome {
        if rule.methods != 0 && self.method.is_none_or(|bit| rule.methods & bit == 0) {
            return Outcome::MethodDiffers;
        }
        let path = if rule.paths.count == 0 { Some(true) } else { self.path.fits(image, rule) };
        match (path, rule.git.covers(self.git, || self.path.writes_elsewhere())) {
            (Some(true), Some(true)) => Outcome::Matched,
            (Some(false), _) | (_, Some(false)) => Outcome::PathDiffers,
            (None, _) | (_, None) => Outcome::PathAmbiguous,
        }
    }
}

/// Deny overrides, also where only some readings of the path match. Among rules that say the same, the first of the
/// document counts. `agree` is asked about a request that an allow rule allows and no deny rule denies; it may have another
/// reason to deny.
pub(super) fn judge<'p>(
    policy: &'p Policy,
    authority: &Authority,
    facts: &Facts<'_>,
    observer: &mut impl Observer<'p>,
    agree: impl FnOnce() -> Result<(), Reason>,
) -> Decision<'p> {
    let image = policy.image();
    // The furthest outcome of a deny rule that decides, and the first rule that came so far.
    let mut denied: Option<(Outcome, u16)> = None;
    // The same of those that would decide if their mode were another.
    let mut reported: Option<(Outcome, u16)> = None;
    // The furthest outcome of an allow rule, and the first rule that came so far.
    let mut nearest: Option<(Outcome, u16)> = None;
    candidates::for_each(image, &authority.host, |index| {
        let Some(rule) = image.rule(index) else { return };
        let outcome = facts.ask(image, &rule);
        observer.rule(Rule::new(policy, index), outcome);
        match rule.effect {
            Effect::Deny if outcome >= Outcome::PathAmbiguous => match rule.mode {
                Mode::Report => keep_furthest(&mut reported, outcome, index),
                Mode::Enforce | Mode::Open => keep_furthest(&mut denied, outcome, index),
            },
            Effect::Deny => {}
            Effect::Allow => keep_furthest(&mut nearest, outcome, index),
        }
    });
    let rule = |index| Rule::new(policy, index);
    let reason_of_deny = |outcome: Outcome| outcome.reason_of_miss().unwrap_or(Reason::DeniedByRule);
    if let Some((outcome, index)) = denied {
        return Decision::deny(reason_of_deny(outcome), Some(rule(index)), Some(*authority));
    }
    let named = nearest.map(|(_, index)| rule(index));
    let mode = match (nearest, &facts.seen) {
        // No mode opens what is passed through, or passes through what is opened or unknown.
        (Some((Outcome::TlsDiffers, _)), _) | (None, Seen::Connection) => Mode::Enforce,
        (nearest, _) => nearest.map_or(image.mode(), |(_, index)| rule(index).mode()),
    };
    let miss = match nearest {
        Some((Outcome::Matched, _)) => agree().err(),
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

/// Keeps the furthest outcome, and of equal ones the first rule's.
fn keep_furthest(kept: &mut Option<(Outcome, u16)>, outcome: Outcome, index: u16) {
    let nearer =
        kept.is_none_or(|(furthest, first)| outcome > furthest || (outcome == furthest && index < first));
    if nearer {
        *kept = Some((outcome, index));
    }
}
