//! The evaluation of a request: it is made canonical, compared with its connection, and then judged.
//! [`super::Policy::decide`] and [`super::Policy::explain`] share this code path.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::judge::{CanonicalFacts, Observer, Seen, SeenRequest, judge};
use super::seen_path::SeenPath;
use super::{Canonical, Policy};
use crate::authority::Authority;
use crate::decision::Decision;
use crate::git::GitUse;
use crate::limits::REGO_READINGS;
use crate::method::Method;
use crate::path::Path;
use crate::path::readings::Readings;
use crate::reason::Reason;
use crate::request::Request;
use crate::scheme::Scheme;

pub(super) fn evaluate<'p>(
    policy: &'p Policy,
    request: &Request<'_>,
    observer: &mut impl Observer<'p>,
    rego: impl FnMut(&Canonical<'_>) -> Result<(), Reason>,
) -> Decision<'p> {
    let Request { scheme, authority, method, path, server_name, tunnel } = *request;
    let Ok(authority) = Authority::parse(authority, scheme.default_port()) else {
        return Decision::deny(Reason::InvalidHost, None, None);
    };
    if let Err(reason) = bind(scheme, &authority, server_name, tunnel) {
        return Decision::deny(reason, None, Some(authority));
    }
    let method = match Method::parse(method) {
        // A CONNECT requests a tunnel. This request is inside a tunnel or a connection already.
        Ok(method) if method.as_str() != "CONNECT" => method,
        Ok(_) | Err(_) => return Decision::deny(Reason::InvalidMethod, None, Some(authority)),
    };
    let raw_path = path;
    let path = match Path::parse(path) {
        Ok(path) => Some(path),
        Err(error) if error.is_undecided() => None,
        Err(_) => return Decision::deny(Reason::AmbiguousPath, None, Some(authority)),
    };
    if let Some(path) = &path {
        observer.path(path);
    }
    let seen = Seen::Request(SeenRequest {
        method: policy.image().method_bit(method.as_str().as_bytes()),
        path: SeenPath::new(path.as_ref(), raw_path),
        git: GitUse::new(path.as_ref(), raw_path),
    });
    let agree = || match policy.needs_rego() {
        true => ask_of_each_reading(&authority, path.as_ref(), raw_path, rego),
        false => Ok(()),
    };
    judge(policy, &authority, &CanonicalFacts { scheme, port: authority.port, seen }, observer, agree)
}

/// Evaluates the Rego policy for the canonical path and every other reading. A path with too many readings is given
/// to it as ambiguous.
fn ask_of_each_reading(
    authority: &Authority,
    path: Option<&Path<'_>>,
    raw_path: &[u8],
    mut rego: impl FnMut(&Canonical<'_>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut ask = |path: Option<&Path<'_>>| rego(&Canonical { authority, path });
    let Some(readings) = path.and_then(|path| Readings::several(Some(path), raw_path)) else {
        return ask(path);
    };
    match readings.paths().filter(|paths| paths.len() <= REGO_READINGS) {
        None => ask(None),
        Some(paths) => {
            ask(path)?;
            paths.iter().filter(|reading| Some(*reading) != path).try_for_each(|reading| ask(Some(reading)))
        }
    }
}

/// Connection and request must name the same host.
fn bind(
    scheme: Scheme,
    authority: &Authority,
    server_name: Option<&[u8]>,
    tunnel: Option<&[u8]>,
) -> Result<(), Reason> {
    if scheme == Scheme::Https {
        let server_name =
            server_name.filter(|server_name| !server_name.is_empty()).ok_or(Reason::MissingSni)?;
        if !authority.host.is_spelled(server_name) {
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
