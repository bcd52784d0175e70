//! Checks the required forms of builtin arguments.

use regorus::Value;
use regorus::unstable::{Expr, Ref};

use super::Walk;
use crate::analysis::builtins::Demand;
use crate::analysis::names;
use crate::analysis::syntax::{is_plain_format, known};
use crate::limits;

/// A part of a constant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece<'p> {
    Text(&'p str),
    /// A list, given by its number of items.
    List(usize),
}

impl Piece<'_> {
    fn is_list_above(self, items: usize) -> bool {
        matches!(self, Piece::List(count) if count > items)
    }
}

impl Walk<'_, '_> {
    /// Returns the fault of an argument and a suggestion, or `None` if its form is right.
    pub(super) fn refusal(
        &self,
        demand: Demand,
        name: &str,
        param: &Ref<Expr>,
    ) -> Option<(String, &'static str)> {
        let (holds, message, help) = match demand {
            Demand::Any => return None,
            Demand::Constant => (
                self.is_constant(param),
                format!("this argument of `{name}` may not depend on the request"),
                "write it as text, or take it from `data`: what a client sends must not choose the cost",
            ),
            Demand::Format => (
                is_plain_format(param),
                format!("the format of `{name}` must be text with widths below 100"),
                "write the format where it is used, and what varies behind it",
            ),
            Demand::Text => (
                self.every_piece(param, &|piece| piece != Piece::Text("")),
                format!("this argument of `{name}` must be text that is not empty"),
                "write it where it is used; `count(split(x, y)) - 1` counts any `y` in `x`",
            ),
            Demand::NoEmptyArray => (
                self.has_no_empty_array(param),
                format!("this argument of `{name}` may be, or hold, an empty array"),
                "write its arrays out, take it from `data`, or compare sets: `{x | some x in list}`",
            ),
            Demand::Glob => (
                self.every_piece(param, &is_small_glob),
                format!(
                    "the pattern of `{name}` must be text or data, of at most {} bytes and {} groups",
                    limits::GLOB_BYTES,
                    limits::GLOB_GROUPS
                ),
                "write it where it is used, or take it from `data`: what a client sends must not choose the cost",
            ),
            Demand::Delimiters => (
                self.every_piece(param, &|piece| !piece.is_list_above(limits::DELIMITERS)),
                format!(
                    "the delimiters of `{name}` must be `null`, or at most {} in the text or the data",
                    limits::DELIMITERS
                ),
                "write them where they are used: `[\".\"]`",
            ),
            Demand::Paths => (
                self.every_piece(param, &is_short_path),
                format!(
                    "the paths of `{name}` must be in the text or the data, at most {0} of at most {0} parts",
                    limits::PATH_PARTS
                ),
                "write them where they are used: `[\"a/b\", [\"c\", \"d\"]]`",
            ),
        };
        (!holds).then_some((message, help))
    }

    /// Returns whether every list that the builtin compares part by part has items. The builtin compares a set, or
    /// the items of a list, as a whole.
    fn has_no_empty_array(&self, expr: &Ref<Expr>) -> bool {
        match expr.as_ref() {
            Expr::Set { .. } | Expr::SetCompr { .. } => true,
            Expr::Array { items, .. } => !items.is_empty(),
            Expr::Object { fields, .. } => fields.iter().all(|(_, _, value)| self.has_no_empty_array(value)),
            _ => self.every_piece(expr, &|piece| piece != Piece::List(0)),
        }
    }

    /// Returns whether a value is a constant whose texts and lists all satisfy `holds`. For a reference to the data,
    /// everything below its known keys must satisfy it.
    fn every_piece(&self, expr: &Ref<Expr>, holds: &dyn Fn(Piece<'_>) -> bool) -> bool {
        match expr.as_ref() {
            Expr::String { value, .. } | Expr::RawString { value, .. } => every_piece_of(value, holds),
            Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => true,
            Expr::Array { items, .. } => {
                holds(Piece::List(items.len())) && items.iter().all(|item| self.every_piece(item, holds))
            }
            Expr::Set { items, .. } => items.iter().all(|item| self.every_piece(item, holds)),
            Expr::Object { fields, .. } => fields
                .iter()
                .all(|(_, key, value)| self.every_piece(key, holds) && self.every_piece(value, holds)),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let sources = names::chain(expr).and_then(|(root, _)| self.constants.get(&root));
                match (sources, self.names.resolve(self.module, &self.locals, expr)) {
                    (Some(sources), _) => sources
                        .iter()
                        .all(|source| source.as_ref().is_some_and(|source| self.every_piece(source, holds))),
                    (None, Some((root, steps))) => {
                        let path = known(&steps);
                        let below = path.iter().fold(self.data, |value, key| &value[key.as_str()]);
                        root == "data" && !self.touches_rules(&path) && every_piece_of(below, holds)
                    }
                    (None, None) => false,
                }
            }
            _ => false,
        }
    }
}

/// Returns whether all texts and lists of a value satisfy `holds`. The depth of the data bounds the recursion.
fn every_piece_of(value: &Value, holds: &dyn Fn(Piece<'_>) -> bool) -> bool {
    match value {
        Value::String(text) => holds(Piece::Text(text)),
        Value::Array(items) => {
            holds(Piece::List(items.len())) && items.iter().all(|item| every_piece_of(item, holds))
        }
        Value::Set(items) => items.iter().all(|item| every_piece_of(item, holds)),
        Value::Object(object) => {
            object.iter().all(|(key, value)| every_piece_of(key, holds) && every_piece_of(value, holds))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => true,
    }
}

/// Returns whether any pattern of this size compiles within the engine's limits. Each group is a level of the regular
/// expression made from the pattern, and each character takes up to 200 bytes of its automaton.
fn is_small_glob(piece: Piece<'_>) -> bool {
    match piece {
        Piece::Text(pattern) => {
            let groups = pattern.bytes().filter(|byte| *byte == b'{').count();
            pattern.len() <= limits::GLOB_BYTES && groups <= limits::GLOB_GROUPS
        }
        Piece::List(_) => true,
    }
}

/// Returns whether a path leads to an object of bounded depth. The engine nests an object for each part.
fn is_short_path(piece: Piece<'_>) -> bool {
    match piece {
        Piece::Text(path) => path.bytes().filter(|byte| *byte == b'/').count() < limits::PATH_PARTS,
        Piece::List(items) => items <= limits::PATH_PARTS,
    }
}
