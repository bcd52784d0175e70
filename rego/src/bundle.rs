//! A Rego policy as its author wrote it.

/// The modules, the data and the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The modules, in the order in which the document names them.
    pub modules: Vec<Module>,
    /// The data document: a JSON object.
    pub data: String,
    /// The rule whose value is the decision: `data.envoy.authz.allow`.
    pub query: String,
}

/// One `.rego` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The module's name in messages.
    pub name: String,
    /// The module's text.
    pub text: String,
}

/// The default query of OPA's Envoy plugin.
pub const DEFAULT_QUERY: &str = "data.envoy.authz.allow";
