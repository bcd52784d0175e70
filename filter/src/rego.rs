//! The Rego policy, in the filter that has an engine for it.
//!
//! This code makes two filters. The small one lacks the feature `rego`, and rejects a configuration with a Rego policy.
//! The other one has an engine. Under a configuration that both accept, both decide alike.

use thiserror::Error;
use weir_policy::Decision;

#[cfg(feature = "rego")]
mod engine;
#[cfg(not(feature = "rego"))]
mod none;
#[cfg(feature = "rego")]
pub use engine::{Evaluator, Rego};
#[cfg(not(feature = "rego"))]
pub use none::{Evaluator, Rego};

/// An error for a Rego policy that the filter cannot use.
#[derive(Debug, Error)]
pub enum InvalidRego {
    /// This build of the filter has no engine.
    #[error("this filter has no engine for Rego")]
    NoEngine,
    /// The bytes are not a plan, or the engine rejects the plan.
    #[error("{0}")]
    Refused(String),
}

/// The decision of the policy and the Rego policy together.
#[derive(Debug)]
pub struct CombinedDecision<'p> {
    /// The decision.
    pub decision: Decision<'p>,
    /// The Rego policy's denial, if it denies the request.
    pub rego_denial: Option<RegoDenial>,
    /// The reason why the Rego policy gave no answer, for the operator's log.
    pub failure: Option<String>,
}

/// A Rego policy's denial, with the texts that the policy chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegoDenial {
    /// The reason.
    pub reason: Option<String>,
    /// The status, 400 to 599.
    pub status: Option<u16>,
    /// A text for the response's body.
    pub body: Option<String>,
    /// Headers for the response, all of them harmless.
    pub headers: Vec<(String, String)>,
}
