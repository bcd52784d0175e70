//! The record as the filter writes it.

use weir_policy::{Effect, Reason, Scheme};

use crate::json::Object;

/// The longest method in a record, in bytes.
pub const METHOD_LIMIT: usize = 32;
/// The longest host in a record, in bytes of the authority that the client sent.
pub const HOST_LIMIT: usize = 256;
/// The longest path in a record, and the longest reason of a Rego policy, in bytes.
pub const PATH_LIMIT: usize = 256;

/// The fields of a record, borrowed from the request and the decision.
#[derive(Clone, Copy, Debug)]
pub struct RecordFields<'r> {
    /// The effect.
    pub effect: Effect,
    /// The reason.
    pub reason: Reason,
    /// The id of the deciding rule, or of the rule that came nearest to a match.
    pub rule: Option<&'r str>,
    /// The decision's id.
    pub decision_id: &'r str,
    /// The version of the policy that decided.
    pub policy_version: Option<&'r str>,
    /// The canonical host, or the authority as the client sent it.
    pub host: &'r [u8],
    /// The port, if the authority could be read.
    pub port: Option<u16>,
    /// The scheme.
    pub scheme: Scheme,
    /// The method.
    pub method: &'r [u8],
    /// The path without its query.
    pub path: &'r [u8],
    /// The rule's own upstream.
    pub upstream: Option<UpstreamAddress<'r>>,
    /// The server name that Envoy sends to the rule's own upstream. The filter leaves out the server name of every
    /// other request: Envoy takes it from the canonical host, which the record has.
    pub sni: Option<&'r str>,
    /// The Rego policy's reason for its denial.
    pub rego_reason: Option<&'r [u8]>,
    /// Whether report mode forwards a request that the policy denies.
    pub would_deny: bool,
}

/// The host and port of a rule's own upstream.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamAddress<'r> {
    /// The host.
    pub host: &'r str,
    /// The port.
    pub port: u16,
}

impl RecordFields<'_> {
    /// Encodes the record: a JSON object with the keys in the order of this struct's fields. The object has the last four
    /// keys only where they say something.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = Object::new();
        record
            .text("effect", self.effect.as_str())
            .text("reason", self.reason.as_str())
            .optional_text("rule", self.rule)
            .text("decision_id", self.decision_id)
            .optional_text("policy_version", self.policy_version)
            .bytes("host", self.host, HOST_LIMIT)
            .optional_number("port", self.port)
            .text("scheme", self.scheme.as_str())
            .bytes("method", self.method, METHOD_LIMIT)
            .bytes("path", self.path, PATH_LIMIT);
        if let Some(UpstreamAddress { host, port }) = self.upstream {
            record.text("upstream", &format!("{host}:{port}"));
        }
        if let Some(sni) = self.sni {
            record.text("sni", sni);
        }
        if let Some(reason) = self.rego_reason {
            record.bytes("rego_reason", reason, PATH_LIMIT);
        }
        if self.would_deny {
            record.truth("would_deny");
        }
        record.finish()
    }
}
