//! The combined decision: the document's rules, and the Rego policy for requests that the rules allow.

use core::cell::Cell;

use weir_policy::{Canonical, Decision, Path, Policy, Reason, Request, Scheme, Trace};

use crate::agreement::agree;
use crate::answer::Answer;
use crate::evaluation_error::EvaluationError;
use crate::input::{Input, InvalidInput};
use crate::program::Program;

/// A decision, with the Rego policy's answer.
#[derive(Clone, Debug)]
pub struct DecisionWithAnswer<'p> {
    /// The combined decision.
    pub decision: Decision<'p>,
    /// The Rego policy's answer; `None` if it was not evaluated.
    pub answer: Option<Result<Answer, EvaluationError>>,
}

impl DecisionWithAnswer<'_> {
    /// Returns whether two engines' answers agree. An engine that exceeded a limit counts as agreeing.
    #[must_use]
    pub fn agrees(&self, other: &DecisionWithAnswer<'_>) -> bool {
        match (&self.answer, &other.answer) {
            (Some(one), Some(other)) => agree(one, other),
            (one, other) => one == other,
        }
    }
}

/// Decides a request by the policy and its Rego policy. `headers` are those that Envoy forwards, with names in lower
/// case.
///
/// Both must allow a request, unless a mode overrides a denial. The Rego policy is not evaluated for requests that
/// the rules deny.
#[must_use]
pub fn decide<'p>(
    policy: &'p Policy,
    program: &Program,
    request: &Request<'_>,
    headers: &[(&str, &[u8])],
) -> DecisionWithAnswer<'p> {
    let answer = Cell::new(None);
    let decision =
        policy.decide_with_rego(request, |canonical| ask(program, request, canonical, headers, &answer));
    DecisionWithAnswer { decision, answer: answer.take() }
}

/// Decides as [`decide`] does, and returns a trace of the evaluation.
#[must_use]
pub fn explain<'p>(
    policy: &'p Policy,
    program: &Program,
    request: &Request<'_>,
    headers: &[(&str, &[u8])],
) -> (DecisionWithAnswer<'p>, Trace<'p>) {
    let answer = Cell::new(None);
    let (decision, trace) =
        policy.explain_with_rego(request, |canonical| ask(program, request, canonical, headers, &answer));
    (DecisionWithAnswer { decision, answer: answer.take() }, trace)
}

fn ask(
    program: &Program,
    request: &Request<'_>,
    canonical: &Canonical<'_>,
    headers: &[(&str, &[u8])],
    answer: &Cell<Option<Result<Answer, EvaluationError>>>,
) -> Result<(), Reason> {
    let given = evaluate(program, request, canonical, headers);
    let reason = match &given {
        Ok(answer) if answer.allowed => Ok(()),
        Ok(_) => Err(Reason::DeniedByRego),
        Err(EvaluationError::Input(InvalidInput::AmbiguousPath)) => Err(Reason::AmbiguousPath),
        Err(_) => Err(Reason::RegoError),
    };
    answer.set(Some(given));
    reason
}

fn evaluate(
    program: &Program,
    request: &Request<'_>,
    canonical: &Canonical<'_>,
    headers: &[(&str, &[u8])],
) -> Result<Answer, EvaluationError> {
    let authority = canonical.authority;
    let name = authority.host.as_str();
    let host = if authority.port == request.scheme.default_port() { name } else { &authority.to_string() };
    let path = canonical.path.map(ToString::to_string);
    let query = request.path.iter().position(|byte| *byte == b'?');
    program.evaluate(&Input {
        method: core::str::from_utf8(request.method).map_err(|_| InvalidInput::NotText)?,
        scheme: request.scheme.as_str(),
        host,
        principal: (request.scheme == Scheme::Https).then_some(name),
        path: path.as_deref(),
        decoded_path: canonical.path.map(Path::as_bytes),
        query: query.and_then(|mark| request.path.get(mark.saturating_add(1)..)),
        headers,
    })
}
