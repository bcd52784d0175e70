//! The static analysis of a policy: the input that it reads, the calls that it makes, its faults, and the engine that it
//! needs.

mod builtins;
mod call_depth;
mod definition;
mod depth;
mod findings;
mod glob;
mod names;
mod pattern;
mod syntax;
mod walk;

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{Module as Ast, Parser};

use crate::bundle::Bundle;
use crate::fault::Fault;
use crate::limits;
use call_depth::refuse_deep_calls;
pub(crate) use findings::{Analysis, Rewrite};
use names::Names;
use syntax::place;
use walk::Walk;

/// Analyses every module. `data` is the bundle's data.
pub(crate) fn analyse(bundle: &Bundle, data: &Value) -> Analysis {
    let mut analysis = Analysis { headers: Some(BTreeSet::new()), ..Analysis::default() };
    let mut parsed = Vec::new();
    for (index, module) in bundle.modules.iter().enumerate() {
        match parse(index, &module.name, &module.text) {
            Ok(ast) => parsed.push(ast),
            Err(fault) => analysis.faults.push(fault),
        }
    }
    if !analysis.faults.is_empty() {
        return analysis;
    }
    let names = Names::new(&parsed, &mut analysis.faults);
    let query = names.rules.get(&path_of(&bundle.query));
    analysis.query = query.map(|(module, rule)| place(*module, rule.span()));
    if query.is_none() {
        let help = format!("the rules are {}", names.some_rules());
        analysis
            .faults
            .push(Fault::without_place(format!("no rule `{}`, which is the query", bundle.query), help));
    }
    let mut walk = Walk::new(&names, data, &mut analysis);
    for (index, ast) in parsed.iter().enumerate() {
        walk.module(index, ast);
    }
    let walk::Found { calls, lists, otherwise } = walk.finish();
    refuse_deep_calls(&names, &calls, &path_of(&bundle.query), &mut analysis.faults);
    let shares_a_prefix = |a: &[String], b: &[String]| a.iter().zip(b).all(|(a, b)| a == b);
    analysis.indexed_lists = lists;
    analysis.indexed_lists.retain(|list| !otherwise.iter().any(|other| shares_a_prefix(list, other)));
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
