//! One engine with the state of its evaluations.

use std::sync::Arc;

use regorus::Value;
use regorus::rvm::program::Program as Instructions;
use regorus::rvm::vm::{RegoVM, VmError};

use crate::evaluation_error::EvaluationError;
use crate::{limits, meter};

/// The package of the rule `answer`, which refers to the policy's answer: the interpreter evaluates one rule, but an
/// answer may be an object that several rules build.
pub(crate) const ANSWER_PACKAGE: &str = "weir_asks";
/// The rule that the interpreter evaluates.
pub(crate) const ANSWER: &str = "data.weir_asks.answer";

/// An engine with the state of its evaluations.
pub(crate) enum Machine {
    Vm(Box<RegoVM>),
    Interpreter(Box<regorus::Engine>),
    /// The engine panicked, and its state is unknown.
    Broken,
}

impl Machine {
    /// Makes a VM with these instructions and this data.
    pub(crate) fn vm(instructions: &Arc<Instructions>, data: &Value) -> Result<Self, VmError> {
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(instructions));
        vm.set_data(data.clone())?;
        vm.set_max_instructions(limits::STEPS);
        vm.set_strict_builtin_errors(false);
        vm.set_execution_timer_config(Some(meter::timer(limits::STEPS_BETWEEN_LOOKS)));
        Ok(Self::Vm(Box::new(vm)))
    }

    /// Returns the policy's value, or the engine's error.
    pub(crate) fn evaluate(&mut self, input: Value) -> Result<Result<Value, String>, EvaluationError> {
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
