//! Decides whether the definitions of one rule can contradict each other.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, Ref, RuleBody};

use super::syntax::{literal, mentions};

/// The properties of one definition of a rule that tell whether another definition can contradict it.
#[derive(Debug, Default)]
pub(super) struct Definition {
    /// The definition's value, if that is a constant.
    pub(super) value: Option<String>,
    /// Conditions that must hold for the definition to have a value.
    pub(super) holds: Vec<String>,
    /// Conditions that must fail for the definition to have a value.
    fails: Vec<String>,
}

impl Definition {
    pub(super) fn new(
        value: Option<&Ref<Expr>>,
        bodies: &[RuleBody],
        locals: &BTreeSet<String>,
    ) -> Definition {
        let mut definition = Definition::default();
        let [body] = bodies else {
            // An `else` body applies only if earlier bodies fail. This analysis does not compare their conditions.
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
            // Equal text about a local variable would be another condition.
            if !mentions(expr, locals) {
                conditions.push(expr.span().text().to_owned());
            }
        }
        definition
    }

    pub(super) fn never_contradicts(&self, other: &Definition) -> bool {
        let excludes = |one: &Definition, other: &Definition| {
            one.fails.iter().any(|condition| other.holds.contains(condition))
        };
        let same = self.value.is_some() && self.value == other.value;
        same || excludes(self, other) || excludes(other, self)
    }
}
