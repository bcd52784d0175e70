//! No engine: there is never a Rego policy here.

use super::{Engine, InvalidRego, Opinion};
use crate::facts::Facts;
use weir_policy::Policy;

/// A Rego policy that cannot be.
#[derive(Debug)]
pub enum Rego {}

impl Engine for Rego {
    fn load(_: &[u8]) -> Result<Self, InvalidRego> {
        Err(InvalidRego::NoEngine)
    }

    fn reads_headers(&self) -> bool {
        match *self {}
    }

    fn decide<'p>(&self, _: &'p Policy, _: &Facts<'_>) -> Opinion<'p> {
        match *self {}
    }
}
