//! The filter without an engine, which has no Rego policy.

use super::{CombinedDecision, InvalidRego};
use crate::facts::Facts;
use weir_policy::Policy;

/// A compiled Rego policy, which does not exist.
#[derive(Debug)]
pub enum Rego {}

impl Rego {
    /// Rejects every plan.
    ///
    /// # Errors
    /// Always: there is no engine.
    pub fn load(_: &[u8]) -> Result<Self, InvalidRego> {
        Err(InvalidRego::NoEngine)
    }

    /// Has no caller: there is no policy.
    pub fn evaluator(&self) -> Evaluator {
        match *self {}
    }
}

/// A worker's own engine, which does not exist.
#[derive(Debug)]
pub enum Evaluator {}

impl Evaluator {
    /// Has no caller: there is no engine.
    pub fn reads_headers(&self) -> bool {
        match *self {}
    }

    /// Has no caller: there is no engine.
    pub fn decide<'p>(&self, _: &'p Policy, _: &Facts<'_>) -> CombinedDecision<'p> {
        match *self {}
    }
}
