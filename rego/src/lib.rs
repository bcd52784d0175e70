//! Rego policies: checked, compiled, and evaluated within bounds.
//!
//! [`check()`] takes a [`Bundle`] (modules, data, query), reports all its faults, and makes a [`Plan`]. The plan
//! travels as bytes and is loaded into a [`Program`], natively and in a proxy alike. [`Program::evaluate`] turns an
//! [`Input`] into an [`Answer`] or an [`EvaluationError`]. Only an answer can allow a request.
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
//! Requests are hostile. The author of a policy is not, but may make mistakes. [`limits`] lists the bounds of an
//! evaluation. It ends after a number of steps and, where memory is counted, when it holds too much. `check` refuses
//! recursion and deep calls, builtins that make much out of little, and patterns that come from a request.
//!
//! # Two engines
//!
//! `regorus` has a virtual machine (VM) and an interpreter. The VM takes a third of the time, but evaluates
//! some policies wrongly without an error: `not` over an object that rules build, or two values of one rule. It
//! evaluates policies of a form that it handles correctly, and the interpreter evaluates all others. `check` compares
//! both.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod agreement;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "an unlisted kind of expression is visited through `children`, which lists every kind"
)]
mod analysis;
mod answer;
mod bundle;
mod check;
mod compiled;
mod containment;
mod decision;
mod engine_error;
mod evaluation_error;
mod fault;
mod input;
mod input_fields;
#[cfg(test)]
mod laws;
pub mod limits;
mod machine;
mod meter;
mod plan;
mod program;

pub use answer::{Answer, InvalidAnswer};
pub use bundle::{Bundle, DEFAULT_QUERY, Module};
pub use check::{Checked, check};
pub use compiled::{CompiledPolicy, LoadError};
pub use decision::{DecisionWithAnswer, decide, explain};
pub use evaluation_error::EvaluationError;
pub use fault::{Fault, Place};
pub use input::{Input, InvalidInput};
pub use meter::{MemoryInUse, count_memory};
pub use plan::{Engine, InvalidPlanBytes, Plan};
pub use program::Program;
