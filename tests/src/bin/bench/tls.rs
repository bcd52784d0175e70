//! The cost of a new upstream connection with each strategy, and the memory of a TLS context for each host.

mod connections;
mod memory;

use anyhow::Result;

/// Prints both tables. The argument `memory` selects the second table; versions of Envoy select the first table on
/// these versions.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            connections::measure(&e2e::VERSIONS)?;
            println!();
            memory::measure()
        }
        ["memory"] => memory::measure(),
        versions => connections::measure(versions),
    }
}
