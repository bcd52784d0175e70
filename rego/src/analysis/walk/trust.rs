//! What the fast engine is trusted with.

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Ref, RuleBody, RuleHead, Span};

use super::Walk;
use crate::analysis::definition::Definition;
use crate::analysis::names::{self, Step};
use crate::analysis::syntax::{children, is_literal, iterates, known};
use crate::parts::Part;

impl Walk<'_, '_> {
    /// Whether the fast engine gives a rule of this form its value: it builds objects wrongly, those of sets as well, and
    /// takes two different values of one rule for none, where it is an error.
    pub(super) fn trust_head(&mut self, span: &Span, head: &RuleHead, bodies: &[RuleBody]) {
        let (RuleHead::Compr { refr, .. } | RuleHead::Func { refr, .. } | RuleHead::Set { refr, .. }) = head;
        if !matches!(refr.as_ref(), Expr::Var { .. }) {
            return self.distrust(span, "a rule that builds an object");
        }
        let assign = match head {
            // Its entries never contradict one another. The interpreter fails where one has no value.
            RuleHead::Set { key, .. } => {
                if key.as_ref().is_none_or(|key| self.asks_a_rule(key)) {
                    self.distrust(span, "a set of what rules or functions give");
                }
                return;
            }
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign,
        };
        let mut definition =
            Definition::of(assign.as_ref().map(|assign| &assign.value), bodies, &self.locals);
        if let Some(value) = assign.as_ref().map(|assign| &assign.value)
            && self.is_of_input(value)
        {
            // It is never `false`: nothing in the input is.
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

    /// The fast engine takes no `else` behind a body that held and gave nothing, or that it went through in a loop.
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

    /// The interpreter declares what is declared within a loop once for each entry, and finds that wrong.
    pub(super) fn trust_order(&mut self, query: &Query) {
        let mut before = query.stmts.iter().skip_while(|statement| !self.is_loop(statement)).skip(1);
        if let Some(late) = before.find(|statement| matches!(statement.literal, Literal::SomeVars { .. })) {
            self.distrust(&late.span, "`some` behind a loop");
        }
    }

    /// Whether what stands behind it is asked for each of several entries.
    fn is_loop(&self, statement: &LiteralStmt) -> bool {
        match &statement.literal {
            Literal::SomeIn { .. } => true,
            Literal::SomeVars { .. } | Literal::Every { .. } => false,
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.loops(expr),
        }
    }

    /// Whether a rule or a function has a part in it.
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

    /// Whether it is a part of the input, or another name for one.
    fn is_of_input(&self, value: &Ref<Expr>) -> bool {
        match self.names.resolve(self.module, &self.locals, value) {
            Some((root, _)) if root == "input" => true,
            Some((_, steps)) => self.names.aliases.contains_key(&known(&steps)),
            None => false,
        }
    }

    /// What the interpreter refuses to loop over, the other takes for empty.
    pub(super) fn trust_loop(&mut self, collection: &Ref<Expr>) {
        let known = match collection.as_ref() {
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => true,
            _ => match self.names.resolve(self.module, &self.locals, collection) {
                Some((root, steps)) if root == "input" => {
                    let collections = [Part::Headers, Part::ParsedPath, Part::ParsedQuery];
                    collections.iter().any(|part| is_part(*part, &steps))
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
            self.distrust(collection.span(), "a loop over what may be no collection");
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

    /// The fast engine looks at no key, and says `false` where a part is undefined.
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
            self.distrust(span, "`in` as a value, of what may be undefined");
        }
    }

    /// Whether it has a value for every request.
    fn is_defined(&self, expr: &Ref<Expr>) -> bool {
        if is_literal(expr) {
            return true;
        }
        match self.names.resolve(self.module, &self.locals, expr) {
            Some((root, steps)) if root == "input" => {
                Part::ALL.into_iter().any(|part| part != Part::Principal && is_part(part, &steps))
            }
            Some((root, steps)) if root == "data" => {
                self.own_data(&steps).is_some_and(|value| *value != Value::Undefined)
            }
            _ => false,
        }
    }

    /// Whether the steps lead to a rule that builds a set.
    fn is_set(&self, steps: &[Step]) -> bool {
        let path = known(steps);
        let whole = path.len() == steps.len();
        self.names.rules.get(&path).is_some_and(|(_, rule)| whole && names::builds_a_set(rule))
    }

    /// What stands at a path of the data, if no rule has a part in it.
    fn own_data(&self, steps: &[Step]) -> Option<&Value> {
        let path = known(steps);
        if path.len() < steps.len() || self.touches_rules(&path) {
            return None;
        }
        Some(path.iter().fold(self.data, |value, key| &value[key.as_str()]))
    }

    /// Whether a name in brackets has no value of its own, so that it takes all.
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

/// Whether the steps lead to this part, and not into it.
fn is_part(part: Part, steps: &[Step]) -> bool {
    known(steps).len() == steps.len()
        && known(steps).iter().map(String::as_str).eq(part.keys().iter().copied())
}
