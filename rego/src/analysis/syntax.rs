//! Properties of an expression that follow from its syntax alone.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, Query, Ref, Span};

use crate::fault::Place;

/// One step of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// A key that is unknown before evaluation.
    Unknown,
}

/// Returns the keys before the first unknown one.
pub(super) fn known(steps: &[Step]) -> Vec<String> {
    let keys = steps.iter().map_while(|step| match step {
        Step::Key(key) => Some(key.clone()),
        Step::Unknown => None,
    });
    keys.collect()
}

/// Returns the text of a constant.
pub(super) fn literal(expr: &Ref<Expr>) -> Option<String> {
    match expr.as_ref() {
        Expr::String { span, .. }
        | Expr::RawString { span, .. }
        | Expr::Number { span, .. }
        | Expr::Bool { span, .. }
        | Expr::Null { span, .. } => Some(span.text().to_owned()),
        _ => None,
    }
}

/// Returns whether the expression consists of constants only.
pub(super) fn is_literal(expr: &Ref<Expr>) -> bool {
    let collection = matches!(expr.as_ref(), Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. });
    literal(expr).is_some() || (collection && children(expr).iter().all(is_literal))
}

/// Returns whether the expression is a constant or a single reference.
pub(super) fn is_self_contained(expr: &Ref<Expr>) -> bool {
    is_literal(expr)
        || matches!(expr.as_ref(), Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. })
}

/// Returns the number of verbs of a format, or the first verb that the engine lacks or writes differently than OPA. A
/// width of three digits or more would make much out of nothing, and the engine panics on digits outside of ASCII.
pub(super) fn verbs(format: &str) -> Result<usize, &str> {
    let mut verbs = 0;
    let mut rest = format;
    while let Some((_, behind)) = rest.split_once('%') {
        let number = behind.trim_start_matches('.').trim_start_matches(|c: char| c.is_numeric());
        let (before, verb) =
            (behind.get(..behind.len() - number.len()).unwrap_or_default(), number.chars().next());
        let digits = before.strip_prefix('.').unwrap_or(before);
        let is_number =
            !digits.is_empty() && digits.len() < 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let known = match verb {
            Some('%' | 's' | 'v' | 'q' | 'b' | 'c') => before.is_empty(),
            Some('d' | 'x' | 'X') => before.is_empty() || (is_number && !before.starts_with('.')),
            Some('f') => is_number && before.starts_with('.'),
            Some(_) | None => false,
        };
        let end = before.len() + verb.map_or(0, char::len_utf8);
        if !known {
            let start = format.len() - behind.len() - 1;
            return Err(format.get(start..start + 1 + end).unwrap_or(format));
        }
        verbs += usize::from(verb != Some('%'));
        rest = behind.get(end..).unwrap_or_default();
    }
    Ok(verbs)
}

/// Returns whether a body may hold in more than one way.
pub(super) fn iterates(query: &Ref<Query>) -> bool {
    query.stmts.iter().any(|statement| match &statement.literal {
        Literal::SomeVars { .. } | Literal::SomeIn { .. } => true,
        Literal::Expr { expr, .. } => looks_at_each(expr),
        Literal::NotExpr { .. } | Literal::Every { .. } => false,
    })
}

pub(super) fn mentions(expr: &Ref<Expr>, names: &BTreeSet<String>) -> bool {
    let itself = matches!(expr.as_ref(), Expr::Var { span, .. } if names.contains(span.text()));
    itself || children(expr).iter().any(|child| mentions(child, names))
}

/// Returns the variables in brackets. Comprehensions have loops of their own, so their variables are left out.
pub(super) fn looked_through(expr: &Ref<Expr>) -> Vec<Span> {
    let mut found = Vec::new();
    match expr.as_ref() {
        Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => return found,
        Expr::RefBrack { index, .. } => {
            if let Expr::Var { span, .. } = index.as_ref() {
                found.push(span.clone());
            }
        }
        _ => {}
    }
    found.extend(children(expr).iter().flat_map(looked_through));
    found
}

fn looks_at_each(expr: &Ref<Expr>) -> bool {
    let any = matches!(expr.as_ref(), Expr::RefBrack { index, .. } if literal(index).is_none());
    any || children(expr).iter().any(looks_at_each)
}

/// Returns an expression's direct subexpressions, without those in the query of a comprehension.
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

/// Converts a span to a place.
pub(super) fn place(module: usize, span: &Span) -> Place {
    let number = |value: u32| usize::try_from(value).unwrap_or(0);
    Place {
        module,
        span: number(span.start)..number(span.end),
        line: number(span.line),
        column: number(span.col),
    }
}
