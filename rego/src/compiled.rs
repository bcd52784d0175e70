//! A policy that is compiled for its engine.

use core::fmt;
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program as Instructions;
use regorus::{Rc, Value};

use crate::containment::contain;
use crate::input::{Input, InputMaker, InvalidInput};
use crate::machine::{ANSWER, ANSWER_PACKAGE, Machine};
use crate::meter;
use crate::plan::{Engine, Plan};

/// The message for a panic.
pub(crate) const ENGINE_FAULT: &str = "the engine has a fault of its own with this policy";

/// A compiled policy. It never changes, and threads may share it; each evaluates it in a [`crate::Program`] of its own.
pub struct CompiledPolicy {
    input: InputMaker,
    query: String,
    code: Code,
}

/// The policy in the form of its engine.
enum Code {
    Vm {
        instructions: Arc<Instructions>,
        data: Value,
    },
    /// A prepared engine, of which each thread has a copy. The copies share the policy and its data.
    Interpreter(Box<regorus::Engine>),
}

/// An error for a plan that an engine rejects.
#[derive(Debug, thiserror::Error)]
#[error("the Rego policy does not load: {0}")]
pub struct LoadError(String);

impl CompiledPolicy {
    /// Compiles a plan for its engine.
    ///
    /// # Errors
    /// When the engine rejects the plan. [`crate::check()`] would have reported that.
    pub fn new(plan: &Plan) -> Result<Self, LoadError> {
        Self::for_engine(plan, plan.engine)
    }

    pub(crate) fn for_engine(plan: &Plan, engine: Engine) -> Result<Self, LoadError> {
        let code = contain(|| compile(plan, engine).map_err(|error| LoadError(error.to_string())))
            .unwrap_or_else(|_| Err(LoadError(ENGINE_FAULT.to_owned())))?;
        Ok(Self { input: InputMaker::new(plan), query: plan.query.clone(), code })
    }

    /// Returns whether the policy reads any header.
    pub(crate) fn reads_headers(&self) -> bool {
        self.input.reads_headers()
    }

    /// Makes the engine's input, with the fields that the policy reads.
    pub(crate) fn input(&self, input: &Input<'_>) -> Result<Value, InvalidInput> {
        self.input.make(input)
    }

    /// Makes an engine with this policy; `None` if the VM rejects data that it accepted when the policy was compiled.
    pub(crate) fn machine(&self) -> Option<Machine> {
        match &self.code {
            Code::Vm { instructions, data } => Machine::vm(instructions, data).ok(),
            Code::Interpreter(engine) => Some(Machine::Interpreter(engine.clone())),
        }
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPolicy").field("query", &self.query).finish_non_exhaustive()
    }
}

fn compile(plan: &Plan, engine: Engine) -> Result<Code, Box<dyn core::error::Error + Send + Sync>> {
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
        loaded.add_policy(
            ANSWER_PACKAGE.to_owned(),
            format!("package {ANSWER_PACKAGE}\n\nanswer := {}\n", plan.query),
        )?;
        loaded.add_data(data)?;
        loaded.set_execution_timer_config(meter::timer(1));
        // This evaluation prepares what an engine prepares lazily.
        loaded.set_input(Value::new_object());
        meter::start();
        let _ = loaded.eval_rule(ANSWER.to_owned());
        return Ok(Code::Interpreter(Box::new(loaded)));
    }
    loaded.add_data(data.clone())?;
    let query: Rc<str> = plan.query.as_str().into();
    let compiled = loaded.compile_with_entrypoint(&query)?;
    let instructions = Compiler::compile_from_policy(&compiled, &[&plan.query]).map_err(|e| e.to_string())?;
    Machine::vm(&instructions, &data).map_err(|error| error.to_string())?;
    Ok(Code::Vm { instructions, data })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bundle, Module, Program, check};

    fn compiled(text: &str, engine: Engine) -> Arc<CompiledPolicy> {
        let modules = vec![Module { name: "policy.rego".to_owned(), text: text.to_owned() }];
        let bundle =
            Bundle { modules, data: r#"{"methods": ["GET"]}"#.to_owned(), query: "data.p.allow".to_owned() };
        Arc::new(CompiledPolicy::for_engine(&check(&bundle).unwrap().plan, engine).unwrap())
    }

    #[test]
    fn threads_share_a_compiled_policy() {
        let text = "package p\n\ndefault allow := false\n\nallow if input.attributes.request.http.method in data.methods\n";
        for engine in [Engine::Vm, Engine::Interpreter] {
            let policy = compiled(text, engine);
            std::thread::scope(|scope| {
                for method in ["GET", "POST", "GET", "PUT"] {
                    let policy = Arc::clone(&policy);
                    scope.spawn(move || {
                        let program = Program::new(policy);
                        for _ in 0..100 {
                            assert_eq!(program.evaluate(&asking(method)).unwrap().allowed, method == "GET");
                        }
                    });
                }
            });
        }
    }

    fn asking(method: &str) -> Input<'_> {
        Input {
            method,
            scheme: "https",
            host: "a.example",
            principal: None,
            path: Some("/"),
            decoded_path: Some(b"/"),
            query: None,
            headers: &[],
        }
    }
}
