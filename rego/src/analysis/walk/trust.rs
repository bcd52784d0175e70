//! Finds the forms that the VM cannot be trusted with.

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Ref, RuleBody, RuleHead, Span};

use super::Walk;
use crate::analysis::definition::Definition;
use crate::analysis::names;
use crate::analysis::syntax::{Step, children, is_literal, iterates, known};
use crate::input_fields::InputField;

impl Walk<'_, '_> {
    /// Checks a rule's head. The VM builds objects wrongly, and also objects of sets. It treats two
    /// different values of one rule as undefined, where Rego requires an error.
    pub(super) fn trust_head(&mut self, span: &Span, head: &RuleHead, bodies: &[RuleBody]) {
        let (RuleHead::Compr { refr, .. } | RuleHead::Func { refr, .. } | RuleHead::Set { refr, .. }) = head;
        if !matches!(refr.as_ref(), Expr::Var { .. }) {
            return self.distrust(span, "a rule that builds an object");
        }
        let assign = match head {
            // Entries of a set never contradict each other. But the interpreter fails if an entry is undefined.
            RuleHead::Set { key, .. } => {
                if key.as_ref().is_none_or(|key| self.asks_a_rule(key)) {
                    self.distrust(span, "a set of what rules or functions give");
                }
                return;
            }
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign,
        };
        let mut definition =
            Definition::new(assign.as_ref().map(|assign| &assign.value), bodies, &self.locals);
        if let Some(value) = assign.as_ref().map(|assign| &assign.value)
            && self.is_of_input(value)
        {
            // A value from the input is never `false`, so the definition holds only if the value exists.
            definition.holds.push(value.span().text().to_owned());
        }
        let values = assign.iter().map(|assign| &assign.value);
        let values = values.chain(bodies.iter().filter_map(|body| Some(&body.assign.as_ref()?.value)));
        let several = bodies.iter().any(|body| iterates(&body.query))
            || values.into_iter().any(|value| self.loops(value));
        if definition.value.is_none() && several {
            self.distrust(span, "a rule that may have several values");
        }
        let others = self.definitions.entry(self.rule.clone()).or_default();
        let agree = others.iter().all(|other| other.never_contradicts(&definition));
        others.push(definition);
        if !agree {
            self.distrust(span, "definitions of one rule that may contradict one another");
        }
    }

    /// Checks `else`. The VM skips `else` after a body that held without a value, or that it evaluated in a
    /// loop.
    pub(super) fn trust_else(&mut self, head: &RuleHead, bodies: &[RuleBody]) {
        let first = match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign.as_ref(),
            RuleHead::Set { .. } => None,
        };
        let Some((last, before)) = bodies.split_last() else { return };
        let sure = before.iter().enumerate().all(|(position, body)| {
            let assign = body.assign.as_ref().or(first.filter(|_| position == 0));
            let value = assign.is_none_or(|assign| is_literal(&assign.value));
            value && !body.query.stmts.iter().any(|statement| self.is_loop(statement))
        });
        if !sure {
            self.distrust(&last.span, "`else` behind a body that loops, or whose value may be undefined");
        }
    }

    /// Checks the order of declarations. The interpreter repeats a declaration after a loop for each entry, and
    /// rejects the repetition.
    pub(super) fn trust_order(&mut self, query: &Query) {
        let mut before = query.stmts.iter().skip_while(|statement| !self.is_loop(statement)).skip(1);
        if let Some(late) = before.find(|statement| matches!(statement.literal, Literal::SomeVars { .. })) {
            self.distrust(&late.span, "`some` behind a loop");
        }
    }

    /// Returns whether the statements after this one are evaluated for each of several entries.
    fn is_loop(&self, statement: &LiteralStmt) -> bool {
        match &statement.literal {
            Literal::SomeIn { .. } => true,
            Literal::SomeVars { .. } | Literal::Every { .. } => false,
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.loops(expr),
        }
    }

    /// Returns whether the expression involves a rule or a function.
    fn asks_a_rule(&self, expr: &Ref<Expr>) -> bool {
        let called = match expr.as_ref() {
            Expr::Call { fcn, .. } => fcn,
            _ => expr,
        };
        let itself = match self.names.resolve(self.module, &self.locals, called) {
            Some((root, steps)) => root == "data" && self.touches_rules(&known(&steps)),
            None => false,
        };
        itself || children(expr).iter().any(|child| self.asks_a_rule(child))
    }

    /// Returns whether the value is one of the input, or an alias of one.
    fn is_of_input(&self, value: &Ref<Expr>) -> bool {
        match self.names.resolve(self.module, &self.locals, value) {
            Some((root, _)) if root == "input" => true,
            Some((_, steps)) => self.names.aliases.contains_key(&known(&steps)),
            None => false,
        }
    }

    /// Checks a loop's collection. The interpreter fails for a value that is no collection, and the VM
    /// treats it as empty.
    pub(super) fn trust_loop(&mut self, collection: &Ref<Expr>) {
        let known = match collection.as_ref() {
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => true,
            _ => match self.names.resolve(self.module, &self.locals, collection) {
                Some((root, steps)) if root == "input" => {
                    let collections = [InputField::Headers, InputField::ParsedPath, InputField::ParsedQuery];
                    collections.iter().any(|field| is_field(*field, &steps))
                }
                Some((root, steps)) if root == "data" => match self.own_data(&steps) {
                    Some(Value::Array(_) | Value::Object(_) | Value::Undefined) => true,
                    Some(
                        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Set(_),
                    )
                    | None => self.is_set(&steps),
                },
                _ => false,
            },
        };
        if !known {
            self.distrust(collection.span(), "a loop over a value that may not be a collection");
        }
    }

    pub(super) fn trust_pattern(&mut self, pattern: &Ref<Expr>) {
        if !matches!(pattern.as_ref(), Expr::Var { .. }) {
            self.distrust(pattern.span(), "a pattern");
        }
    }

    pub(super) fn trust_index(&mut self, index: &Ref<Expr>) {
        if matches!(index.as_ref(), Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. }) {
            self.distrust(index.span(), "a collection as an index");
        }
    }

    /// Checks `in`. The VM ignores a key, and returns `false` if an operand is undefined.
    pub(super) fn trust_membership(
        &mut self,
        span: &Span,
        key: Option<&Ref<Expr>>,
        value: &Ref<Expr>,
        collection: &Ref<Expr>,
    ) {
        if key.is_some() {
            self.distrust(span, "`in` with a key");
        } else if !(self.is_defined(value) && self.is_defined(collection)) {
            self.distrust(span, "`in` as a value, with an operand that may be undefined");
        }
    }

    /// Returns whether the expression has a value for every request.
    fn is_defined(&self, expr: &Ref<Expr>) -> bool {
        if is_literal(expr) {
            return true;
        }
        match self.names.resolve(self.module, &self.locals, expr) {
            Some((root, steps)) if root == "input" => InputField::ALL
                .into_iter()
                .any(|field| field != InputField::Principal && is_field(field, &steps)),
            Some((root, steps)) if root == "data" => {
                self.own_data(&steps).is_some_and(|value| *value != Value::Undefined)
            }
            _ => false,
        }
    }

    /// Returns whether the steps lead to a rule that builds a set.
    fn is_set(&self, steps: &[Step]) -> bool {
        let path = known(steps);
        let whole = path.len() == steps.len();
        self.names.rules.get(&path).is_some_and(|(_, rule)| whole && names::builds_a_set(rule))
    }

    /// Returns the data at a path, unless a rule contributes to it.
    fn own_data(&self, steps: &[Step]) -> Option<&Value> {
        let path = known(steps);
        if path.len() < steps.len() || self.touches_rules(&path) {
            return None;
        }
        Some(path.iter().fold(self.data, |value, key| &value[key.as_str()]))
    }

    /// Returns whether a name in brackets is unbound, so that it matches every entry.
    pub(super) fn is_unbound(&self, index: &Ref<Expr>) -> bool {
        let Expr::Var { span, .. } = index.as_ref() else { return false };
        let name = span.text();
        let bound =
            self.locals.contains(name) || self.names.resolve(self.module, &self.locals, index).is_some();
        name == "_" || self.unbound.contains(name) || !bound
    }

    fn loops(&self, expr: &Ref<Expr>) -> bool {
        let itself = matches!(expr.as_ref(), Expr::RefBrack { index, .. } if self.is_unbound(index));
        itself || children(expr).iter().any(|child| self.loops(child))
    }
}

/// Returns whether the steps lead exactly to this part, rather than into it.
fn is_field(field: InputField, steps: &[Step]) -> bool {
    known(steps).len() == steps.len()
        && known(steps).iter().map(String::as_str).eq(field.keys().iter().copied())
}
