//! A line of the decision log.

use std::net::SocketAddr;

use serde::Deserialize;

/// A decision as `weir run --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// When the request began, in milliseconds since 1970.
    pub time: u64,
    /// `allow` or `deny`.
    pub effect: String,
    /// Why, in the closed list of reasons.
    pub reason: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The same that the client sees in a denial.
    pub decision_id: Option<String>,
    /// The policy that decided.
    pub policy_version: Option<String>,
    /// The canonical host.
    pub host: Option<String>,
    /// The port asked for.
    pub port: Option<u16>,
    /// The listener that the client's bytes came to.
    pub listener: String,
    /// The client's address and port.
    pub client: Option<SocketAddr>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The path without its query.
    pub path: Option<String>,
    /// The status that the client got.
    pub status: u16,
    /// The address and port of the upstream.
    pub upstream_address: Option<String>,
    /// The names in the certificate of the upstream, once verified.
    #[serde(default)]
    pub upstream_names: Vec<String>,
    /// The version of TLS that the upstream spoke.
    pub upstream_tls: Option<String>,
    /// Host and port of the rule's own upstream.
    pub upstream: Option<String>,
    /// Why the upstream gave no whole answer.
    pub cause: Option<String>,
    /// Why the upstream's transport failed.
    pub failure: Option<String>,
    /// Whether the request went out although the policy would deny it.
    #[serde(default)]
    pub would_deny: bool,
}
