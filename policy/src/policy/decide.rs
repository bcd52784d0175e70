//! The evaluation: one code path for [`super::Policy::decide`] and [`super::Policy::explain`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{Policy, candidates};
use crate::authority::Authority;
use crate::decision::{Decision, Effect};
use crate::git::GitUse;
use crate::method::Method;
use crate::mode::Mode;
use crate::path::Path;
use crate::path::parameters::WithoutParameters;
use crate::reason::Reason;
use crate::request::Request;
use crate::rule::Rule;
use crate::scheme::Scheme;
use crate::wire::{Image, Ports, RuleRecord};

/// How far a rule for the host came: the first thing that differed, or nothing. Ordered: later is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The rule is about another scheme.
    SchemeDiffers,
    /// The scheme fits, the port does not.
    PortDiffers,
    /// Scheme and port fit, the method does not.
    MethodDiffers,
    /// All but the path fits.
    PathDiffers,
    /// All but the path fits, and of that nobody can say whether it does: it has an encoded separator or an encoded
    /// escape.
    PathAmbiguous,
    /// Everything fits.
    Matched,
}

impl Outcome {
    fn reason_of_miss(self) -> Option<Reason> {
        match self {
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

pub(super) fn evaluate<'p>(
    policy: &'p Policy,
    request: &Request<'_>,
    observer: &mut impl Observer<'p>,
) -> Decision<'p> {
    let Request { scheme, authority, method, path, sni, tunnel } = *request;
    let Ok(authority) = Authority::parse(authority, scheme.default_port()) else {
        return Decision::deny(Reason::InvalidHost, None, None);
    };
    if let Err(reason) = bind(scheme, &authority, sni, tunnel) {
        return Decision::deny(reason, None, Some(authority));
    }
    let method = match Method::parse(method) {
        // A CONNECT asks for a tunnel; what asks for one here is inside another.
        Ok(method) if method.as_str() != "CONNECT" => method,
        Ok(_) | Err(_) => return Decision::deny(Reason::InvalidMethod, None, Some(authority)),
    };
    let raw_path = path;
    let path = match Path::parse(path) {
        Ok(path) => Some(path),
        Err(error) if error.is_undecided() => None,
        Err(_) => return Decision::deny(Reason::AmbiguousPath, None, Some(authority)),
    };
    let without_parameters = match path.as_ref().map(|path| WithoutParameters::of(path, raw_path)).transpose()
    {
        Ok(without) => without.flatten(),
        Err(_) => return Decision::deny(Reason::AmbiguousPath, None, Some(authority)),
    };
    if let Some(path) = &path {
        observer.path(path);
    }
    let facts = Facts {
        scheme,
        port: authority.port,
        method: policy.image().method_bit(method.as_str().as_bytes()),
        path: path.as_ref().map(Path::as_bytes),
        without_parameters: without_parameters.as_ref(),
        git: GitUse::of(path.as_ref(), raw_path),
    };
    judge(policy, &authority, &facts, observer)
}

/// Connection and request must name the same host.
fn bind(
    scheme: Scheme,
    authority: &Authority,
    sni: Option<&[u8]>,
    tunnel: Option<&[u8]>,
) -> Result<(), Reason> {
    if scheme == Scheme::Https {
        let sni = sni.filter(|sni| !sni.is_empty()).ok_or(Reason::MissingSni)?;
        if !authority.host.is_spelled(sni) {
            return Err(Reason::SniMismatch);
        }
    }
    match tunnel {
        Some(tunnel) if Authority::parse(tunnel, scheme.default_port()) != Ok(*authority) => {
            Err(Reason::TunnelMismatch)
        }
        Some(_) | None => Ok(()),
    }
}

/// What rules are held against, all of it canonical.
struct Facts<'a> {
    scheme: Scheme,
    port: u16,
    /// None when no rule of the policy names the method.
    method: Option<u64>,
    /// None when an encoded separator or escape leaves open what it is.
    path: Option<&'a [u8]>,
    /// What else a deny rule is held against; none when the path has no parameters.
    without_parameters: Option<&'a WithoutParameters>,
    git: GitUse,
}

impl Facts<'_> {
    fn ask(&self, image: &Image, rule: &RuleRecord) -> Outcome {
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
        if rule.methods != 0 && self.method.is_none_or(|bit| rule.methods & bit == 0) {
            return Outcome::MethodDiffers;
        }
        let path = match self.path {
            _ if rule.paths.count == 0 => Some(true),
            None => None,
            Some(path) => Some(image.path_matches(rule, path) || self.is_denied_otherwise(image, rule)),
        };
        match (path, rule.git.covers(self.git)) {
            (Some(true), Some(true)) => Outcome::Matched,
            (Some(false), _) | (_, Some(false)) => Outcome::PathDiffers,
            (None, _) | (_, None) => Outcome::PathAmbiguous,
        }
    }

    /// Whether a deny rule's paths match for a server that drops path parameters. An allow rule is never wider for it.
    fn is_denied_otherwise(&self, image: &Image, rule: &RuleRecord) -> bool {
        let readings = self.without_parameters.filter(|_| rule.effect == Effect::Deny);
        readings
            .is_some_and(|without| without.readings().into_iter().any(|path| image.path_matches(rule, path)))
    }
}

/// Deny overrides, also where it cannot be said whether the deny rule's paths are meant; among rules that say the same, the first of the document counts.
fn judge<'p>(
    policy: &'p Policy,
    authority: &Authority,
    facts: &Facts<'_>,
    observer: &mut impl Observer<'p>,
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
    let miss = match nearest {
        Some((outcome, _)) => outcome.reason_of_miss(),
        None if authority.host.is_address() => Some(Reason::AddressLiteral),
        None => Some(Reason::HostNotAllowed),
    };
    let decision = match (miss, named.map_or(image.mode(), |rule| rule.mode())) {
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
