//! The evaluation of a CONNECT, whose target is its only fact.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{Policy, candidates};
use crate::authority::Authority;
use crate::decision::Decision;
use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::reason::Reason;
use crate::request::Tunnel;
use crate::rule::Rule;
use crate::scheme::Scheme;
use crate::wire::{Image, Ports, RuleRecord};

pub(super) fn admit<'p>(policy: &'p Policy, tunnel: &Tunnel<'_>) -> Decision<'p> {
    let Tunnel { authority, judge_host } = *tunnel;
    let Ok(authority) = Authority::parse_with_port(authority) else {
        return Decision::deny(Reason::InvalidHost, None, None);
    };
    let image = policy.image();
    let mut denied: Option<u16> = None;
    let mut listed: Option<u16> = None;
    let mut allowed: Option<u16> = None;
    let mut enforced = image.mode() == Mode::Enforce;
    let first = |so_far: Option<u16>, index: u16| Some(so_far.map_or(index, |first| first.min(index)));
    candidates::for_each(image, &authority.host, |index| {
        let Some(rule) = image.rule(index) else { return };
        match rule.effect {
            Effect::Deny if rule.mode == Mode::Enforce && forbids_tunnel(image, &rule, authority.port) => {
                denied = first(denied, index);
            }
            Effect::Deny => {}
            Effect::Allow => {
                listed = first(listed, index);
                enforced &= rule.mode == Mode::Enforce;
                if names_port(image, &rule, authority.port) {
                    allowed = first(allowed, index);
                }
            }
        }
    });
    let deny = |reason, index: Option<u16>| {
        Decision::deny(reason, index.map(|index| Rule::new(image, index)), Some(authority))
    };
    if authority.host.is_address() && listed.is_none() && enforced {
        return deny(Reason::AddressLiteral, None);
    }
    if enforced && !image.open_ports().any(|(port, _)| port == authority.port) {
        // As for a request: a port is refused only to a host that a rule names.
        let reason = if listed.is_some() { Reason::PortNotAllowed } else { Reason::HostNotAllowed };
        return deny(reason, listed);
    }
    let rule = allowed.map(|index| Rule::new(image, index));
    let admitted = Decision::allow(rule, Reason::Allowed, authority);
    if !judge_host {
        return admitted;
    }
    match (denied, listed, allowed) {
        (Some(index), _, _) => deny(Reason::DeniedByRule, Some(index)),
        (None, None, _) => deny(Reason::HostNotAllowed, None),
        (None, Some(index), None) if enforced => deny(Reason::PortNotAllowed, Some(index)),
        (None, Some(_), _) => admitted,
    }
}

fn names_port(image: &Image, rule: &RuleRecord, port: u16) -> bool {
    match rule.ports {
        Ports::Any => true,
        Ports::Listed => image.lists_port(rule, port),
        Ports::Default => Scheme::ALL
            .into_iter()
            .any(|scheme| rule.schemes & scheme.bit() != 0 && scheme.default_port() == port),
    }
}

/// Returns whether this deny rule matches every request that the tunnel could carry.
fn forbids_tunnel(image: &Image, rule: &RuleRecord, port: u16) -> bool {
    let both = Scheme::ALL.into_iter().fold(0, |bits, scheme| bits | scheme.bit());
    let all_of_it =
        rule.schemes == both && rule.methods == 0 && rule.paths.count == 0 && rule.git == GitScope::Any;
    all_of_it
        && match rule.ports {
            Ports::Any => true,
            Ports::Listed => image.lists_port(rule, port),
            Ports::Default => false,
        }
}
