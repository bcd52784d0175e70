//! Rows as a readable table.

use crate::row::Row;

const HEAD: [&str; 9] =
    ["", "host", "method", "expected", "got", "reason", "upstream name verified", "session resumed", ""];

/// Prints a title and the rows below it, every column as wide as its widest cell.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("{title}");
    let cells: Vec<[String; 9]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &cells {
        let line: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        println!("{}", line.join("  ").trim_end());
    }
    println!();
}

fn cells(row: &Row) -> [String; 9] {
    let (status, reason) = row.ask.expected;
    let wrong = format!(
        "expected the reason {reason}; Envoy says: {}",
        row.decision.failure.as_deref().unwrap_or("-")
    );
    [
        if row.is_right() { "ok" } else { "WRONG" }.to_owned(),
        row.ask.host.to_owned(),
        row.ask.method().to_owned(),
        status.to_string(),
        row.status.to_string(),
        row.decision.reason.clone(),
        if row.decision.upstream_names.is_empty() {
            "-".to_owned()
        } else {
            row.decision.upstream_names.join(", ")
        },
        match row.resumed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        }
        .to_owned(),
        if row.is_right() { row.ask.note.to_owned() } else { wrong },
    ]
}
