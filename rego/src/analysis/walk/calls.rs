//! Calls of functions and builtins.

use regorus::unstable::{Expr, Ref, Span};

use super::Walk;
use crate::analysis::builtins;
use crate::analysis::names;
use crate::analysis::syntax::{Step, known, literal};

/// The VM drops the arguments after this number.
const ARGUMENTS: usize = 8;

impl Walk<'_, '_> {
    pub(super) fn call(&mut self, span: &Span, fcn: &Ref<Expr>, params: &[Ref<Expr>]) {
        if !self.reads_a_header(fcn, params) {
            params.iter().for_each(|param| self.expression(param));
        }
        if params.len() > ARGUMENTS {
            self.distrust(span, "a call with many arguments");
        }
        let resolved = self.names.resolve(self.module, &self.locals, fcn);
        if let Some((root, steps)) = resolved
            && root == "data"
            && self.is_rule(&known(&steps))
        {
            self.found.calls.entry(self.rule.clone()).or_default().insert(known(&steps));
            return;
        }
        let Some((root, steps)) = names::chain(fcn) else { return };
        let name = core::iter::once(root).chain(known(&steps)).collect::<Vec<_>>().join(".");
        let Some(demands) = builtins::demands(&name) else {
            let message = format!("there is no function `{name}`");
            return self.fault(span, message, builtins::instead(&name));
        };
        for (demand, param) in demands.iter().zip(params) {
            if let Some((message, help)) = self.refusal(*demand, &name, param, params) {
                self.fault(param.span(), message, help);
            }
        }
        if builtins::is_product(&name) && !params.iter().any(|param| self.is_constant(param)) {
            let message = format!("both arguments of `{name}` depend on the request");
            self.fault(span, message, "write one of them as text, or take it from `data`");
        }
        if name == "json.unmarshal" {
            self.distrust(span, "`json.unmarshal`");
        }
    }

    /// Returns whether a value is independent of the request, as far as its form shows.
    pub(super) fn is_constant(&self, expr: &Ref<Expr>) -> bool {
        if literal(expr).is_some() {
            return true;
        }
        match expr.as_ref() {
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().all(|item| self.is_constant(item))
            }
            Expr::Object { fields, .. } => {
                fields.iter().all(|(_, key, value)| self.is_constant(key) && self.is_constant(value))
            }
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => match names::chain(expr) {
                Some((root, steps)) if self.constants.contains_key(&root) => {
                    steps.iter().all(|step| *step != Step::Unknown)
                }
                _ => match self.names.resolve(self.module, &self.locals, expr) {
                    // Any entry of the data is independent of the request.
                    Some((root, steps)) => root == "data" && !self.touches_rules(&known(&steps)),
                    None => false,
                },
            },
            _ => false,
        }
    }
}
