//! Resolves the names in a policy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{AssignOp, Expr, Literal, Module as Ast, Query, Ref, Rule, RuleHead};

use super::syntax::{Step, children, place};
use crate::fault::Fault;

/// All rules by their path below `data`, each with its module and its first definition.
pub(super) type Rules<'a> = BTreeMap<Vec<String>, (usize, &'a Ref<Rule>)>;

/// The rules of all modules, and the imports of each module.
pub(super) struct Names<'a> {
    pub(super) rules: Rules<'a>,
    /// Rules that only rename a value of the input, with its path below `input`.
    pub(super) aliases: BTreeMap<Vec<String>, Vec<Step>>,
    /// The imported names of each module, with their paths.
    pub(super) imports: Vec<BTreeMap<String, Vec<String>>>,
    /// The package of each module, below `data`.
    pub(super) packages: Vec<Vec<String>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(modules: &'a [Ast], faults: &mut Vec<Fault>) -> Names<'a> {
        let mut names = Names {
            rules: BTreeMap::new(),
            aliases: BTreeMap::new(),
            imports: Vec::new(),
            packages: Vec::new(),
        };
        for (index, ast) in modules.iter().enumerate() {
            let package = keys(&ast.package.refr).unwrap_or_default();
            names.imports.push(imports(index, ast, faults));
            for rule in &ast.policy {
                if let Some(name) = head_name(rule) {
                    let path: Vec<String> = package.iter().cloned().chain([name]).collect();
                    match names.rules.entry(path.clone()) {
                        Entry::Vacant(entry) => {
                            entry.insert((index, rule));
                            names.aliases.extend(alias(rule).map(|steps| (path, steps)));
                        }
                        // A rule with two definitions is more than an alias.
                        Entry::Occupied(_) => {
                            names.aliases.remove(&path);
                        }
                    }
                }
            }
            names.packages.push(package);
        }
        names
    }

    /// Resolves a reference to `input` or `data` and the steps below it. Returns `None` for other names.
    pub(super) fn resolve(
        &self,
        module: usize,
        locals: &BTreeSet<String>,
        expr: &Ref<Expr>,
    ) -> Option<(String, Vec<Step>)> {
        let (root, mut steps) = chain(expr)?;
        if root == "input" || root == "data" {
            return Some((root, steps));
        }
        if locals.contains(&root) {
            return None;
        }
        let full =
            self.imports.get(module).and_then(|imports| imports.get(&root)).cloned().or_else(|| {
                let mut path = vec!["data".to_owned()];
                path.extend(self.packages.get(module).cloned().unwrap_or_default());
                path.push(root);
                self.rules.contains_key(path.get(1..).unwrap_or_default()).then_some(path)
            })?;
        let (root, rest) = full.split_first()?;
        let mut all: Vec<Step> = rest.iter().cloned().map(Step::Key).collect();
        all.append(&mut steps);
        Some((root.clone(), all))
    }

    /// Lists a few rules, as a suggestion in a fault.
    pub(super) fn some_rules(&self) -> String {
        let all: Vec<String> =
            self.rules.keys().take(8).map(|rule| format!("`data.{}`", rule.join("."))).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}

/// Reads the imported names. `rego.v1` and the future keywords import no names.
fn imports(module: usize, ast: &Ast, faults: &mut Vec<Fault>) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::new();
    for import in &ast.imports {
        let Some((root, steps)) = chain(&import.refr) else { continue };
        if root == "rego" || root == "future" {
            continue;
        }
        let mut path = vec![root];
        for step in steps {
            match step {
                Step::Key(key) => path.push(key),
                Step::Unknown => {
                    let fault =
                        Fault::at(place(module, &import.span), "an import with a variable", "import a path");
                    faults.push(fault);
                }
            }
        }
        let name = import.r#as.as_ref().map(|span| span.text().to_owned());
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            names.insert(name, path);
        }
    }
    names
}

/// Returns a rule's name: the first name in its head.
pub(super) fn head_name(rule: &Ref<Rule>) -> Option<String> {
    let refr = match rule.as_ref() {
        Rule::Spec { head: RuleHead::Compr { refr, .. }, .. }
        | Rule::Spec { head: RuleHead::Set { refr, .. }, .. }
        | Rule::Spec { head: RuleHead::Func { refr, .. }, .. }
        | Rule::Default { refr, .. } => refr,
    };
    chain(refr).map(|(root, _)| root)
}

/// Returns whether a rule adds entries to a set of its name.
pub(super) fn builds_a_set(rule: &Ref<Rule>) -> bool {
    match rule.as_ref() {
        Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => matches!(refr.as_ref(), Expr::Var { .. }),
        Rule::Spec { .. } | Rule::Default { .. } => false,
    }
}

/// Returns the path below `input` that an unconditional rule names, if it names one.
fn alias(rule: &Ref<Rule>) -> Option<Vec<Step>> {
    let Rule::Spec { head: RuleHead::Compr { refr, assign: Some(assign), .. }, bodies, .. } = rule.as_ref()
    else {
        return None;
    };
    let (root, steps) = chain(&assign.value)?;
    let plain = matches!(refr.as_ref(), Expr::Var { .. }) && bodies.is_empty() && root == "input";
    (plain && steps.iter().all(|step| *step != Step::Unknown)).then_some(steps)
}

/// Returns the keys of a path that consists of keys only.
fn keys(expr: &Ref<Expr>) -> Option<Vec<String>> {
    let (root, steps) = chain(expr)?;
    let rest = steps.into_iter().map(|step| match step {
        Step::Key(key) => Some(key),
        Step::Unknown => None,
    });
    core::iter::once(Some(root)).chain(rest).collect()
}

/// Splits `a.b["c"][d]` into its first name and the steps after it.
pub(super) fn chain(expr: &Ref<Expr>) -> Option<(String, Vec<Step>)> {
    match expr.as_ref() {
        Expr::Var { span, .. } => Some((span.text().to_owned(), Vec::new())),
        Expr::RefDot { refr, field, .. } => {
            let (root, mut steps) = chain(refr)?;
            steps.push(Step::Key(field.0.text().to_owned()));
            Some((root, steps))
        }
        Expr::RefBrack { refr, index, .. } => {
            let (root, mut steps) = chain(refr)?;
            steps.push(match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => {
                    value.as_string().map_or(Step::Unknown, |key| Step::Key(key.to_string()))
                }
                _ => Step::Unknown,
            });
            Some((root, steps))
        }
        _ => None,
    }
}

/// Returns all local names of a rule, at any depth. None of them refers to a rule or an import.
pub(super) fn locals(rule: &Ref<Rule>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match rule.as_ref() {
        Rule::Spec { head, bodies, .. } => {
            if let RuleHead::Func { args, .. } = head {
                args.iter().for_each(|arg| variables(arg, &mut found));
            }
            for body in bodies {
                declared(&body.query, &mut found);
            }
        }
        Rule::Default { args, .. } => args.iter().for_each(|arg| variables(arg, &mut found)),
    }
    found
}

/// Returns the names that a rule declares without a value.
pub(super) fn unbound(rule: &Ref<Rule>) -> BTreeSet<String> {
    let Rule::Spec { bodies, .. } = rule.as_ref() else { return BTreeSet::new() };
    let statements = bodies.iter().flat_map(|body| &body.query.stmts);
    let names = statements.filter_map(|statement| match &statement.literal {
        Literal::SomeVars { vars, .. } => Some(vars),
        Literal::SomeIn { .. } | Literal::Expr { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {
            None
        }
    });
    names.flatten().map(|span| span.text().to_owned()).collect()
}

fn declared(query: &Ref<Query>, found: &mut BTreeSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => found.extend(vars.iter().map(|span| span.text().to_owned())),
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| variables(key, found));
                variables(value, found);
                inside(collection, found);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => inside(expr, found),
            Literal::Every { key, value, domain, query, .. } => {
                found.extend(key.iter().chain([value]).map(|span| span.text().to_owned()));
                inside(domain, found);
                declared(query, found);
            }
        }
    }
}

/// Collects the names that an expression declares: the left sides of `:=`, and the names that its comprehensions
/// declare.
fn inside(expr: &Ref<Expr>, found: &mut BTreeSet<String>) {
    match expr.as_ref() {
        Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
            variables(lhs, found);
            inside(rhs, found);
        }
        Expr::ArrayCompr { query, .. } | Expr::SetCompr { query, .. } | Expr::ObjectCompr { query, .. } => {
            declared(query, found);
        }
        _ => children(expr).into_iter().for_each(|child| inside(&child, found)),
    }
}

/// Collects the variables of a pattern.
fn variables(pattern: &Ref<Expr>, found: &mut BTreeSet<String>) {
    match pattern.as_ref() {
        Expr::Var { span, .. } => {
            found.insert(span.text().to_owned());
        }
        _ => children(pattern).into_iter().for_each(|child| variables(&child, found)),
    }
}
