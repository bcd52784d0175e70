//! A compiled policy in an engine of its own, ready for evaluations.

use core::cell::RefCell;
use core::fmt;
use std::sync::Arc;

use regorus::Value;
use regorus::rvm::vm::{RegoVM, VmError};

use crate::answer::{Answer, InvalidAnswer};
use crate::compiled::{ANSWER, CompiledPolicy, LoadError};
use crate::containment::contain;
use crate::input::{Input, InvalidInput};
use crate::meter;
use crate::plan::{Engine, Plan};

/// One policy in one engine. Evaluations are independent of each other.
///
/// A program is for one thread. Other threads make programs of the same [`CompiledPolicy`].
pub struct Program {
    policy: Arc<CompiledPolicy>,
    machine: RefCell<Machine>,
}

/// An engine with the state of its evaluations.
pub(crate) enum Machine {
    Vm(Box<RegoVM>),
    Interpreter(Box<regorus::Engine>),
    /// The engine panicked, and its state is unknown.
    Broken,
}

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

impl Program {
    /// Loads a plan into its engine.
    ///
    /// # Errors
    /// When the engine rejects the plan. [`crate::check()`] would have reported that.
    pub fn load(plan: &Plan) -> Result<Program, LoadError> {
        CompiledPolicy::new(plan).map(|policy| Self::new(Arc::new(policy)))
    }

    /// Loads the plan into the interpreter as well, if the VM evaluates it, so that a caller can compare
    /// both.
    ///
    /// # Errors
    /// When the interpreter rejects the plan. [`crate::check()`] would have reported that.
    pub fn load_beside(plan: &Plan) -> Result<Option<Program>, LoadError> {
        (plan.engine == Engine::Vm).then(|| Self::load_into(plan, Engine::Interpreter)).transpose()
    }

    pub(crate) fn load_into(plan: &Plan, engine: Engine) -> Result<Program, LoadError> {
        CompiledPolicy::for_engine(plan, engine).map(|policy| Self::new(Arc::new(policy)))
    }

    /// Puts a compiled policy into an engine of its own.
    #[must_use]
    pub fn new(policy: Arc<CompiledPolicy>) -> Program {
        let machine = contain(|| policy.machine()).ok().flatten().unwrap_or(Machine::Broken);
        Program { policy, machine: RefCell::new(machine) }
    }

    /// Returns whether the policy reads any header.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.policy.reads_headers()
    }

    /// Evaluates the policy.
    ///
    /// # Errors
    /// When the result is not an answer. Equal requests have equal results on every machine, except for the memory
    /// limit, which applies only where memory is counted ([`crate::count_memory`]).
    pub fn evaluate(&self, input: &Input<'_>) -> Result<Answer, EvaluationError> {
        Ok(Answer::from_value(&self.value(input)?)?)
    }

    /// Returns the engine's value, before it is read as an answer.
    pub(crate) fn value(&self, input: &Input<'_>) -> Result<Value, EvaluationError> {
        let input = self.policy.input(input)?;
        let Ok(mut machine) = self.machine.try_borrow_mut() else {
            return Err(EvaluationError::Engine("an evaluation is under way".to_owned()));
        };
        meter::start();
        let value = match contain(|| machine.evaluate(input)) {
            Ok(value) => value?,
            Err(_) => {
                *machine = Machine::Broken;
                return Err(EvaluationError::Panicked);
            }
        };
        // An engine may treat an evaluation that exceeded a limit as a rule that does not hold.
        if meter::is_over() {
            return Err(EvaluationError::Exhausted);
        }
        value.map_err(|error| EvaluationError::Engine(message(&error)))
    }
}

impl Machine {
    /// Returns the value, or the engine's error.
    fn evaluate(&mut self, input: Value) -> Result<Result<Value, String>, EvaluationError> {
        match self {
            Machine::Vm(vm) => {
                vm.set_input(input);
                match vm.execute_entry_point_by_index(0) {
                    Err(VmError::InstructionLimitExceeded { .. }) => Err(EvaluationError::Exhausted),
                    result => Ok(result.map_err(|error| error.to_string())),
                }
            }
            Machine::Interpreter(engine) => {
                engine.set_input(input);
                Ok(engine.eval_rule(ANSWER.to_owned()).map_err(|error| error.to_string()))
            }
            Machine::Broken => Err(EvaluationError::Panicked),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Returns the last line of an engine's message, without the lines that show the place.
fn message(error: &str) -> String {
    let message = error.rsplit_once("error: ").map_or(error, |(_, message)| message);
    message.lines().next().unwrap_or_default().trim().chars().take(200).collect()
}
