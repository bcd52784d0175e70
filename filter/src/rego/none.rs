//! The filter without an engine, which has no Rego policy.

use super::{CombinedDecision, Engine, InvalidRego};
use crate::facts::Facts;
use weir_policy::Policy;

/// A Rego policy that does not exist.
#[derive(Debug)]
pub enum Rego {}

impl Engine for Rego {
    fn load(_: &[u8]) -> Result<Self, InvalidRego> {
        Err(InvalidRego::NoEngine)
    }

    fn reads_headers(&self) -> bool {
        match *self {}
    }

    fn decide<'p>(&self, _: &'p Policy, _: &Facts<'_>) -> CombinedDecision<'p> {
        match *self {}
    }
}
