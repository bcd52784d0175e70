//! Checks a policy and makes a plan of it. It reports every fault here, before the first request.

use regorus::Value;

use crate::agreement::{self, PANIC_HELP};
use crate::analysis::{self, Analysis, Rewrite};
use crate::bundle::{Bundle, Module};
use crate::compiled::ENGINE_FAULT;
use crate::containment::contain;
use crate::engine_error;
use crate::fault::{Fault, Place};
use crate::limits;
use crate::plan::{Engine, Plan};
use crate::program::Program;

/// A policy without faults.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The plan to evaluate.
    pub plan: Plan,
    /// The reason why the interpreter evaluates the policy, if it does: the first form that the VM is not trusted with,
    /// and its place.
    pub interpreter_reason: Option<(Option<Place>, String)>,
}

/// Checks a policy: its text, the input that it reads, the calls that it makes, and the answers of both engines to
/// generated requests.
///
/// # Errors
/// All faults, at most [`limits::FAULTS`].
pub fn check(bundle: &Bundle) -> Result<Checked, Vec<Fault>> {
    let faults = refuse_large(bundle);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (data, fault) = match read_data(&bundle.data) {
        Ok(data) => (data, None),
        Err(fault) => (Value::new_object(), Some(fault)),
    };
    let Ok(analysis) = contain(|| analysis::analyse(bundle, &data)) else {
        return Err(vec![Fault {
            place: panic_place(bundle),
            ..Fault::without_place(ENGINE_FAULT, PANIC_HELP)
        }]);
    };
    drop(data);
    let Analysis { mut faults, fields, headers, interpreter_reason, indexed_lists, mut rewrites, query } =
        analysis;
    faults.extend(fault);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut plan = Plan {
        engine: if interpreter_reason.is_some() { Engine::Interpreter } else { Engine::Vm },
        fields,
        headers,
        query: bundle.query.clone(),
        data: bundle.data.clone(),
        indexed_lists,
        modules: bundle.modules.clone(),
    };
    // The places of faults refer to the original text.
    let written =
        Program::load_into(&plan, Engine::Interpreter).map_err(|error| vec![of_engine(bundle, &error)])?;
    rewrites.retain(|rewrite| plan.engine == Engine::Vm || !rewrite.guards);
    rewrite(&mut plan, rewrites);
    let interpreter =
        Program::load_into(&plan, Engine::Interpreter).map_err(|error| vec![of_engine(bundle, &error)])?;
    let mut interpreter_reason = interpreter_reason.map(|(place, why)| (Some(place), why.to_owned()));
    let mut vm = None;
    if plan.engine == Engine::Vm {
        match Program::load_into(&plan, Engine::Vm) {
            Ok(program) => vm = Some(program),
            Err(error) => {
                plan.engine = Engine::Interpreter;
                interpreter_reason = Some((None, error.to_string()));
            }
        }
    }
    let engines: Vec<&Program> = [&written, &interpreter].into_iter().chain(&vm).collect();
    let faults = agreement::faults(bundle, query.as_ref(), &engines);
    // Equal policies have equal bytes, whatever their files are called.
    for (index, module) in plan.modules.iter_mut().enumerate() {
        module.name = format!("{index}.rego");
    }
    if faults.is_empty() { Ok(Checked { plan, interpreter_reason }) } else { Err(faults) }
}

/// Returns the start of the first module on which the parser panics.
fn panic_place(bundle: &Bundle) -> Option<Place> {
    let panics = |module: &Module| {
        let alone = Bundle { modules: vec![module.clone()], ..Bundle::default() };
        contain(|| analysis::analyse(&alone, &Value::new_object())).is_err()
    };
    let module = bundle.modules.iter().position(panics).unwrap_or(0);
    let text = &bundle.modules.get(module)?.text;
    let end = text.chars().next().map_or(0, char::len_utf8);
    Some(Place { module, span: 0..end, line: 1, column: 1 })
}

fn refuse_large(bundle: &Bundle) -> Vec<Fault> {
    let bytes: usize = bundle.modules.iter().map(|module| module.text.len()).sum();
    let limits = [
        (bytes > limits::POLICY_BYTES, format!("the policy has more than {} bytes", limits::POLICY_BYTES)),
        (
            bundle.modules.len() > limits::MODULES,
            format!("the policy has more than {} modules", limits::MODULES),
        ),
        (
            bundle.data.len() > limits::DATA_BYTES,
            format!("the data has more than {} bytes", limits::DATA_BYTES),
        ),
    ];
    let over = limits.into_iter().filter(|(over, _)| *over);
    over.map(|(_, message)| Fault::without_place(message, "make it smaller")).collect()
}

fn read_data(data: &str) -> Result<Value, Fault> {
    let value = Value::from_json_str(data).map_err(|error| {
        Fault::without_place(format!("the data is not JSON: {error}"), "write a JSON object")
    })?;
    if !matches!(value, Value::Object(_)) {
        return Err(Fault::without_place(
            "the data is not an object",
            "write an object whose keys are the names below `data`",
        ));
    }
    if depth(&value) > limits::DATA_DEPTH {
        let message = format!("the data is nested more than {} deep", limits::DATA_DEPTH);
        return Err(Fault::without_place(message, "make it flatter"));
    }
    Ok(value)
}

/// Returns the nesting of a value. The JSON parser limits the recursion.
fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(object) => object.iter().map(|(_, value)| depth(value)).max(),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Set(_)
        | Value::Undefined => None,
    };
    below.unwrap_or(0) + 1
}

/// Converts an engine's error to a fault in the module that it names.
fn of_engine(bundle: &Bundle, error: &impl ToString) -> Fault {
    let said = error.to_string();
    let named = |name: &str| said.contains(&format!("--> {name}:"));
    let module = bundle.modules.iter().position(|module| named(&module.name)).unwrap_or(0);
    let text = bundle.modules.get(module).map(|module| module.text.as_str()).unwrap_or_default();
    engine_error::fault(error, module, text)
}

/// Applies the replacements from the end of the text, so that earlier places remain valid.
pub(crate) fn rewrite(plan: &mut Plan, mut rewrites: Vec<Rewrite>) {
    rewrites.sort_by_key(|rewrite| core::cmp::Reverse(rewrite.span.start));
    for Rewrite { module, span, text, guards: _ } in rewrites {
        if let Some(module) = plan.modules.get_mut(module)
            && module.text.get(span.clone()).is_some()
        {
            module.text.replace_range(span, &text);
        }
    }
}
