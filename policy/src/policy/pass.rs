//! The evaluation of a TLS connection that Envoy would pass through: by its server name, which must match its
//! CONNECT.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::Policy;
use super::judge::{CanonicalFacts, Observer, Seen, judge};
use crate::authority::Authority;
use crate::decision::Decision;
use crate::host::Host;
use crate::reason::Reason;
use crate::request::Connection;
use crate::scheme::Scheme;

pub(super) fn evaluate<'p>(
    policy: &'p Policy,
    connection: &Connection<'_>,
    observer: &mut impl Observer<'p>,
) -> Decision<'p> {
    let Connection { server_name, port, tunnel } = *connection;
    let Some(name) = server_name.filter(|name| !name.is_empty()) else {
        return Decision::deny(Reason::MissingSni, None, None);
    };
    let Ok(host) = Host::parse(name) else {
        return Decision::deny(Reason::InvalidHost, None, None);
    };
    let authority = Authority { host, port };
    if tunnel.is_some_and(|tunnel| Authority::parse(tunnel, port) != Ok(authority)) {
        return Decision::deny(Reason::TunnelMismatch, None, Some(authority));
    }
    let facts = CanonicalFacts { scheme: Scheme::Https, port, seen: Seen::Connection };
    // Rego policies judge requests, and none is visible here.
    judge(policy, &authority, &facts, observer, || Ok(()))
}
