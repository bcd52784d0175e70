//! A slow and plain reference implementation of decisions. It evaluates every rule in turn, and splits and compares
//! names.
//!
//! It shares only the canonical forms with the engine: no table, no bits, no walk.

use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::path::Path;
use crate::path::pattern::Case;
use crate::path::readings::Readings;
use crate::reason::Reason;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::{Authority, Connection, Host, Method, Request, Scheme, Tls};

/// The effect, the reason, the rule's position, and whether the request would be denied.
pub(super) type Plain = (Effect, Reason, Option<usize>, bool);

pub(super) fn decide(rules: &[ResolvedRule<'_>], mode: Mode, request: &Request<'_>) -> Plain {
    let refused = |reason| (Effect::Deny, reason, None, false);
    let default_port = request.scheme.default_port();
    let Ok(authority) = Authority::parse(request.authority, default_port) else {
        return refused(Reason::InvalidHost);
    };
    if request.scheme == Scheme::Https {
        match request.server_name {
            None | Some(b"") => return refused(Reason::MissingSni),
            Some(server_name) if Host::parse(server_name) != Ok(authority.host) => {
                return refused(Reason::SniMismatch);
            }
            Some(_) => {}
        }
    }
    if let Some(tunnel) = request.tunnel
        && Authority::parse(tunnel, default_port) != Ok(authority)
    {
        return refused(Reason::TunnelMismatch);
    }
    let Ok(method) = Method::parse(request.method) else { return refused(Reason::InvalidMethod) };
    if method.as_str() == "CONNECT" {
        return refused(Reason::InvalidMethod);
    }
    let path = match Path::parse(request.path) {
        Ok(path) => Some(String::from_utf8_lossy(path.as_bytes()).into_owned()),
        Err(error) if error.is_undecided() => None,
        Err(_) => return refused(Reason::AmbiguousPath),
    };
    let readings = Readings::every(request.path);

    let mut furthest: Option<(u8, Reason, usize)> = None;
    // The first rule that misses by its path alone.
    let mut near = None;
    let mut allowed = None;
    let mut denials = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let names_host =
            rule.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|host| names(host, &authority.host)));
        if !names_host {
            continue;
        }
        let miss = if rule.tls == Tls::Passthrough {
            Some((0, Reason::TlsNotAllowed))
        } else if !rule.schemes.contains(&request.scheme) {
            Some((1, Reason::SchemeNotAllowed))
        } else if !has_port(rule, authority.port, default_port) {
            Some((2, Reason::PortNotAllowed))
        } else if !rule.methods.is_empty() && !rule.methods.contains(method.as_str()) {
            Some((3, Reason::MethodNotAllowed))
        } else {
            match fits_any(rule, path.as_deref(), &readings, request.path) {
                Some(true) => None,
                Some(false) => Some((4, Reason::PathNotAllowed)),
                None => Some((5, Reason::AmbiguousPath)),
            }
        };
        let use_fits = match rule.git {
            GitScope::InPlace => readings.agree(leads_elsewhere).map(|elsewhere| !elsewhere),
            GitScope::Any | GitScope::NoWrite | GitScope::Write => git(rule, path.as_deref(), request.path),
        };
        let miss = miss.filter(|(stage, _)| *stage < 5).or(match use_fits {
            Some(true) => miss,
            Some(false) => Some((4, Reason::PathNotAllowed)),
            None => Some((5, Reason::AmbiguousPath)),
        });
        match (rule.effect, miss) {
            (Effect::Deny, None) => denials.push((Reason::DeniedByRule, index)),
            (Effect::Deny, Some((_, Reason::AmbiguousPath))) => denials.push((Reason::AmbiguousPath, index)),
            (Effect::Deny, Some(_)) => {}
            (Effect::Allow, None) => allowed = allowed.or(Some(index)),
            (Effect::Allow, Some((stage, reason))) => {
                near = near.or((stage >= 4).then_some(index));
                if furthest.is_none_or(|(best, _, _)| stage > best) {
                    furthest = Some((stage, reason, index));
                }
            }
        }
    }
    // Certain denials come before ambiguous ones, each in the document's order.
    denials.sort_by_key(|(reason, _)| *reason == Reason::AmbiguousPath);
    let first = |mode: Mode| denials.iter().find(|(_, index)| rules[*index].mode == mode);
    if let Some((reason, index)) = first(Mode::Enforce) {
        return (Effect::Deny, *reason, Some(*index), false);
    }
    let no_host = match authority.host.is_address() {
        true => Reason::AddressLiteral,
        false => Reason::HostNotAllowed,
    };
    let miss = match (allowed, furthest) {
        (Some(_), _) => None,
        (None, Some((0, reason, index))) => Some((reason, Some(index), Mode::Enforce)),
        // An enforcing rule decides each reading that no rule matches.
        (None, Some((5, reason, index))) if near.is_some_and(|near| rules[near].mode == Mode::Enforce) => {
            Some((reason, Some(index), Mode::Enforce))
        }
        (None, Some((_, reason, index))) => Some((reason, Some(index), rules[index].mode)),
        (None, None) => Some((no_host, None, mode)),
    };
    match (miss, first(Mode::Report)) {
        (Some((reason, index, Mode::Enforce)), _) => (Effect::Deny, reason, index, false),
        (_, Some((reason, index))) => (Effect::Allow, *reason, Some(*index), true),
        (Some((reason, index, Mode::Report)), None) => (Effect::Allow, reason, index, true),
        (Some((_, index, Mode::Open)), None) => (Effect::Allow, Reason::OpenMode, index, false),
        (None, None) => (Effect::Allow, Reason::Allowed, allowed, false),
    }
}

/// Decides a passed-through connection.
pub(super) fn pass(rules: &[ResolvedRule<'_>], connection: &Connection<'_>) -> Plain {
    let refused = |reason| (Effect::Deny, reason, None, false);
    let Connection { server_name, port, tunnel } = *connection;
    let host = match server_name {
        None | Some(b"") => return refused(Reason::MissingSni),
        Some(name) => match Host::parse(name) {
            Ok(host) => host,
            Err(_) => return refused(Reason::InvalidHost),
        },
    };
    if tunnel.is_some_and(|tunnel| Authority::parse(tunnel, port) != Ok(Authority { host, port })) {
        return refused(Reason::TunnelMismatch);
    }
    let named: Vec<(usize, &ResolvedRule<'_>)> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|one| names(one, &host))))
        .collect();
    let denies = |mode: Mode| {
        named.iter().find(|(_, rule)| {
            rule.effect == Effect::Deny
                && rule.mode == mode
                && rule.schemes.contains(&Scheme::Https)
                && has_port(rule, port, 443)
        })
    };
    let passing = |rule: &ResolvedRule<'_>| rule.tls == Tls::Passthrough;
    let allowed = named.iter().find(|(_, rule)| passing(rule) && has_port(rule, port, 443));
    let near = named.iter().find(|(_, rule)| passing(rule));
    let opened = named.iter().find(|(_, rule)| rule.effect == Effect::Allow && !passing(rule));
    if let Some((index, _)) = denies(Mode::Enforce) {
        return (Effect::Deny, Reason::DeniedByRule, Some(*index), false);
    }
    let no_host = if host.is_address() { Reason::AddressLiteral } else { Reason::HostNotAllowed };
    let miss = match (allowed, near, opened) {
        (Some(_), _, _) => None,
        (None, Some((index, near)), _) => Some((Reason::PortNotAllowed, Some(*index), near.mode)),
        (None, None, Some((index, _))) => Some((Reason::TlsNotAllowed, Some(*index), Mode::Enforce)),
        (None, None, None) => Some((no_host, None, Mode::Enforce)),
    };
    match (miss, denies(Mode::Report)) {
        (Some((reason, index, Mode::Enforce)), _) => (Effect::Deny, reason, index, false),
        (_, Some((index, _))) => (Effect::Allow, Reason::DeniedByRule, Some(*index), true),
        (Some((reason, index, Mode::Report)), None) => (Effect::Allow, reason, index, true),
        (Some((_, index, Mode::Open)), None) => (Effect::Allow, Reason::OpenMode, index, false),
        (None, None) => (Effect::Allow, Reason::Allowed, allowed.map(|(index, _)| *index), false),
    }
}

/// Returns whether the rule covers the request's git operation; `None` if an encoded separator or escape hides the
/// operation.
fn git(rule: &ResolvedRule<'_>, path: Option<&str>, raw: &[u8]) -> Option<bool> {
    let raw = String::from_utf8_lossy(raw).to_lowercase();
    let (before, query) = raw.split_once('?').unwrap_or((&raw, ""));
    let ends = [';', '?', '#'];
    let has = |path: &str, name: &str| {
        path.contains(ends) && path.split('/').any(|segment| segment.split(ends).next() == Some(name))
    };
    let writes = match path.map(str::to_lowercase) {
        Some(path) if has(&path, "git-receive-pack") => Some(true),
        Some(path) if has(&path, "refs") => Some(!["", "service=git-upload-pack"].contains(&query)),
        Some(path) if path.trim_end_matches('/').ends_with("/git-receive-pack") => Some(true),
        Some(path) if path.trim_end_matches('/').ends_with("/info/refs") => {
            Some(!["", "service=git-upload-pack"].contains(&query))
        }
        Some(_) => Some(false),
        None if raw.contains('?') || raw.contains(';') => None,
        None => match before.trim_end_matches('/').rsplit('/').next() {
            Some("git-receive-pack" | "." | "..") => None,
            Some(last) if last.contains('%') => None,
            Some(_) | None => Some(false),
        },
    };
    match rule.git {
        GitScope::Any | GitScope::InPlace => Some(true),
        GitScope::NoWrite => writes.map(|writes| !writes),
        GitScope::Write => writes,
    }
}

/// Returns whether a write over GitHub's REST API to this path goes to something other than the repository.
fn leads_elsewhere(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    let mut segments: Vec<&str> = path.strip_suffix('/').unwrap_or(&path).split('/').skip(1).collect();
    if let Some(last) = segments.last_mut() {
        *last = last.split('.').next().unwrap_or_default();
    }
    let filled = segments.iter().all(|segment| !segment.is_empty());
    filled
        && match segments[..] {
            ["repos", _, _, last] => ["forks", "generate", "transfer", "codespaces"].contains(&last),
            ["repos", _, _, "pulls", _, last] => ["codespaces", "update-branch"].contains(&last),
            ["repos", _, _, "security-advisories", _, last] => last == "forks",
            _ => false,
        }
}

/// Returns whether a path of the rule matches; `None` if the answer depends on the reading.
fn fits_any(rule: &ResolvedRule<'_>, decided: Option<&str>, readings: &Readings, raw: &[u8]) -> Option<bool> {
    if rule.paths.is_empty() {
        return Some(true);
    }
    let fit = |path: &[u8]| {
        let path = String::from_utf8_lossy(path);
        rule.paths.iter().any(|(text, kind)| fits(text, kind.prefix, kind.case, &path))
    };
    let plain = readings.canonical().map(fit);
    let before = |path: &str| path.split(';').next().map(|before| before.split('/').count());
    let named = decided.is_some_and(|path| {
        rule.paths.iter().any(|(text, kind)| {
            text.contains(';') && before(text) == before(path) && fits(text, kind.prefix, kind.case, path)
        })
    });
    let before_query = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    let spaced = String::from_utf8_lossy(before_query).replace('+', "%20");
    let spaced = rule.effect == Effect::Deny
        && before_query.contains(&b'+')
        && Readings::every(spaced.as_bytes()).any(fit);
    match (rule.effect, plain) {
        (Effect::Deny, Some(true)) => Some(true),
        (Effect::Deny, _) if decided.is_some() && readings.any(fit) => Some(true),
        (Effect::Deny, _) if readings.agree(fit) == Some(true) => Some(true),
        (Effect::Deny, _) if spaced => decided.map(|_| true),
        (Effect::Allow, Some(false)) => Some(false),
        (Effect::Allow, _) => readings.agree(|path| fit(path) || (named && !path.contains(&b';'))),
        (Effect::Deny, _) => readings.agree(fit),
    }
}

fn names(pattern: &ResolvedHost<'_>, host: &Host) -> bool {
    if pattern.below {
        !host.is_address() && host.as_str().ends_with(&format!(".{}", pattern.name))
    } else {
        host.as_str() == pattern.name
    }
}

fn has_port(rule: &ResolvedRule<'_>, port: u16, default: u16) -> bool {
    match &rule.ports {
        ResolvedPorts::Default => port == default,
        ResolvedPorts::Listed(ports) => ports.contains(&port),
        ResolvedPorts::Any => true,
    }
}

fn fits(pattern: &str, prefix: bool, case: Case, path: &str) -> bool {
    let fold = |text: &str| match case {
        Case::Exact => text.to_owned(),
        Case::Ascii => text.to_ascii_lowercase(),
        Case::Every => text.replace('\u{130}', "i").to_lowercase().to_uppercase().to_lowercase(),
    };
    let (pattern, path) = (&*fold(pattern), &*fold(path));
    let mut wanted: Vec<&str> = pattern.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    if prefix {
        wanted.pop();
        if given.len() <= wanted.len() {
            return false;
        }
    } else if given.len() != wanted.len() {
        return false;
    }
    wanted
        .iter()
        .zip(&given)
        .all(|(wanted, given)| if *wanted == "{x}" { !given.is_empty() } else { wanted == given })
}
