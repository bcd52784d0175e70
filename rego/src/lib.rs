//! Rego policies: checked, compiled, and evaluated within bounds.
//!
//! [`check()`] takes a [`Bundle`] (modules, data, query), says everything that is wrong with it, and makes a [`Plan`];
//! that travels as bytes and is loaded into a [`Program`], natively and in a proxy alike. [`Program::evaluate`] answers
//! an [`Input`] with an [`Answer`] or an [`EvaluationError`]; there is no third outcome, and only an answer that says
//! so allows.
//!
//! ```
//! use weir_rego::{Bundle, Input, Module, Program, check};
//!
//! let text = "package envoy.authz\n\ndefault allow := false\n\nallow if input.attributes.request.http.method == \"GET\"\n";
//! let bundle = Bundle {
//!     modules: vec![Module { name: "policy.rego".into(), text: text.into() }],
//!     data: "{}".into(),
//!     query: "data.envoy.authz.allow".into(),
//! };
//! let program = Program::load(&check(&bundle).expect("a good policy").plan)?;
//! let get = Input {
//!     method: "GET",
//!     scheme: "https",
//!     host: "example.com",
//!     principal: Some("example.com"),
//!     path: Some("/"),
//!     decoded_path: Some(b"/"),
//!     query: None,
//!     headers: &[],
//! };
//! assert!(program.evaluate(&get)?.allowed);
//! assert!(!program.evaluate(&Input { method: "POST", ..get })?.allowed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bounds
//!
//! Requests are hostile; the author of a policy is not, but makes mistakes. What an evaluation takes is in [`limits`].
//! It ends after a number of steps, and, where the memory is counted, when it holds too much. Recursion is refused, and
//! calls that go deep; so are builtins that make much out of little, and patterns that come from a request.
//!
//! # Two engines
//!
//! `regorus` has a virtual machine and an interpreter. The first takes a third of the time, and is wrong about some
//! policies without saying so: `not` over an object that rules build, two values of one rule. It is used for policies of a
//! form that it gets right, and the interpreter for all others; `check` asks both.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod agreement;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a match does not name is walked into by `children`, which names every kind of expression"
)]
mod analysis;
mod answer;
mod bundle;
mod check;
mod containment;
mod engine_error;
mod fault;
mod input;
#[cfg(test)]
mod laws;
pub mod limits;
mod meter;
mod parts;
mod plan;
mod program;
mod ruling;

pub use answer::{Answer, InvalidAnswer};
pub use bundle::{Bundle, DEFAULT_QUERY, Module};
pub use check::{Checked, check};
pub use fault::{Fault, Place};
pub use input::{Input, InvalidInput};
pub use meter::{MemoryInUse, count_memory};
pub use plan::{Engine, InvalidPlanBytes, Plan};
pub use program::{EvaluationError, LoadError, Program};
pub use ruling::{Ruling, decide, explain};
