//! What the manual's tests attack with.

use crate::{Policy, Reason, Request, Scheme};

pub(crate) fn policy(document: &str) -> Policy {
    crate::compile(document).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A request over TLS with an honest server name, but for what a test replaces.
pub(crate) const HONEST: Request<'static> = Request {
    scheme: Scheme::Https,
    authority: b"allowed.example",
    method: b"GET",
    path: b"/",
    sni: Some(b"allowed.example"),
    tunnel: None,
};

/// The reason for this authority over plain HTTP, where nothing but the authority names the host.
pub(crate) fn plain(policy: &Policy, authority: impl AsRef<[u8]>) -> Reason {
    let request = Request { scheme: Scheme::Http, authority: authority.as_ref(), sni: None, ..HONEST };
    policy.decide(&request).reason
}

/// The reason for this path at the allowed host.
pub(crate) fn path(policy: &Policy, path: impl AsRef<[u8]>) -> Reason {
    policy.decide(&Request { path: path.as_ref(), ..HONEST }).reason
}
