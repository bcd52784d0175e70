//! Checks the required forms of builtin arguments.

use core::cell::RefCell;

use regorus::Value;
use regorus::unstable::{Expr, Ref};

use super::Walk;
use crate::analysis::builtins::Demand;
use crate::analysis::names;
use crate::analysis::syntax::{Step, known, verbs};
use crate::analysis::{glob, pattern};
use crate::limits;

const PATTERN_HELP: &str = "write `[0-9]` for `\\d`, `[0-9A-Za-z_]` for `\\w` and `[ \\t]` for `\\s`; for `(?i)` use `lower(x)`; escape `[` and `{` that stand for themselves";
const GLOB_HELP: &str = "write `*` within a part and `**` for all parts behind a delimiter at the end, and choices that are not empty; use `regex.match` for the rest";
const FORMAT_HELP: &str = "the verbs are `%s`, `%v`, `%q`, `%d`, `%x`, `%X`, `%b`, `%c` and `%.2f`, with a width below 100 before `d`, `x` and `X` only";

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
        params: &[Ref<Expr>],
    ) -> Option<(String, &'static str)> {
        let (holds, message, help) = match demand {
            Demand::Any => return None,
            Demand::Constant => (
                self.is_constant(param),
                format!("this argument of `{name}` may not depend on the request"),
                "write it as text, or take it from `data`: a client must not choose the cost",
            ),
            Demand::Format => return format_refusal(name, param, params),
            Demand::Pattern => {
                return self.pattern_refusal(name, param, PATTERN_HELP, &|text| pattern::unsupported(text));
            }
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
            Demand::Glob if self.every_piece(param, &is_small_glob) => {
                let delimiters = params.get(1).map(constant_delimiters).unwrap_or_default();
                let unsupported = |text: &str| glob::unsupported(text, &delimiters).map(str::to_owned);
                return self.pattern_refusal(name, param, GLOB_HELP, &unsupported);
            }
            Demand::Glob => (
                false,
                format!(
                    "the pattern of `{name}` must be text or data, of at most {} bytes and {} groups",
                    limits::GLOB_BYTES,
                    limits::GLOB_GROUPS
                ),
                "write it where it is used, or take it from `data`: a client must not choose the cost",
            ),
            Demand::Delimiters => (
                self.every_piece(param, &|piece| match piece {
                    Piece::Text(text) => glob::is_delimiter(text),
                    Piece::List(_) => !piece.is_list_above(limits::DELIMITERS),
                }),
                format!(
                    "the delimiters of `{name}` must be `null`, or at most {} in the text or the data, each one sign of ASCII but `:`",
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

    /// Returns the refusal of an argument that is no constant, or that contains a text with an unsupported part.
    fn pattern_refusal(
        &self,
        name: &str,
        param: &Ref<Expr>,
        help: &'static str,
        unsupported: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(String, &'static str)> {
        let found = RefCell::new(None);
        let holds = self.every_piece(param, &|piece| {
            let Piece::Text(text) = piece else { return true };
            let Some(part) = unsupported(text) else { return true };
            *found.borrow_mut() = Some(part);
            false
        });
        if holds {
            return None;
        }
        Some(match found.into_inner() {
            Some(part) => (format!("the pattern of `{name}` may not have `{part}`"), help),
            None => (
                format!("the pattern of `{name}` must be text or data"),
                "write it where it is used, or take it from `data`: a client must not choose the cost",
            ),
        })
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
                self.every_piece_at(expr, &[], holds)
            }
            _ => false,
        }
    }

    /// Returns whether each text and list at the path `below` a reference satisfies `holds`.
    fn every_piece_at(&self, expr: &Ref<Expr>, below: &[Step], holds: &dyn Fn(Piece<'_>) -> bool) -> bool {
        if let Some((root, steps)) = names::chain(expr)
            && let Some(sources) = self.constants.get(&root)
        {
            let steps: Vec<Step> = steps.iter().chain(below).cloned().collect();
            return sources.iter().all(|source| match source {
                Some(source) if names::chain(source).is_some() => self.every_piece_at(source, &steps, holds),
                Some(source) => self.every_piece(source, holds),
                None => false,
            });
        }
        let Some((root, steps)) = self.names.resolve(self.module, &self.locals, expr) else { return false };
        root == "data"
            && !self.touches_rules(&known(&steps))
            && reached(self.data, &steps)
                .into_iter()
                .flat_map(|value| found_below(value, below))
                .all(|value| every_piece_of(value, holds))
    }
}

/// Returns the values of the data that a path may lead to.
fn reached<'v>(value: &'v Value, steps: &[Step]) -> Vec<&'v Value> {
    let Some((first, rest)) = steps.split_first() else { return vec![value] };
    let next: Vec<&Value> = match first {
        Step::Key(key) => vec![&value[key.as_str()]],
        Step::Unknown => entries(value),
    };
    next.into_iter().flat_map(|entry| reached(entry, rest)).collect()
}

/// Returns the values at a path below a value, or below anything in it, because a local name may stand for any part of
/// its source.
fn found_below<'v>(value: &'v Value, steps: &[Step]) -> Vec<&'v Value> {
    let mut found = reached(value, steps);
    if !steps.is_empty() {
        found.extend(entries(value).into_iter().flat_map(|entry| found_below(entry, steps)));
    }
    found
}

fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        Value::Object(object) => object.iter().map(|(_, entry)| entry).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => Vec::new(),
    }
}

/// Returns the refusal of a format with a verb that the engine lacks, or with another number of verbs than values.
fn format_refusal(name: &str, format: &Ref<Expr>, params: &[Ref<Expr>]) -> Option<(String, &'static str)> {
    let text = match format.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok(),
        _ => None,
    };
    let Some(text) = text else {
        return Some((
            format!("the format of `{name}` must be text"),
            "write the format where it is used, and what varies behind it",
        ));
    };
    let verbs = match verbs(text) {
        Ok(verbs) => verbs,
        Err(part) => return Some((format!("the format of `{name}` may not have `{part}`"), FORMAT_HELP)),
    };
    let values = params.get(1).and_then(|values| match values.as_ref() {
        Expr::Array { items, .. } => Some(items.len()),
        _ => None,
    });
    let values = values.filter(|values| *values != verbs)?;
    Some((
        format!("the format of `{name}` has {verbs} verbs for {values} values"),
        "write a verb for each value: `%v` fits any",
    ))
}

/// Returns the literal delimiters of a glob. The engine takes `.` for an empty list.
fn constant_delimiters(delimiters: &Ref<Expr>) -> Vec<char> {
    let Expr::Array { items, .. } = delimiters.as_ref() else { return Vec::new() };
    if items.is_empty() {
        return vec!['.'];
    }
    let first = |item: &Ref<Expr>| match item.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok()?.chars().next(),
        _ => None,
    };
    items.iter().filter_map(first).collect()
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
