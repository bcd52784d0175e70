//! The reasons why a policy gives no answer for a request.

use crate::answer::InvalidAnswer;
use crate::input::InvalidInput;

/// The reason why a request has no answer. The request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A field of the input that the policy reads is invalid.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// The policy's value is not an answer.
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
    /// The evaluation took more than [`STEPS`](crate::limits::STEPS) or [`MEMORY_BYTES`](crate::limits::MEMORY_BYTES).
    #[error("the evaluation takes too long or too much memory")]
    Exhausted,
    /// The engine panicked. In the filter this would end the worker's streams, so [`crate::check()`] refuses a policy
    /// that causes it.
    #[error("the engine has a fault of its own here")]
    Panicked,
    /// The engine failed, for example because rules contradict each other.
    #[error("{0}")]
    Engine(String),
}
