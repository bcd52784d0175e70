//! A loaded policy that can be evaluated.

use core::cell::RefCell;
use core::fmt;
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::{RegoVM, VmError};
use regorus::{Rc, Value};

use crate::answer::{Answer, InvalidAnswer};
use crate::containment::contain;
use crate::input::{Input, InputMaker, InvalidInput};
use crate::plan::{Engine, Plan};
use crate::{limits, meter};

/// The interpreter evaluates one rule, but a policy's answer may be an object that several rules build. This rule
/// refers to it.
const ASKS: &str = "weir_asks";
const ANSWER: &str = "data.weir_asks.answer";

/// The message for a panic.
pub(crate) const ENGINE_FAULT: &str = "the engine has a fault of its own with this policy";

/// One policy in one engine. Evaluations are independent of each other.
pub struct Program {
    input: InputMaker,
    query: String,
    machine: RefCell<Machine>,
}

enum Machine {
    Vm(Box<RegoVM>),
    Interpreter(Box<regorus::Engine>),
    /// The engine panicked, and its state is unknown.
    Broken,
}

/// An error for a plan that an engine rejects.
#[derive(Debug, thiserror::Error)]
#[error("the Rego policy does not load: {0}")]
pub struct LoadError(String);

/// The reason why a request has no answer. The request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A field of the input that the policy reads is invalid.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// The policy's value is not an answer.
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
    /// The evaluation took more than [`limits::STEPS`] or [`limits::MEMORY_BYTES`].
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
        Self::load_into(plan, plan.engine)
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
        let machine = contain(|| machine(plan, engine).map_err(|error| LoadError(error.to_string())))
            .unwrap_or_else(|_| Err(LoadError(ENGINE_FAULT.to_owned())))?;
        Ok(Program {
            input: InputMaker::new(plan),
            query: plan.query.clone(),
            machine: RefCell::new(machine),
        })
    }

    /// Returns whether the policy reads any header.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.input.reads_headers()
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
        let input = self.input.make(input)?;
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
        f.debug_struct("Program").field("query", &self.query).finish_non_exhaustive()
    }
}

/// Returns the last line of an engine's message, without the lines that show the place.
fn message(error: &str) -> String {
    let message = error.rsplit_once("error: ").map_or(error, |(_, message)| message);
    message.lines().next().unwrap_or_default().trim().chars().take(200).collect()
}

fn machine(plan: &Plan, engine: Engine) -> Result<Machine, Box<dyn core::error::Error + Send + Sync>> {
    meter::install();
    let mut loaded = regorus::Engine::new();
    for module in &plan.modules {
        loaded.add_policy(module.name.clone(), module.text.clone())?;
    }
    let mut data = Value::from_json_str(&plan.data)?;
    for path in &plan.indexed_lists {
        index_list(&mut data, path);
    }
    loaded.set_strict_builtin_errors(false);
    if engine == Engine::Interpreter {
        let asks = format!("package {ASKS}\n\nanswer := {}\n", plan.query);
        loaded.add_policy(ASKS.to_owned(), asks)?;
        loaded.add_data(data)?;
        loaded.set_execution_timer_config(meter::timer(1));
        // This evaluation prepares what an engine prepares lazily.
        loaded.set_input(Value::new_object());
        meter::start();
        let _ = loaded.eval_rule(ANSWER.to_owned());
        return Ok(Machine::Interpreter(Box::new(loaded)));
    }
    loaded.add_data(data.clone())?;
    let query: Rc<str> = plan.query.as_str().into();
    let compiled = loaded.compile_with_entrypoint(&query)?;
    let program = Compiler::compile_from_policy(&compiled, &[&plan.query]).map_err(|e| e.to_string())?;
    let mut vm = RegoVM::new();
    vm.load_program(Arc::clone(&program));
    vm.set_data(data).map_err(|error| error.to_string())?;
    vm.set_max_instructions(limits::STEPS);
    vm.set_strict_builtin_errors(false);
    vm.set_execution_timer_config(Some(meter::timer(limits::STEPS_BETWEEN_LOOKS)));
    Ok(Machine::Vm(Box::new(vm)))
}

/// Turns the list of texts at the path into a set. Membership tests give equal results, and take constant time.
fn index_list(data: &mut Value, path: &[String]) {
    let mut place = data;
    for name in path {
        let Ok(object) = place.as_object_mut() else { return };
        let Some(below) = object.get_mut(&Value::from(name.as_str())) else { return };
        place = below;
    }
    let Ok(list) = place.as_array() else { return };
    if list.iter().all(|item| matches!(item, Value::String(_))) {
        let mut set = Value::new_set();
        if let Ok(set) = set.as_set_mut() {
            list.iter().for_each(|item| {
                set.insert(item.clone());
            });
        }
        *place = set;
    }
}
