//! The predecessor's Rego, evaluated by regorus' interpreter.

use std::cell::RefCell;

use regorus::{Engine, Value};

use crate::request::Request;
use crate::{example, read};

/// The policy with some data.
pub(crate) struct Rego(RefCell<Engine>);

impl Rego {
    pub(crate) fn new(data: &serde_json::Value) -> Rego {
        let mut engine = Engine::new();
        engine.add_policy("policy.rego".to_owned(), read(&example("policy.rego"))).expect("a policy");
        engine.add_data(Value::from_json_str(&data.to_string()).expect("JSON")).expect("data");
        Rego(RefCell::new(engine))
    }

    pub(crate) fn allows(&self, request: &Request) -> bool {
        let mut engine = self.0.borrow_mut();
        engine.set_input(Value::from_json_str(&request.input().to_string()).expect("JSON"));
        let allow = engine.eval_rule("data.intercept.allow".to_owned()).expect("an answer");
        *allow.as_bool().expect("a boolean")
    }
}
