//! What a new connection to an upstream costs Envoy with each strategy, and what a context for each host weighs.

mod connections;
mod memory;

use anyhow::Result;

/// Prints both tables; with `memory` the second alone, and with versions of Envoy the first alone on these.
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
