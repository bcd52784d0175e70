//! The decision record: one JSON object in the request's filter state, which Envoy's access log carries to the control
//! plane.
//!
//! | key | content |
//! |---|---|
//! | `effect`, `reason`, `rule` | the decision, and the id of the rule behind it |
//! | `decision_id` | unique; the client of a denied request gets it too |
//! | `policy_version` | the version of the policy that decided |
//! | `host`, `port`, `scheme`, `method`, `path` | the request; the path without its query |
//! | `upstream` | host and port of the rule's own upstream, if the rule has one |
//! | `sni` | the server name that Envoy sends to that upstream, if the connection is TLS |
//! | `rego_reason` | the Rego policy's reason for its denial |
//! | `would_deny` | `true` if report mode forwards a request that the policy denies |
//!
//! Filter and control plane may be of different releases. The reader ignores a key that it does not know, takes a
//! missing or malformed value as absent, and keeps a word that it does not know as text ([`Word`]).

mod reader;
mod word;
mod writer;

pub use reader::{DecisionRecord, InvalidRecord};
pub use word::{Term, Word};
pub use writer::{HOST_LIMIT, METHOD_LIMIT, PATH_LIMIT, RecordFields, UpstreamAddress};

#[cfg(test)]
mod tests;
