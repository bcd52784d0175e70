//! The engine of `weir-rego`.

use super::{CombinedDecision, Engine, InvalidRego, RegoDenial};
use crate::facts::Facts;
use weir_policy::{Policy, Reason};
use weir_rego::{DecisionWithAnswer, Plan, Program};

/// A loaded Rego policy.
#[derive(Debug)]
pub struct Rego(Program);

impl Engine for Rego {
    fn load(bytes: &[u8]) -> Result<Self, InvalidRego> {
        let plan = Plan::from_bytes(bytes).map_err(|error| InvalidRego::Refused(error.to_string()))?;
        Program::load(&plan).map(Rego).map_err(|error| InvalidRego::Refused(error.to_string()))
    }

    fn reads_headers(&self) -> bool {
        self.0.reads_headers()
    }

    fn decide<'p>(&self, policy: &'p Policy, facts: &Facts<'_>) -> CombinedDecision<'p> {
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
