//! The decision log: each Envoy's decisions, and the outcome of each request.
//!
//! Envoy sends its access log over the connection that also carries its resources. The filter's record has the
//! decision; Envoy adds later events, such as a refusal by the address guard.

mod account;
pub(crate) mod certificate_refusals;
pub(crate) mod denial_flood;
pub(crate) mod hosts_in_use;
pub(crate) mod invalid_request;
pub(crate) mod lines;
pub(crate) mod logged_decision;
pub(crate) mod refused_certificate;
pub(crate) mod server;
pub(crate) mod upstream_failure;

pub(crate) use account::Arrived;
pub(crate) use lines::{Line, Lines};
pub(crate) use logged_decision::LoggedDecision;
