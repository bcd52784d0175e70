//! Converts the engine's errors to faults. The engine writes the place into its message.

use weir_policy::{LineColumn, SourceLines};

use crate::fault::{Fault, Place};

/// Parses a fault from `\n--> name:line:column\n…\nerror: message`.
pub(crate) fn fault(error: &impl ToString, module: usize, text: &str) -> Fault {
    let said = error.to_string();
    let place = said.split_once("--> ").and_then(|(_, rest)| {
        let mut parts = rest.lines().next()?.rsplit(':');
        let (column, line) = (parts.next()?.trim().parse().ok()?, parts.next()?.trim().parse().ok()?);
        Some((line, column))
    });
    let message = said.rsplit_once("error: ").map_or(said.as_str(), |(_, message)| message).trim();
    let message = message.lines().next().unwrap_or(message).trim_end_matches('.').to_owned();
    let v0 = message.contains("`if` keyword") || message.contains("expecting `if`");
    let help = if v0 {
        "write Rego as OPA 1.0 reads it: `opa fmt --write --rego-v1` rewrites older policies"
    } else {
        "write what OPA 1.0 accepts"
    };
    match place {
        Some((line, column)) => Fault::at(spot(module, text, line, column), message, help),
        None => Fault::without_place(message, help),
    }
}

/// Returns the place of a line and a column. The engine counts both from 1, with one exception: the text after a dot
/// at the end of a line is in column 0 of the next line.
fn spot(module: usize, text: &str, line: usize, column: usize) -> Place {
    let (line, column) = (line.max(1), column.max(1));
    let at = SourceLines::new(text).offset(LineColumn { line, column });
    let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8());
    Place { module, span: at..end, line, column }
}
