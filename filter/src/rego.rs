//! The Rego policy, in the filter that has an engine for one.
//!
//! Two filters are built of this code: a small one without the feature `rego`, which refuses a configuration that
//! brings a Rego policy, and one with it. Neither decides what the other would decide otherwise.

use crate::facts::Facts;
use thiserror::Error;
use weir_policy::{Decision, Policy};

#[cfg(feature = "rego")]
mod engine;
#[cfg(not(feature = "rego"))]
mod none;
#[cfg(feature = "rego")]
pub use engine::Rego;
#[cfg(not(feature = "rego"))]
pub use none::Rego;

/// Why a Rego policy cannot be used.
#[derive(Debug, Error)]
pub enum InvalidRego {
    /// This is the filter without an engine.
    #[error("this filter has no engine for Rego")]
    NoEngine,
    /// The bytes are no plan, or the engine refuses it.
    #[error("{0}")]
    Refused(String),
}

/// What both policies say.
#[derive(Debug)]
pub struct Opinion<'p> {
    /// Their decision.
    pub decision: Decision<'p>,
    /// What the Rego policy said to its denial.
    pub words: Option<Words>,
    /// Why it gave no answer; for the operator's log.
    pub failure: Option<String>,
}

/// What a Rego policy says to a denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Why.
    pub reason: Option<String>,
    /// The status, 400 to 599.
    pub status: Option<u16>,
    /// More to say.
    pub body: Option<String>,
    /// Headers that are safe to give.
    pub headers: Vec<(String, String)>,
}

/// The two kinds of filter answer alike.
pub(crate) trait Engine: Sized {
    /// Takes a plan's bytes.
    fn load(bytes: &[u8]) -> Result<Self, InvalidRego>;
    /// Whether the policy reads headers.
    fn reads_headers(&self) -> bool;
    /// Decides by both policies.
    fn decide<'p>(&self, policy: &'p Policy, facts: &Facts<'_>) -> Opinion<'p>;
}
