//! The walk over every expression of a policy.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{
    AssignOp, BoolOp, Expr, Literal, LiteralStmt, Module as Ast, Query, Ref, Rule, RuleBody, RuleHead, Span,
};

use super::builtins::{self, Demand};
use super::names::{self, Names, Step};
use super::{Analysis, place};
use crate::fault::Fault;
use crate::limits;
use crate::parts::{Part, Parts};

/// What is known when all modules were seen.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Which rules each rule calls.
    pub(super) calls: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    /// Paths of the data that are asked for membership.
    pub(super) lists: BTreeSet<Vec<String>>,
    /// Paths of the data that are read in another way.
    pub(super) otherwise: BTreeSet<Vec<String>>,
}

pub(super) struct Walk<'w, 'a> {
    names: &'w Names<'a>,
    analysis: &'w mut Analysis,
    found: Found,
    module: usize,
    rule: Vec<String>,
    locals: BTreeSet<String>,
    /// Locals that do not depend on the request.
    constants: BTreeSet<String>,
    definitions: BTreeMap<Vec<String>, Vec<Definition>>,
}

impl<'w, 'a> Walk<'w, 'a> {
    pub(super) fn new(names: &'w Names<'a>, analysis: &'w mut Analysis) -> Self {
        Walk {
            names,
            analysis,
            found: Found::default(),
            module: 0,
            rule: Vec::new(),
            locals: BTreeSet::new(),
            constants: BTreeSet::new(),
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
            self.rule(rule);
        }
    }

    fn rule(&mut self, rule: &Ref<Rule>) {
        match rule.as_ref() {
            Rule::Default { value, .. } => self.expression(value),
            Rule::Spec { span, head, bodies } => {
                self.trust_head(span, head, bodies);
                for body in bodies {
                    self.query(&body.query);
                    self.constants.clear();
                    if let Some(assign) = &body.assign {
                        self.expression(&assign.value);
                    }
                }
                match head {
                    // What is read of it is seen where it is used.
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

    /// Whether the fast engine gives a rule of this form its value: it builds sets and objects wrongly, and takes two
    /// different values of one rule for none, where it is an error.
    fn trust_head(&mut self, span: &Span, head: &RuleHead, bodies: &[RuleBody]) {
        let (refr, assign) = match head {
            RuleHead::Set { .. } => return self.distrust(span, "a rule that builds a set"),
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => (refr, assign),
        };
        if !matches!(refr.as_ref(), Expr::Var { .. }) {
            return self.distrust(span, "a rule that builds an object");
        }
        let mut definition =
            Definition::of(assign.as_ref().map(|assign| &assign.value), bodies, &self.locals);
        if let Some(value) = assign.as_ref().map(|assign| &assign.value)
            && self.is_of_input(value)
        {
            // It is never `false`: nothing in the input is.
            definition.holds.push(value.span().text().to_owned());
        }
        if definition.value.is_none() && bodies.iter().any(|body| iterates(&body.query)) {
            self.distrust(span, "a rule that may have several values");
        }
        let others = self.definitions.entry(self.rule.clone()).or_default();
        let agree = others.iter().all(|other| other.never_contradicts(&definition));
        others.push(definition);
        if !agree {
            self.distrust(span, "definitions of one rule that may contradict one another");
        }
    }

    /// Whether it is a part of the input, or another name for one.
    fn is_of_input(&self, value: &Ref<Expr>) -> bool {
        match self.names.resolve(self.module, &self.locals, value) {
            Some((root, _)) if root == "input" => true,
            Some((_, steps)) => self.names.aliases.contains_key(&known(&steps)),
            None => false,
        }
    }

    fn distrust(&mut self, span: &Span, why: &'static str) {
        if self.analysis.slow.is_none() {
            self.analysis.slow = Some((place(self.module, span), why));
        }
    }

    fn fault(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if self.analysis.faults.len() <= limits::FAULTS {
            self.analysis.faults.push(Fault::at(place(self.module, span), message, help));
        }
    }

    fn query(&mut self, query: &Ref<Query>) {
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        for with in &statement.with_mods {
            self.distrust(&with.span, "`with`");
            self.expression(&with.r#as);
            // What is put in another's place is read there.
            self.analysis.parts = Parts::ALL;
            self.analysis.headers = None;
            if names::chain(&with.refr).is_some_and(|(root, _)| root == "data") {
                self.found.otherwise.insert(Vec::new());
            }
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                self.expression(collection);
                if self.is_constant(collection) {
                    for pattern in key.iter().chain([value]) {
                        if let Expr::Var { span, .. } = pattern.as_ref() {
                            self.constants.insert(span.text().to_owned());
                        }
                    }
                }
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                if !self.ask_for_membership(expr) {
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

    /// `data.list[_] == x`, which looks at every entry, becomes `x in data.list`, which looks one up.
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
                self.analysis.rewrites.push((self.module, place.span, text));
                return true;
            }
        }
        false
    }

    /// The keys below `data` of a reference to data that no rule makes.
    fn data_path(&self, expr: &Ref<Expr>) -> Option<Vec<String>> {
        let (root, steps) = self.names.resolve(self.module, &self.locals, expr)?;
        let path = (root == "data").then(|| known(&steps)).filter(|path| path.len() == steps.len())?;
        (!path.is_empty() && !self.touches_rules(&path)).then_some(path)
    }

    /// Whether a path below `data` is a rule's, leads into one, or has one below it.
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
            Expr::Membership { key: None, value, collection, .. } => {
                self.expression(value);
                match self.data_path(collection) {
                    Some(path) => {
                        self.found.lists.insert(path);
                    }
                    None => self.expression(collection),
                }
            }
            Expr::ArrayCompr { span, query, .. }
            | Expr::SetCompr { span, query, .. }
            | Expr::ObjectCompr { span, query, .. } => {
                self.distrust(span, "a comprehension");
                self.query(query);
                children(expr).iter().for_each(|child| self.expression(child));
            }
            Expr::AssignExpr { span, op, lhs, rhs, .. } => {
                self.expression(rhs);
                match op {
                    AssignOp::Eq => {
                        self.distrust(span, "`=`, where `==` or `:=` is meant");
                        self.expression(lhs);
                    }
                    AssignOp::ColEq => match lhs.as_ref() {
                        Expr::Var { span, .. } => {
                            if self.is_constant(rhs) {
                                self.constants.insert(span.text().to_owned());
                            }
                        }
                        _ => self.distrust(span, "an assignment to a pattern"),
                    },
                }
            }
            _ => children(expr).iter().for_each(|child| self.expression(child)),
        }
    }

    /// What stands in the brackets of a reference.
    fn indexes(&mut self, expr: &Ref<Expr>) {
        match expr.as_ref() {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expression(index);
            }
            Expr::Var { .. } => {}
            _ => self.expression(expr),
        }
    }

    fn reference(&mut self, expr: &Ref<Expr>) {
        let Some((root, steps)) = self.names.resolve(self.module, &self.locals, expr) else { return };
        match root.as_str() {
            "input" => self.input(expr.span(), &steps),
            "data" => self.data(expr.span(), &steps),
            _ => {}
        }
    }

    fn data(&mut self, span: &Span, steps: &[Step]) {
        let path = known(steps);
        let rule = (1..=path.len()).find_map(|end| path.get(..end).filter(|path| self.is_rule(path)));
        if let Some(rule) = rule {
            if let Some(alias) = self.names.aliases.get(rule) {
                let below = steps.get(rule.len()..).unwrap_or_default();
                let path: Vec<Step> = alias.iter().chain(below).cloned().collect();
                self.input(span, &path);
            }
            self.found.calls.entry(self.rule.clone()).or_default().insert(rule.to_vec());
        } else if self.touches_rules(&path) {
            self.fault(
                span,
                format!("`{}` may be any rule of a package", span.text()),
                "name the rule: what is called must be known before a request comes",
            );
        } else {
            self.found.otherwise.insert(path);
        }
    }

    fn is_rule(&self, path: &[String]) -> bool {
        self.names.rules.contains_key(path)
    }

    fn input(&mut self, span: &Span, steps: &[Step]) {
        let path = known(steps);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut any = false;
        for part in Part::ALL {
            let keys = part.keys();
            if keys.iter().zip(&path).all(|(a, b)| a == b) {
                any = true;
                self.analysis.parts.add(part);
                if part == Part::Headers {
                    self.header(span, path.get(keys.len()));
                }
            }
        }
        if !any {
            let help = "a policy may read `input.attributes.request.http` (`method`, `path`, `host`, `scheme`, `headers`), `input.attributes.destination.principal`, `input.parsed_path` and `input.parsed_query`";
            self.fault(span, format!("`input.{}` is never there", path.join(".")), help);
        }
    }

    fn header(&mut self, span: &Span, name: Option<&&str>) {
        if let Some(name) = name
            && !name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
        {
            let help = "names of headers are in lower case here, and what HTTP/2 writes as `:path` is `input.attributes.request.http.path`";
            self.fault(span, format!("there is never a header `{name}`"), help);
        }
        match (name, &mut self.analysis.headers) {
            (Some(name), Some(headers)) => {
                headers.insert((*name).to_owned());
            }
            (_, headers) => *headers = None,
        }
    }

    fn call(&mut self, span: &Span, fcn: &Ref<Expr>, params: &[Ref<Expr>]) {
        params.iter().for_each(|param| self.expression(param));
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
            match demand {
                Demand::Constant if !self.is_constant(param) => self.fault(
                    param.span(),
                    format!("this argument of `{name}` may not depend on the request"),
                    "write it as text, or take it from `data`: what a client sends must not choose the cost",
                ),
                Demand::Literal if !is_plain_format(param) => self.fault(
                    param.span(),
                    format!("the format of `{name}` must be text with widths below 100"),
                    "write the format where it is used, and what varies behind it",
                ),
                Demand::Any | Demand::Constant | Demand::Literal => {}
            }
        }
        if name == "json.unmarshal" {
            self.distrust(span, "`json.unmarshal`");
        }
    }

    /// Whether a value does not depend on the request, as far as can be seen at a glance.
    fn is_constant(&self, expr: &Ref<Expr>) -> bool {
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
                Some((root, steps)) if self.constants.contains(&root) => {
                    steps.iter().all(|step| *step != Step::Unknown)
                }
                _ => match self.names.resolve(self.module, &self.locals, expr) {
                    // Whichever entry it is, no entry comes from the request.
                    Some((root, steps)) => root == "data" && !self.touches_rules(&known(&steps)),
                    None => false,
                },
            },
            _ => false,
        }
    }
}

/// One definition of a rule, as far as it tells whether another one can contradict it.
#[derive(Debug, Default)]
struct Definition {
    /// Its value, where that is a constant.
    value: Option<String>,
    /// Conditions without which it gives no value.
    holds: Vec<String>,
    /// Conditions with which it gives none.
    fails: Vec<String>,
}

impl Definition {
    fn of(value: Option<&Ref<Expr>>, bodies: &[RuleBody], locals: &BTreeSet<String>) -> Definition {
        let mut definition = Definition::default();
        let [body] = bodies else {
            // Bodies behind `else` take turns, and what they take their turns on is not looked at.
            if bodies.is_empty() {
                definition.value = value.map_or(Some("true".to_owned()), literal);
            }
            return definition;
        };
        definition.value = match (&body.assign, value) {
            (Some(assign), _) => literal(&assign.value),
            (None, Some(value)) => literal(value),
            (None, None) => Some("true".to_owned()),
        };
        for statement in body.query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
            let (expr, conditions) = match &statement.literal {
                Literal::Expr { expr, .. } => (expr, &mut definition.holds),
                Literal::NotExpr { expr, .. } => (expr, &mut definition.fails),
                Literal::SomeVars { .. } | Literal::SomeIn { .. } | Literal::Every { .. } => continue,
            };
            // The same words about a name of its own are another condition.
            if !mentions(expr, locals) {
                conditions.push(expr.span().text().to_owned());
            }
        }
        definition
    }

    fn never_contradicts(&self, other: &Definition) -> bool {
        let excludes = |one: &Definition, other: &Definition| {
            one.fails.iter().any(|condition| other.holds.contains(condition))
        };
        let same = self.value.is_some() && self.value == other.value;
        same || excludes(self, other) || excludes(other, self)
    }
}

/// The keys before the first one that is not known.
fn known(steps: &[Step]) -> Vec<String> {
    let keys = steps.iter().map_while(|step| match step {
        Step::Key(key) => Some(key.clone()),
        Step::Unknown => None,
    });
    keys.collect()
}

/// The text of a constant.
fn literal(expr: &Ref<Expr>) -> Option<String> {
    match expr.as_ref() {
        Expr::String { span, .. }
        | Expr::RawString { span, .. }
        | Expr::Number { span, .. }
        | Expr::Bool { span, .. }
        | Expr::Null { span, .. } => Some(span.text().to_owned()),
        _ => None,
    }
}

/// A format without a width of three digits or more, which would make much out of nothing.
fn is_plain_format(expr: &Ref<Expr>) -> bool {
    let Some(format) = literal(expr) else { return false };
    format
        .split('%')
        .skip(1)
        .all(|rest| rest.trim_start_matches('.').chars().take_while(char::is_ascii_digit).count() < 3)
}

/// Whether a body may hold in more than one way.
fn iterates(query: &Ref<Query>) -> bool {
    query.stmts.iter().any(|statement| match &statement.literal {
        Literal::SomeVars { .. } | Literal::SomeIn { .. } => true,
        Literal::Expr { expr, .. } => looks_at_each(expr),
        Literal::NotExpr { .. } | Literal::Every { .. } => false,
    })
}

fn mentions(expr: &Ref<Expr>, names: &BTreeSet<String>) -> bool {
    let itself = matches!(expr.as_ref(), Expr::Var { span, .. } if names.contains(span.text()));
    itself || children(expr).iter().any(|child| mentions(child, names))
}

fn looks_at_each(expr: &Ref<Expr>) -> bool {
    let any = matches!(expr.as_ref(), Expr::RefBrack { index, .. } if literal(index).is_none());
    any || children(expr).iter().any(looks_at_each)
}

/// The expressions right below one; those in the query of a comprehension are not.
pub(super) fn children(expr: &Ref<Expr>) -> Vec<Ref<Expr>> {
    match expr.as_ref() {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.clone(),
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [key.clone(), value.clone()]).collect()
        }
        Expr::ArrayCompr { term, .. } | Expr::SetCompr { term, .. } => vec![term.clone()],
        Expr::ObjectCompr { key, value, .. } => vec![key.clone(), value.clone()],
        Expr::Call { params, .. } => params.clone(),
        Expr::UnaryExpr { expr, .. } => vec![expr.clone()],
        Expr::RefDot { refr, .. } => vec![refr.clone()],
        Expr::RefBrack { refr, index, .. } => vec![refr.clone(), index.clone()],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs.clone(), rhs.clone()],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).cloned().collect()
        }
    }
}
