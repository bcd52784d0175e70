//! The cost of certificates: signing, the first handshake with a name, and the memory for names.

mod contact;
mod memory;
mod signing;

use anyhow::{Result, bail};

/// A table and its size. Without a size the table uses its default.
struct Part<'a> {
    name: &'a str,
    count: Option<usize>,
}

/// Prints all tables, or those that the arguments name. A number after a name is the table's size: seconds of
/// handshakes, or the number of names.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for argument in arguments {
        match (argument.parse(), parts.last_mut()) {
            (Ok(count), Some(part)) => part.count = Some(count),
            (Ok(_), None) => bail!("`{argument}` stands behind no name of a table"),
            (Err(_), _) => parts.push(Part { name: argument, count: None }),
        }
    }
    if parts.is_empty() {
        parts = ["signing", "contact", "memory", "flood"].map(|name| Part { name, count: None }).into();
    }
    for Part { name, count } in parts {
        match name {
            "signing" => signing::measure()?,
            "contact" => contact::measure(count.unwrap_or(contact::SECONDS))?,
            "memory" => memory::measure(count.unwrap_or(memory::NAMES))?,
            "flood" => memory::measure_flood(count.unwrap_or(memory::FLOOD))?,
            other => bail!("`{other}` is none of signing, contact, memory, flood"),
        }
        println!();
    }
    Ok(())
}

/// A policy that allows a wildcard beside the hosts of the tests.
fn policy_with(wildcard: &str, hosts: &e2e::UpstreamHosts) -> String {
    let rule = format!("  - id: wildcard\n    effect: allow\n    hosts: ['{wildcard}']\n    ports: [443]\n");
    hosts.policy() + &rule
}
