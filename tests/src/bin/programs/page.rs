//! The tables of the documentation.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::list::NOT_TRIED;
use crate::program::Program;
use crate::trial::{Allowed, Outcome};

/// The longest text of a program that a table quotes, in characters.
const QUOTED: usize = 110;

/// The lines in a page between which a table stands.
const BEGIN: &str = "<!-- written by `cargo xtask programs` -->\n";
const END: &str = "<!-- end -->\n";

/// A program and what became of it. A program without an outcome is not on this machine.
pub(crate) type Row<'a> = (&'a Program, Option<Outcome>);

/// The table of the programs that work with the variables alone.
pub(crate) fn programs(rows: &[Row<'_>]) -> String {
    let mut table = String::from("| program | version | works with the variables alone? |\n|---|---|---|\n");
    for (program, outcome) in rows {
        let (version, works) = match outcome {
            None => ("", "not tried: no package that this command installs has it"),
            Some(Outcome { version, allowed: Allowed::Answered, .. }) => (version.as_str(), "yes"),
            Some(Outcome { version, allowed: Allowed::Distrusted(_), .. }) => {
                (version.as_str(), "no: it does not trust the certificate")
            }
            Some(Outcome { version, allowed: Allowed::Direct(_), .. }) => {
                (version.as_str(), "no: it connects directly, around Weir")
            }
        };
        let separator = if program.advice.is_empty() { "" } else { ". " };
        let _ = writeln!(table, "| {} | {version} | {works}{separator}{} |", program.name, program.advice);
    }
    for (name, documentation) in NOT_TRIED {
        let _ = writeln!(table, "| {name} | | not tried: {documentation} |");
    }
    table
}

/// The table of what the programs show of a denial.
pub(crate) fn denials(rows: &[Row<'_>]) -> String {
    let mut table = String::from(
        "| program | version | a denied request shows | a denied `CONNECT` shows |\n|---|---|---|---|\n",
    );
    for (program, outcome) in rows {
        if let Some(Outcome { version, allowed: Allowed::Answered, denied_request, denied_connect }) = outcome
        {
            let (request, connect) = (shown(denied_request), shown(denied_connect));
            let _ = writeln!(table, "| {} | {version} | {request} | {connect} |", program.name);
        }
    }
    table
}

/// The part of a program's output that a person reads about a denial.
fn shown(printed: &str) -> String {
    if printed.contains("decision_id") && printed.contains("hint") {
        return "the JSON".to_owned();
    }
    let lines: Vec<String> = printed.lines().map(plain).filter(|line| !line.is_empty()).collect();
    let last = |words: &[&str]| lines.iter().rfind(|line| words.iter().any(|word| line.contains(word)));
    let telling = last(&["denied_by_policy"])
        .or_else(|| last(&["403 Forbidden", "response 403", "statusCode=403"]))
        .or_else(|| last(&["403", "orbidden"]))
        .or_else(|| last(&["rror"]))
        .or(lines.last());
    let Some(line) = telling else { return "nothing".to_owned() };
    let mut line = line.clone();
    if line.chars().count() > QUOTED {
        line = line.chars().take(QUOTED).chain(['…']).collect();
    }
    let reason = if printed.contains("_not_allowed") { ", with the reason" } else { "" };
    format!("`{}`{reason}", line.replace('`', "'").replace('|', "\\|"))
}

/// A line without colours, and without the process and the time that wget and Chromium put before it.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    let text = text.trim();
    let text = match text.split_once("] ") {
        Some((before, rest)) if before.starts_with('[') && before.contains("ERROR:") => rest,
        _ => text,
    };
    if text.starts_with("20") && text.get(4..5) == Some("-") {
        return text.get(20..).unwrap_or_default().to_owned();
    }
    text.to_owned()
}

/// Replaces the table between the marks of a page.
pub(crate) fn write(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let replaced = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| {
            rest.split_once(END).map(|(_, after)| format!("{before}{BEGIN}\n{table}\n{END}{after}"))
        })
        .with_context(|| format!("{}: no marks of a table", page.display()))?;
    fs::write(page, replaced).with_context(|| page.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_the_denial_is_quoted() {
        assert_eq!(shown("Cloning…\nfatal: error: 403\nbye\n"), "`fatal: error: 403`");
        assert_eq!(shown("2026-11-30 22:44:38 ERROR 403: Forbidden.\n"), "`ERROR 403: Forbidden.`");
        assert_eq!(shown("403 {\"decision_id\":\"1\",\"hint\":\"x\"}"), "the JSON");
        assert_eq!(shown("[1:2:3/4:ERROR:a.cc:403] Page load failed\n"), "`Page load failed`");
        assert_eq!(shown("\u{1b}[31merror\u{1b}[0m: no\nbye\n"), "`error: no`");
        assert_eq!(shown("x\nno `luck` | here"), "`no 'luck' \\| here`");
        assert_eq!(shown("\n"), "nothing");
    }
}
