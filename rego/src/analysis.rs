//! The static analysis of a policy: the parts that it reads, the calls that it makes, its faults, and the engine that
//! it needs.

mod builtins;
mod definition;
mod depth;
mod glob;
mod names;
mod pattern;
mod syntax;
mod walk;

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{Module as Ast, Parser, Ref, Rule};

use crate::bundle::Bundle;
use crate::fault::{Fault, Place};
use crate::limits;
use crate::parts::Parts;
use names::Names;
use walk::Walk;

/// The results of the analysis.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// The policy's faults.
    pub(crate) faults: Vec<Fault>,
    /// The parts of the input that the policy reads.
    pub(crate) parts: Parts,
    /// The headers that the policy reads, in lower case; `None` if they cannot be determined.
    pub(crate) headers: Option<BTreeSet<String>>,
    /// The first form that the fast engine is not trusted with, and its place.
    pub(crate) slow: Option<(Place, &'static str)>,
    /// Lists of the data that are only used for membership tests, as keys below `data`.
    pub(crate) keyed: BTreeSet<Vec<String>>,
    /// Replacements in the policy's text.
    pub(crate) rewrites: Vec<Rewrite>,
    /// The first definition of the answering rule.
    pub(crate) query: Option<Place>,
}

/// A replacement by an equivalent expression.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub(crate) module: usize,
    /// The place, in bytes of the module's text.
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
    /// Whether the replacement corrects the fast engine; otherwise it only makes the policy cheaper.
    pub(crate) guards: bool,
}

/// A module with its syntax tree.
pub(crate) struct Parsed {
    pub(crate) ast: Ast,
}

/// Analyses every module. `data` is the bundle's data.
pub(crate) fn analyse(bundle: &Bundle, data: &Value) -> Analysis {
    let mut analysis = Analysis { headers: Some(BTreeSet::new()), ..Analysis::default() };
    let mut parsed = Vec::new();
    for (index, module) in bundle.modules.iter().enumerate() {
        match parse(index, &module.name, &module.text) {
            Ok(ast) => parsed.push(Parsed { ast }),
            Err(fault) => analysis.faults.push(fault),
        }
    }
    if !analysis.faults.is_empty() {
        return analysis;
    }
    let names = Names::of(&parsed, &mut analysis.faults);
    let query = names.rules.get(&path_of(&bundle.query));
    analysis.query = query.map(|(module, rule)| place(*module, rule.span()));
    if query.is_none() {
        let help = format!("the rules are {}", names.some_rules());
        analysis.faults.push(Fault::of_all(format!("no rule `{}`, which is the query", bundle.query), help));
    }
    let mut walk = Walk::new(&names, data, &mut analysis);
    for (index, module) in parsed.iter().enumerate() {
        walk.module(index, &module.ast);
    }
    let walk::Found { calls, lists, otherwise } = walk.finish();
    refuse_deep_calls(&names, &calls, &bundle.query, &mut analysis.faults);
    let shares_a_prefix = |a: &[String], b: &[String]| a.iter().zip(b).all(|(a, b)| a == b);
    analysis.keyed = lists;
    analysis.keyed.retain(|list| !otherwise.iter().any(|other| shares_a_prefix(list, other)));
    analysis.faults.truncate(limits::FAULTS);
    analysis
}

/// Returns `data.a.b` as keys below `data`.
fn path_of(query: &str) -> Vec<String> {
    query.strip_prefix("data.").unwrap_or(query).split('.').map(str::to_owned).collect()
}

fn parse(index: usize, name: &str, text: &str) -> Result<Ast, Fault> {
    let failed = |error| crate::engine_error::fault(&error, index, text);
    let source = regorus::Source::from_contents(name.to_owned(), text.to_owned()).map_err(failed)?;
    if let Some(depth::TooDeep { span, limit, what }) = depth::too_deep(&source) {
        let message = format!("more than {limit} {what} lie in one another here");
        return Err(Fault::at(place(index, &span), message, "give parts of the expression names: `x := …`"));
    }
    let parsed = Parser::new(&source).and_then(|mut parser| {
        parser.enable_rego_v1()?;
        parser.parse()
    });
    parsed.map_err(failed)
}

/// Converts a span to a place.
pub(crate) fn place(module: usize, span: &regorus::unstable::Span) -> Place {
    let number = |value: u32| usize::try_from(value).unwrap_or(0);
    Place {
        module,
        span: number(span.start)..number(span.end),
        line: number(span.line),
        column: number(span.col),
    }
}

/// Refuses recursion and deep calls, which would overflow the stack.
fn refuse_deep_calls(
    names: &Names<'_>,
    calls: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    query: &str,
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
            Ok(depth) if depth > limits::CALL_DEPTH && path_of(query) == *rule => faults.push(fault(
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

/// All rules by their path below `data`, each with its first definition.
pub(crate) type Rules<'a> = BTreeMap<Vec<String>, (usize, &'a Ref<Rule>)>;
