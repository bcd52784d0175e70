//! A Rego policy as its author wrote it.

/// Modules, data and the question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The modules, in the order in which they were named.
    pub modules: Vec<Module>,
    /// The data document, JSON; an object.
    pub data: String,
    /// The rule whose value is the answer: `data.envoy.authz.allow`.
    pub query: String,
}

/// One `.rego` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// What to call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The rule that OPA's Envoy plugin asks when it is not told another.
pub const DEFAULT_QUERY: &str = "data.envoy.authz.allow";
