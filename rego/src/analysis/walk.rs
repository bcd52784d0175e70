//! The walk through every expression of a policy.

mod arguments;
mod calls;
mod reads;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{
    AssignOp, BoolOp, Expr, Literal, LiteralStmt, Module as Ast, Query, Ref, Rule, RuleHead, Span,
};

use super::definition::Definition;
use super::findings::{Analysis, Rewrite};
use super::names::{self, Names};
use super::syntax::{
    Step, children, is_literal, is_self_contained, known, literal, looked_through, mentions, place,
};
use crate::fault::Fault;
use crate::input_fields::InputFields;
use crate::limits;

/// The findings after all modules were visited.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The rules that each rule calls.
    pub(super) calls: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    /// Paths of the data that are used for membership tests.
    pub(super) lists: BTreeSet<Vec<String>>,
    /// Paths of the data that are used in any other way.
    pub(super) otherwise: BTreeSet<Vec<String>>,
}

/// The expressions that a name may be taken from; `None` for an expression that contains another name.
type Sources = Vec<Option<Ref<Expr>>>;

/// A walk through the modules that collects the findings.
pub(super) struct Walk<'w, 'a> {
    names: &'w Names<'a>,
    /// The data document.
    data: &'w Value,
    analysis: &'w mut Analysis,
    found: Found,
    module: usize,
    rule: Vec<String>,
    locals: BTreeSet<String>,
    /// Locals that do not depend on the request, with the expressions that each is taken from.
    constants: BTreeMap<String, Sources>,
    /// Locals that are assigned a value of the input.
    requests: BTreeSet<String>,
    /// Locals that depend on the request somewhere in the body.
    varying: BTreeSet<String>,
    /// Locals declared by `some x`. An expression with such a name in brackets may loop over entries.
    unbound: BTreeSet<String>,
    definitions: BTreeMap<Vec<String>, Vec<Definition>>,
}

impl<'w, 'a> Walk<'w, 'a> {
    pub(super) fn new(names: &'w Names<'a>, data: &'w Value, analysis: &'w mut Analysis) -> Self {
        Walk {
            names,
            data,
            analysis,
            found: Found::default(),
            module: 0,
            rule: Vec::new(),
            locals: BTreeSet::new(),
            constants: BTreeMap::new(),
            requests: BTreeSet::new(),
            varying: BTreeSet::new(),
            unbound: BTreeSet::new(),
            definitions: BTreeMap::new(),
        }
    }

    pub(super) fn finish(self) -> Found {
        self.found
    }

    pub(super) fn module(&mut self, index: usize, ast: &'a Ast) {
        self.module = index;
        for rule in &ast.policy {
            self.rule = self.names.packages.get(index).cloned().unwrap_or_default();
            self.rule.extend(names::head_name(rule));
            self.locals = names::locals(rule);
            self.constants.clear();
            self.requests.clear();
            self.varying.clear();
            self.unbound = names::unbound(rule);
            self.rule(rule);
        }
    }

    fn rule(&mut self, rule: &Ref<Rule>) {
        let first = self.names.rules.get(&self.rule).map(|(_, first)| *first);
        if first.is_some_and(|first| names::builds_a_set(first) != names::builds_a_set(rule)) {
            self.distrust(rule.span(), "a rule that is a set and something else");
        }
        match rule.as_ref() {
            Rule::Default { span, args, value, .. } => {
                if !args.is_empty() {
                    self.distrust(span, "a default of a function");
                }
                self.expression(value);
            }
            Rule::Spec { span, head, bodies } => {
                self.trust_head(span, head, bodies);
                self.trust_else(head, bodies);
                for body in bodies {
                    self.query(&body.query);
                    self.constants.clear();
                    self.varying.clear();
                    if let Some(assign) = &body.assign {
                        self.expression(&assign.value);
                    }
                }
                match head {
                    // The input that an alias reads is recorded where the alias is used.
                    RuleHead::Compr { .. } if self.names.aliases.contains_key(&self.rule) => {}
                    RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                        self.indexes(refr);
                        assign.iter().for_each(|assign| self.expression(&assign.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.indexes(refr);
                        key.iter().for_each(|key| self.expression(key));
                    }
                }
            }
        }
    }

    fn distrust(&mut self, span: &Span, why: &'static str) {
        if self.analysis.interpreter_reason.is_none() {
            self.analysis.interpreter_reason = Some((place(self.module, span), why));
        }
    }

    fn fault(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if self.analysis.faults.len() <= limits::FAULTS {
            self.analysis.faults.push(Fault::at(place(self.module, span), message, help));
        }
    }

    fn query(&mut self, query: &Ref<Query>) {
        self.trust_order(query);
        self.refuse_loops_in_negations(query);
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    /// Refuses `not data.list[_] == x`, as OPA does. The interpreter reads it as "some entry differs", but its author
    /// means "no entry is equal".
    fn refuse_loops_in_negations(&mut self, query: &Ref<Query>) {
        for statement in &query.stmts {
            let Literal::NotExpr { expr, .. } = &statement.literal else { continue };
            let bound = |name: &str| {
                let names = BTreeSet::from([name.to_owned()]);
                query.stmts.iter().any(|other| match &other.literal {
                    Literal::Expr { expr, .. } => mentions(expr, &names),
                    Literal::SomeIn { key, value, .. } => {
                        key.iter().chain([value]).any(|expr| mentions(expr, &names))
                    }
                    Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => false,
                })
            };
            let index = looked_through(expr).into_iter().find(|index| {
                index.text() == "_" || (self.unbound.contains(index.text()) && !bound(index.text()))
            });
            if let Some(index) = index {
                let message = format!("`{}` in a `not` stands for any entry, and not for each", index.text());
                let help = "write `not x in list`; or ask in a rule of its own whether there is one, and negate that";
                self.fault(&index, message, help);
            }
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        for with in &statement.with_mods {
            self.distrust(&with.span, "`with`");
            self.refuse_mock(&with.span, &with.refr);
            self.expression(&with.r#as);
            // The replacement may be read anywhere in the input.
            self.analysis.fields = InputFields::ALL;
            self.analysis.headers = None;
            if names::chain(&with.refr).is_some_and(|(root, _)| root == "data") {
                self.found.otherwise.insert(Vec::new());
            }
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                self.trust_loop(collection);
                key.iter().chain([value]).for_each(|pattern| self.trust_pattern(pattern));
                self.expression(collection);
                for pattern in key.iter().chain([value]) {
                    self.bind(pattern, collection);
                }
            }
            Literal::Expr { expr, .. } if matches!(expr.as_ref(), Expr::AssignExpr { .. }) => {
                self.assignment(expr);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                // In this position, a false membership and an undefined one are equivalent.
                if let Expr::Membership { key: None, value, collection, .. } = expr.as_ref() {
                    self.membership(value, collection);
                } else if !self.ask_for_membership(expr) {
                    self.expression(expr);
                }
            }
            Literal::Every { span, domain, query, .. } => {
                self.distrust(span, "`every`");
                self.expression(domain);
                self.query(query);
            }
        }
    }

    /// Refuses a `with` that replaces a function, which could call a builtin that is not allowed, or data, which the
    /// forms of arguments were checked with.
    fn refuse_mock(&mut self, span: &Span, target: &Ref<Expr>) {
        let target = self.names.resolve(self.module, &BTreeSet::new(), target);
        let replaced = match target {
            Some((root, _)) if root == "input" => return,
            Some((root, steps)) if root == "data" => {
                let path = known(&steps);
                let rule = (1..=path.len()).find_map(|end| self.names.rules.get(path.get(..end)?));
                match rule.map(|(_, rule)| rule.as_ref()) {
                    Some(Rule::Spec { head: RuleHead::Func { .. }, .. }) => "a function",
                    Some(Rule::Default { args, .. }) if !args.is_empty() => "a function",
                    Some(Rule::Spec { .. } | Rule::Default { .. }) => return,
                    None => "data",
                }
            }
            Some(_) | None => "a function",
        };
        let help = "give what varies to a function of your own as an argument";
        self.fault(span, format!("`with` may not take the place of {replaced}"), help);
    }

    /// Rewrites `data.list[_] == x`, which visits every entry, as `x in data.list`, which looks up one.
    fn ask_for_membership(&mut self, expr: &Ref<Expr>) -> bool {
        let Expr::BoolExpr { span, op: BoolOp::Eq, lhs, rhs, .. } = expr.as_ref() else { return false };
        for (list, other) in [(lhs, rhs), (rhs, lhs)] {
            let Expr::RefBrack { refr, index, .. } = list.as_ref() else { continue };
            let any = matches!(index.as_ref(), Expr::Var { span, .. } if span.text() == "_");
            let Some(path) = self.data_path(refr).filter(|_| any) else { continue };
            let simple = match names::chain(other) {
                Some((_, steps)) => steps.iter().all(|step| *step != Step::Unknown),
                None => literal(other).is_some(),
            };
            if simple {
                self.found.lists.insert(path);
                self.expression(other);
                let text = format!("{} in {}", other.span().text(), refr.span().text());
                let place = place(self.module, span);
                self.analysis.rewrites.push(Rewrite {
                    module: self.module,
                    span: place.span,
                    text,
                    guards: false,
                });
                return true;
            }
        }
        false
    }

    /// Returns the keys below `data` of a reference to data that no rule contributes to.
    fn data_path(&self, expr: &Ref<Expr>) -> Option<Vec<String>> {
        let (root, steps) = self.names.resolve(self.module, &self.locals, expr)?;
        let path = (root == "data").then(|| known(&steps)).filter(|path| path.len() == steps.len())?;
        (!path.is_empty() && !self.touches_rules(&path)).then_some(path)
    }

    /// Returns whether a path below `data` is a rule's, leads into one, or has a rule below it.
    fn touches_rules(&self, path: &[String]) -> bool {
        self.names.rules.keys().any(|rule| rule.iter().zip(path).all(|(a, b)| a == b))
    }

    fn expression(&mut self, expr: &Ref<Expr>) {
        match expr.as_ref() {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expr);
                self.indexes(expr);
            }
            Expr::Call { span, fcn, params, .. } => self.call(span, fcn, params),
            Expr::Membership { span, key, value, collection, .. } => {
                self.trust_membership(span, key.as_ref(), value, collection);
                key.iter().for_each(|key| self.expression(key));
                self.membership(value, collection);
            }
            Expr::ArrayCompr { span, query, .. }
            | Expr::SetCompr { span, query, .. }
            | Expr::ObjectCompr { span, query, .. } => {
                self.distrust(span, "a comprehension");
                self.query(query);
                children(expr).iter().for_each(|child| self.expression(child));
            }
            Expr::AssignExpr { span, .. } => {
                self.distrust(span, "an assignment within an expression");
                children(expr).iter().for_each(|child| self.expression(child));
            }
            Expr::Object { span, fields, .. } => {
                if !fields.iter().all(|(_, key, _)| is_literal(key)) {
                    self.distrust(span, "an object with a key that is not a constant");
                }
                children(expr).iter().for_each(|child| self.expression(child));
            }
            Expr::ArithExpr { span, .. } | Expr::BinExpr { span, .. } => {
                self.distrust(span, "an operator whose operands may have the wrong type");
                children(expr).iter().for_each(|child| self.expression(child));
            }
            _ => children(expr).iter().for_each(|child| self.expression(child)),
        }
    }

    /// Records the expression that a name is taken from.
    fn bind(&mut self, name: &Ref<Expr>, source: &Ref<Expr>) {
        let Expr::Var { span, .. } = name.as_ref() else { return };
        let name = span.text().to_owned();
        if self.is_input(source) {
            self.requests.insert(name.clone());
        }
        if !self.is_constant(source) || self.varying.contains(&name) {
            self.constants.remove(&name);
            self.varying.insert(name);
            return;
        }
        // The sources never contain names, so a source cannot refer to itself.
        let sources = match names::chain(source).and_then(|(root, _)| self.constants.get(&root)) {
            Some(sources) => sources.clone(),
            None => vec![is_self_contained(source).then(|| source.clone())],
        };
        self.constants.entry(name).or_default().extend(sources);
    }

    fn membership(&mut self, value: &Ref<Expr>, collection: &Ref<Expr>) {
        self.expression(value);
        match self.data_path(collection) {
            Some(path) => {
                self.found.lists.insert(path);
            }
            None => self.expression(collection),
        }
    }

    fn assignment(&mut self, expr: &Ref<Expr>) {
        let Expr::AssignExpr { span, op, lhs, rhs, .. } = expr.as_ref() else { return };
        self.expression(rhs);
        match (op, lhs.as_ref()) {
            (AssignOp::Eq, _) => {
                self.distrust(span, "`=`, where `==` or `:=` is meant");
                self.expression(lhs);
            }
            (AssignOp::ColEq, Expr::Var { span: name, .. }) => {
                self.bind(lhs, rhs);
                // The VM continues even if the assigned value is undefined, so the rewrite tests it.
                let end = place(self.module, span).span.end;
                let text = format!("; {0} == {0}", name.text());
                self.analysis.rewrites.push(Rewrite {
                    module: self.module,
                    span: end..end,
                    text,
                    guards: true,
                });
            }
            (AssignOp::ColEq, _) => self.distrust(span, "an assignment to a pattern"),
        }
    }

    /// Visits the expressions in a reference's brackets.
    fn indexes(&mut self, expr: &Ref<Expr>) {
        match expr.as_ref() {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                if self.is_unbound(index) {
                    self.trust_loop(refr);
                }
                self.trust_index(index);
                self.indexes(refr);
                self.expression(index);
            }
            Expr::Var { .. } => {}
            _ => self.expression(expr),
        }
    }
}
