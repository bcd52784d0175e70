//! A compiled policy in an engine of its own, ready for evaluations.

use core::cell::RefCell;
use core::fmt;
use std::sync::Arc;

use regorus::Value;

use crate::answer::Answer;
use crate::compiled::{CompiledPolicy, LoadError};
use crate::containment::contain;
use crate::evaluation_error::EvaluationError;
use crate::input::Input;
use crate::machine::Machine;
use crate::meter;
use crate::plan::{Engine, Plan};

/// One policy in one engine. Evaluations are independent of each other.
///
/// A program is for one thread. Other threads make programs of the same [`CompiledPolicy`].
pub struct Program {
    policy: Arc<CompiledPolicy>,
    machine: RefCell<Machine>,
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
