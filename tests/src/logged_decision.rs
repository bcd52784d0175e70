//! A line of the decision log.

use std::net::SocketAddr;

use serde::Deserialize;

/// A decision as `weir run --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LoggedDecision {
    /// When the request began, in milliseconds since 1970.
    pub time: u64,
    /// `allow` or `deny`.
    pub effect: String,
    /// The reason, from the closed list of reasons.
    pub reason: String,
    /// The rule that decided, if any.
    pub rule: Option<String>,
    /// The id that the client also gets in a denial.
    pub decision_id: Option<String>,
    /// The version of the policy that decided.
    pub policy_version: Option<String>,
    /// The canonical host.
    pub host: Option<String>,
    /// The port of the request.
    pub port: Option<u16>,
    /// The listener that accepted the client's connection.
    pub listener: String,
    /// The client's address and port.
    pub client: Option<SocketAddr>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The path without its query.
    pub path: Option<String>,
    /// The status of the client's response.
    pub status: u16,
    /// How often the request was sent.
    pub attempts: u32,
    /// The address and port of the upstream.
    pub upstream_address: Option<String>,
    /// The names in the upstream's verified certificate.
    #[serde(default)]
    pub upstream_names: Vec<String>,
    /// The TLS version of the upstream connection.
    pub upstream_tls: Option<String>,
    /// The host and port of the rule's own upstream.
    pub upstream: Option<String>,
    /// The server name that Envoy sent to the upstream.
    pub sni: Option<String>,
    /// The reason why the upstream gave no complete response.
    pub cause: Option<String>,
    /// The failure of the upstream's transport.
    pub failure: Option<String>,
    /// Whether Envoy forwarded the request in report mode although the policy denies it.
    #[serde(default)]
    pub would_deny: bool,
}
