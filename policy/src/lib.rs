//! What a workload may reach: policy documents, compiled policies, decisions.
//!
//! Pure: no I/O, no clock, no Envoy. A document (YAML, or JSON, which is YAML) is compiled once, natively, into a
//! [`Policy`]; the policy *is* its wire form, one block of bytes that travels to every proxy and is read in place
//! there. A decision is total (every request has one), deterministic and bounded by [`limits`], and carries its effect,
//! its [`Reason`] and the rule that made it.
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
//!     sni: Some(b"index.crates.io"),
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
//! 2. Over TLS the server name must be present (`missing_sni`) and name the same host (`sni_mismatch`); inside a CONNECT
//!    the tunnel's authority must be the request's, host and port (`tunnel_mismatch`).
//! 3. Method (`invalid_method`) and path (`ambiguous_path`) are parsed. A path that nobody can follow (`/..`, `%00`,
//!    `/a%2f..`) is refused. A path that servers read in several ways (`%2f`, `%2561`, `//x`, `/admin;x`) has *readings*.
//! 4. Every rule for the host is asked. One deny rule that matches decides (`denied_by_rule`); else the first allow
//!    rule in the document's order that matches decides (`allowed`); else the allow rule that came furthest names the
//!    reason: host, scheme, port, method, path. A rule without `paths` takes each reading for any other path. An allow
//!    rule with `paths` matches if each reading does; a deny rule with `paths` denies if one does, as `ambiguous_path`
//!    where others do not.
//!
//! # Connections that are not opened
//!
//! A rule with `tls: passthrough` allows TLS connections by their server name and port ([`Policy::pass`]), and no request.
//! A deny rule that could be about something inside denies the whole.
//!
//! # Rego
//!
//! Where the document names a Rego policy, what step 4 allows is asked of it ([`Policy::decide_with_rego`]): only what
//! both allow goes out. A document that allows nothing itself leaves the allowing to Rego; its deny rules hold all the
//! same. Without the Rego policy such a policy allows nothing. What is passed through is not asked of it.
//!
//! # Modes
//!
//! The mode that counts is that of the rule that a denial names, and the document's where it names none. `enforce`: the
//! denial stands. `report`: the request goes out, and the decision carries the denial's reason and rule and
//! [`Decision::would_deny`]. `open`: what no rule allows goes out (`open_mode`). A deny rule in report mode is passed over
//! and reported; an enforcing one beside it stands. Steps 1 to 3 are refused in every mode: there is nowhere to send such
//! a request, or no saying where it goes. A path with several readings is refused in step 4, by a rule, and so its mode
//! counts. So is a request to a host that is passed through, and a connection to one that
//! is not (`tls_not_allowed`).
//!
//! # Features
//!
//! `compile` (default) reads documents and decision cases. The filter builds without it; it changes no decision.
//!
//! The reasoning behind each canonical form, attack by attack, is in [`manual`].

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
mod rule;
mod scheme;
mod target;
mod tls;
mod upstream;
mod wire;

pub use address_set::AddressSet;
pub use authority::Authority;
#[cfg(feature = "compile")]
pub use compile::{Compiled, compile, compile_document};
pub use decision::{Decision, Effect};
#[cfg(feature = "compile")]
pub use document::{RegoFiles, Written};
#[cfg(feature = "compile")]
pub use fault::{Fault, Faults};
#[cfg(feature = "compile")]
pub use file_fault::{FileFault, file_faults};
pub use host::{Host, InvalidHost};
pub use host_pattern::HostPattern;
pub use method::{InvalidMethod, Method};
pub use mode::Mode;
pub use path::{InvalidPath, Path};
pub use policy::{Canonical, Outcome, Policy, PolicyVersion, Port, Step, Trace};
pub use reason::Reason;
pub use request::{Connection, Request, Tunnel};
pub use rule::Rule;
pub use scheme::Scheme;
pub use target::{InvalidTarget, Target};
pub use tls::Tls;
pub use upstream::{Sessions, Upstream};
pub use wire::InvalidPolicyBytes;
