//! Egress policies for a workload: policy documents, compiled policies, decisions.
//!
//! This crate is pure: it has no I/O and no clock, and does not know Envoy. A document (YAML, or JSON, which is YAML)
//! is compiled once, natively, into a [`Policy`]. The policy *is* its wire form, one block of bytes that travels to
//! every proxy and is read in place there. A decision is total (every request has one), deterministic and bounded by
//! [`limits`]. It carries its effect, its [`Reason`] and the rule that made it.
//!
//! ```
//! # #[cfg(feature = "compile")]
//! # fn main() -> Result<(), weir_policy::Faults> {
//! use weir_policy::{Effect, Reason, Request, Scheme};
//!
//! let policy = weir_policy::compile(
//!     "rules:
//!        - id: crates
//!          effect: allow
//!          hosts: [index.crates.io, '*.crates.io']
//!          methods: [GET]",
//! )?;
//! let request = Request {
//!     scheme: Scheme::Https,
//!     authority: b"Index.Crates.IO:443",
//!     method: b"GET",
//!     path: b"/se/rd/serde",
//!     server_name: Some(b"index.crates.io"),
//!     tunnel: None,
//! };
//! assert_eq!(policy.decide(&request).effect, Effect::Allow);
//! let post = policy.decide(&Request { method: b"POST", ..request });
//! assert_eq!(post.reason, Reason::MethodNotAllowed);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "compile"))]
//! # fn main() {}
//! ```
//!
//! # The order of a decision
//!
//! 1. The authority is parsed into a canonical [`Authority`] (`invalid_host`).
//! 2. Over TLS, the server name must be present (`missing_sni`) and name the authority's host (`sni_mismatch`).
//!    Inside a CONNECT, host and port of the tunnel must match the request's (`tunnel_mismatch`).
//! 3. Method (`invalid_method`) and path (`ambiguous_path`) are parsed. A path that no server can follow safely
//!    (`/..`, `%00`, `/a%2f..`) is denied. A path that servers read in several ways (`%2f`, `%2561`, `//x`,
//!    `/admin;x`) has *readings*.
//! 4. Every rule for the host is evaluated. A matching deny rule decides (`denied_by_rule`). Otherwise the first
//!    matching allow rule in the document's order decides (`allowed`). Otherwise the allow rule that came nearest
//!    gives the reason: host, scheme, port, method, path. Readings make no difference to a rule without `paths`. An
//!    allow rule with `paths` matches if every reading matches. A deny rule with `paths` denies if one reading
//!    matches, and gives the reason `ambiguous_path` if other readings do not.
//!
//! # Connections that Envoy passes through
//!
//! A rule with `tls: passthrough` allows TLS connections by their server name and port ([`Policy::pass`]), and allows
//! no requests. A deny rule that could match a request inside denies the whole connection.
//!
//! # Rego
//!
//! If the document names a Rego policy, that policy judges the requests that step 4 allows
//! ([`Policy::decide_with_rego`]). Envoy forwards only requests that both allow. A document without allow rules
//! leaves decisions to the Rego policy, but its deny rules still apply. Evaluated without its Rego policy, such a
//! policy allows nothing. Passed-through connections are not subject to the Rego policy.
//!
//! # Modes
//!
//! The mode of a denial is that of the rule that it names, or else the document's.
//! - `enforce`: the request is denied.
//! - `report`: the request is forwarded. The decision carries the denial's reason and rule, and
//!   [`Decision::would_deny`].
//! - `open`: a request that no rule allows is forwarded (`open_mode`).
//!
//! A deny rule in report mode is only reported; an enforcing deny rule beside it still denies. In every mode, steps 1
//! to 3 deny, because the request has no known target. A path with several readings is denied by a rule in step 4, so
//! that rule's mode applies. Two more denials are independent of the mode: a request to a host that is passed
//! through, and a passed-through connection to a host that is not (`tls_not_allowed`).
//!
//! # Features
//!
//! The feature `compile` (default) adds the reader of documents and decision cases. The filter builds without it. The
//! feature changes no decision.
//!
//! The module [`manual`] explains each canonical form, attack by attack.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod address_set;
mod authority;
#[cfg(feature = "compile")]
pub mod cases;
#[cfg(feature = "compile")]
mod compile;
mod decision;
#[cfg(feature = "compile")]
mod document;
mod effect;
#[cfg(feature = "compile")]
mod fault;
#[cfg(feature = "compile")]
mod file_fault;
mod git;
mod github_api;
mod host;
mod host_pattern;
#[cfg(all(test, feature = "compile"))]
mod laws;
pub mod limits;
pub mod manual;
mod method;
mod mode;
mod path;
mod policy;
mod reason;
mod request;
#[cfg(feature = "compile")]
mod resolved_rule;
mod rule;
mod scheme;
mod sessions;
mod source_lines;
mod target;
mod tls;
mod upstream;
mod wire;

pub use address_set::AddressSet;
pub use authority::Authority;
#[cfg(feature = "compile")]
pub use compile::{Compiled, compile, compile_document, compile_with_public_suffixes};
pub use decision::Decision;
#[cfg(feature = "compile")]
pub use document::{RegoFiles, Spanned};
pub use effect::Effect;
#[cfg(feature = "compile")]
pub use fault::{Fault, Faults};
#[cfg(feature = "compile")]
pub use file_fault::{FileFault, file_faults};
pub use host::{Host, InvalidHost};
pub use host_pattern::HostPattern;
pub use method::{InvalidMethod, Method};
pub use mode::Mode;
pub use path::{InvalidPath, Path};
pub use policy::{Canonical, Policy, PolicyVersion, Port, RuleOutcome, Step, Trace};
pub use reason::Reason;
pub use request::{Connection, Request, Tunnel};
pub use rule::Rule;
pub use scheme::Scheme;
pub use sessions::Sessions;
pub use source_lines::{LineColumn, SourceLines};
pub use target::{InvalidTarget, Target};
pub use tls::Tls;
pub use upstream::Upstream;
pub use wire::InvalidPolicyBytes;
