//! Coverage: one rule covers another if it matches every request that the other matches.
//!
//! The comparison is sound and not complete: a rule that is reported as covered is covered.

use std::collections::HashSet;

use crate::effect::Effect;
use crate::git::GitScope;
use crate::host::Host;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::scheme::Scheme;
use crate::tls::Tls;

/// A rule that never decides, and the rules that decide in its place. Rules are named by their position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    pub(crate) rule: usize,
    /// At least one rule, in the order of the document.
    pub(crate) by: Vec<usize>,
}

/// The lookup key of a host pattern: its name, and whether it covers the names below that name.
pub(super) type HostKey<'r> = (&'r str, bool);

/// Returns the lookup key of a host pattern.
pub(super) fn host_key<'r>(host: &'r ResolvedHost<'_>) -> HostKey<'r> {
    (&host.name, host.below)
}

/// Returns the key of every pattern that covers this one: the pattern itself, and the wildcards above its name.
pub(super) fn covering_keys<'r>(host: &'r ResolvedHost<'r>) -> impl Iterator<Item = HostKey<'r>> {
    let mut rest: &str = &host.name;
    let address = Host::parse(rest.as_bytes()).is_ok_and(|host| host.is_address());
    let parents = core::iter::from_fn(move || {
        rest = rest.split_once('.')?.1;
        Some((rest, true))
    });
    core::iter::once(host_key(host)).chain(parents.take(if address { 0 } else { usize::MAX }))
}

/// Returns the hosts of a rule. A rule about every host has the one entry `None`.
pub(super) fn hosts<'r>(rule: &'r ResolvedRule<'r>) -> impl Iterator<Item = Option<&'r ResolvedHost<'r>>> {
    let every = rule.hosts.is_none().then_some(None);
    rule.hosts.iter().flatten().map(Some).chain(every)
}

/// Returns whether the first rule decides a request that both rules match.
pub(super) fn precedes(one: &ResolvedRule<'_>, other: &ResolvedRule<'_>, comes_first: bool) -> bool {
    match (one.effect, other.effect) {
        (Effect::Allow, Effect::Allow) if one.tls != other.tls => false,
        (Effect::Deny, Effect::Allow) => one.mode == Mode::Enforce,
        (Effect::Deny, Effect::Deny) => comes_first && (one.mode == Mode::Enforce || one.mode == other.mode),
        (Effect::Allow, Effect::Allow) => comes_first,
        (Effect::Allow, Effect::Deny) => false,
    }
}

/// Returns whether one rule covers every host of the other. `keys` are the keys of the first rule's hosts.
pub(super) fn covers_hosts(
    one: &ResolvedRule<'_>,
    other: &ResolvedRule<'_>,
    keys: &HashSet<HostKey<'_>>,
) -> bool {
    match (&one.hosts, &other.hosts) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(wanted)) => {
            wanted.iter().all(|host| covering_keys(host).any(|key| keys.contains(&key)))
        }
    }
}

/// Returns whether one rule covers the other, apart from their hosts.
pub(super) fn covers(one: &ResolvedRule<'_>, other: &ResolvedRule<'_>) -> bool {
    // The requests inside a passed-through connection are not visible, so every deny rule for it denies all of it.
    let unseen = one.effect == Effect::Deny && other.tls == Tls::Passthrough;
    (unseen || covers_requests(one, other))
        && other
            .schemes
            .iter()
            .all(|scheme| one.schemes.contains(scheme) && covers_ports(one, other, *scheme))
}

/// Returns whether one rule covers every method, path and git operation of the other.
fn covers_requests(one: &ResolvedRule<'_>, other: &ResolvedRule<'_>) -> bool {
    let subset = |all: bool, none: bool, within: bool| all || (!none && within);
    subset(one.methods.is_empty(), other.methods.is_empty(), other.methods.is_subset(&one.methods))
        && (one.git == GitScope::Any || one.git == other.git)
        && subset(
            one.paths.is_empty(),
            other.paths.is_empty(),
            // Most covered paths are covered by an equal one.
            other.paths.iter().all(|path| {
                one.paths.contains(path) || one.paths.iter().any(|wider| covers_path(wider, path))
            }),
        )
}

fn covers_ports(one: &ResolvedRule<'_>, other: &ResolvedRule<'_>, scheme: Scheme) -> bool {
    let has = |port: u16| match &one.ports {
        ResolvedPorts::Any => true,
        ResolvedPorts::Default => port == scheme.default_port(),
        ResolvedPorts::Listed(ports) => ports.contains(&port),
    };
    match &other.ports {
        ResolvedPorts::Any => one.ports == ResolvedPorts::Any,
        ResolvedPorts::Default => has(scheme.default_port()),
        ResolvedPorts::Listed(ports) => ports.iter().all(|port| has(*port)),
    }
}

fn covers_path(one: &(String, PatternKind), other: &(String, PatternKind)) -> bool {
    let segments = |(text, kind): &'_ (String, PatternKind)| {
        let count = text.split('/').count();
        if kind.prefix { count.saturating_sub(1) } else { count }
    };
    let (wide, narrow) = (segments(one), segments(other));
    let length = match (one.1.prefix, other.1.prefix) {
        (true, true) => narrow >= wide,
        (true, false) => narrow > wide,
        (false, false) => narrow == wide,
        (false, true) => false,
    };
    let (case, narrow_case) = (one.1.case, other.1.case);
    let covers = |(wide, narrow): (&str, &str)| {
        case.is_same(wide.as_bytes(), narrow.as_bytes()) || (wide.starts_with('{') && !narrow.is_empty())
    };
    // The name in `{name}` has no meaning, so any two parameters are equal.
    length && case >= narrow_case && one.0.split('/').zip(other.0.split('/')).take(wide).all(covers)
}
