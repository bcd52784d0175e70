//! What certificates cost: signing them, the first contact with a name, and the memory that names take.

mod contact;
mod memory;
mod signing;

use anyhow::{Result, bail};

/// Prints all tables, or those that the arguments name.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let parts: Vec<&str> = match arguments {
        [] => vec!["signing", "contact", "memory", "flood"],
        named => named.iter().map(String::as_str).collect(),
    };
    for part in parts {
        match part {
            "signing" => signing::measure()?,
            "contact" => contact::measure()?,
            "memory" => memory::measure()?,
            "flood" => memory::measure_flood()?,
            other => bail!("`{other}` is none of signing, contact, memory, flood"),
        }
        println!();
    }
    Ok(())
}

/// A policy that lists a wildcard beside the hosts of the tests.
fn policy_with(wildcard: &str, hosts: &e2e::UpstreamHosts) -> String {
    let rule = format!("  - id: wildcard\n    effect: allow\n    hosts: ['{wildcard}']\n    ports: [443]\n");
    hosts.policy() + &rule
}
