//! The decision log: what every Envoy decided, and what became of it.
//!
//! Envoy sends its access log over the same connection that the resources come over. The filter's record says what
//! was decided; Envoy adds what happened afterwards, such as an address that the guard refused.

mod account;
pub(crate) mod decision;
pub(crate) mod denial_flood;
pub(crate) mod hosts_in_use;
pub(crate) mod invalid_request;
pub(crate) mod lines;
pub(crate) mod server;
pub(crate) mod upstream_failure;

pub(crate) use account::Arrived;
pub(crate) use decision::Decision;
pub(crate) use lines::{Line, Lines};
