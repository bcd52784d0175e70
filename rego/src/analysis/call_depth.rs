//! The depth of nested calls.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Names;
use super::syntax::place;
use crate::fault::Fault;
use crate::limits;

/// Refuses recursion and deep calls, which would overflow the stack.
pub(super) fn refuse_deep_calls(
    names: &Names<'_>,
    calls: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    query: &[String],
    faults: &mut Vec<Fault>,
) {
    let mut depths = BTreeMap::new();
    for rule in names.rules.keys() {
        let depth = depth(rule, calls, &mut Vec::new(), &mut depths);
        let Some((module, first)) = names.rules.get(rule) else { continue };
        let fault = |message: String, help: &str| Fault::at(place(*module, first.span()), message, help);
        match depth {
            Err(cycle) if cycle.first() == Some(rule) => {
                let chain: Vec<String> = cycle.iter().map(|rule| rule.join(".")).collect();
                faults.push(fault(
                    format!("`{}` calls itself: {}", rule.join("."), chain.join(", then ")),
                    "Rego has no recursion: say it without",
                ));
            }
            Ok(depth) if depth > limits::CALL_DEPTH && query == rule => faults.push(fault(
                format!("`{}` calls {depth} rules inside one another", rule.join(".")),
                "call at most 24 inside one another",
            )),
            Ok(_) | Err(_) => {}
        }
    }
}

type Depth = Result<usize, Vec<Vec<String>>>;

/// Returns the depth of nested calls in a rule, itself included. The error is a path from the rule back to itself.
fn depth(
    rule: &Vec<String>,
    calls: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    above: &mut Vec<Vec<String>>,
    known: &mut BTreeMap<Vec<String>, Depth>,
) -> Depth {
    if let Some(start) = above.iter().position(|other| other == rule) {
        return Err(above.get(start..).unwrap_or_default().to_vec());
    }
    if let Some(depth) = known.get(rule) {
        return depth.clone();
    }
    above.push(rule.clone());
    let mut deepest = 0;
    let mut cycle = None;
    for called in calls.get(rule).into_iter().flatten() {
        match depth(called, calls, above, known) {
            Ok(depth) => deepest = deepest.max(depth),
            Err(found) => cycle = Some(found),
        }
    }
    above.pop();
    let result = cycle.map_or(Ok(deepest + 1), Err);
    // A cycle that was found from one rule concerns another rule only if that rule lies on it.
    if result.is_ok() {
        known.insert(rule.clone(), result.clone());
    }
    result
}
