//! The two policies together: the document's rules, and the Rego policy on what they allow.

use core::cell::Cell;

use weir_policy::{Canonical, Decision, Path, Policy, Reason, Request, Scheme, Trace};

use crate::agreement::agree;
use crate::answer::Answer;
use crate::input::{Input, InvalidInput};
use crate::program::{EvaluationError, Program};

/// A decision, and what Rego said on the way.
#[derive(Clone, Debug)]
pub struct Ruling<'p> {
    /// Of both together.
    pub decision: Decision<'p>,
    /// What the Rego policy answered; none if it was not asked.
    pub answer: Option<Result<Answer, EvaluationError>>,
}

impl Ruling<'_> {
    /// Whether another engine's ruling says the same, as far as an engine that gave up can say anything.
    #[must_use]
    pub fn agrees(&self, other: &Ruling<'_>) -> bool {
        match (&self.answer, &other.answer) {
            (Some(one), Some(other)) => agree(one, other),
            (one, other) => one == other,
        }
    }
}

/// Decides a request by a policy and its Rego policy. `headers` are those that go on, names in lower case.
///
/// Only what both allow goes out, but for the modes that let out what is denied. What the rules deny is not asked.
#[must_use]
pub fn decide<'p>(
    policy: &'p Policy,
    program: &Program,
    request: &Request<'_>,
    headers: &[(&str, &[u8])],
) -> Ruling<'p> {
    let answer = Cell::new(None);
    let decision =
        policy.decide_with_rego(request, |canonical| ask(program, request, canonical, headers, &answer));
    Ruling { decision, answer: answer.take() }
}

/// [`decide`], with what was asked on the way.
#[must_use]
pub fn explain<'p>(
    policy: &'p Policy,
    program: &Program,
    request: &Request<'_>,
    headers: &[(&str, &[u8])],
) -> (Ruling<'p>, Trace<'p>) {
    let answer = Cell::new(None);
    let (decision, trace) =
        policy.explain_with_rego(request, |canonical| ask(program, request, canonical, headers, &answer));
    (Ruling { decision, answer: answer.take() }, trace)
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
