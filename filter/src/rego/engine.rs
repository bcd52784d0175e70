//! The engine of `weir-rego`.

use super::{CombinedDecision, InvalidRego, RegoDenial};
use crate::facts::Facts;
use std::sync::Arc;
use weir_policy::{Policy, Reason};
use weir_rego::{CompiledPolicy, DecisionWithAnswer, Plan, Program};

/// A compiled Rego policy, which workers share.
#[derive(Debug)]
pub struct Rego(Arc<CompiledPolicy>);

impl Rego {
    /// Loads a plan's bytes.
    ///
    /// # Errors
    /// When the bytes are not a plan, or the engine rejects the plan.
    pub fn load(bytes: &[u8]) -> Result<Self, InvalidRego> {
        let plan = Plan::from_bytes(bytes).map_err(|error| InvalidRego::Refused(error.to_string()))?;
        let policy = CompiledPolicy::new(&plan).map_err(|error| InvalidRego::Refused(error.to_string()))?;
        Ok(Self(Arc::new(policy)))
    }

    /// Makes an evaluator for one worker.
    pub fn evaluator(&self) -> Evaluator {
        Evaluator(Program::new(Arc::clone(&self.0)))
    }
}

/// A worker's own engine.
#[derive(Debug)]
pub struct Evaluator(Program);

impl Evaluator {
    /// Returns whether the policy reads headers.
    pub fn reads_headers(&self) -> bool {
        self.0.reads_headers()
    }

    /// Decides by both policies.
    pub fn decide<'p>(&self, policy: &'p Policy, facts: &Facts<'_>) -> CombinedDecision<'p> {
        let DecisionWithAnswer { decision, answer } =
            weir_rego::decide(policy, &self.0, &facts.request(), &facts.headers);
        let (denial, failure) = match answer {
            Some(Ok(answer)) if decision.reason == Reason::DeniedByRego => (Some(answer), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            Some(Ok(_)) | None => (None, None),
        };
        let rego_denial = denial.map(|answer| RegoDenial {
            reason: answer.reason,
            status: answer.status,
            body: answer.body,
            headers: answer.headers,
        });
        CombinedDecision { decision, rego_denial, failure }
    }
}
