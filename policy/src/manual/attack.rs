//! Helpers for the manual's tests.

use crate::{Policy, Reason, Request, Scheme};

pub(crate) fn policy(document: &str) -> Policy {
    crate::compile(document).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A TLS request with an honest server name. Tests replace single fields of it.
pub(crate) const HONEST: Request<'static> = Request {
    scheme: Scheme::Https,
    authority: b"allowed.example",
    method: b"GET",
    path: b"/",
    server_name: Some(b"allowed.example"),
    tunnel: None,
};

/// The reason of the decision for an authority over plain HTTP, where only the authority names the host.
pub(crate) fn plain(policy: &Policy, authority: impl AsRef<[u8]>) -> Reason {
    let request =
        Request { scheme: Scheme::Http, authority: authority.as_ref(), server_name: None, ..HONEST };
    policy.decide(&request).reason
}

/// The reason of the decision for a path at the allowed host.
pub(crate) fn path(policy: &Policy, path: impl AsRef<[u8]>) -> Reason {
    policy.decide(&Request { path: path.as_ref(), ..HONEST }).reason
}
