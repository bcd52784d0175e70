//! `cargo xtask bench NAME`: measurements, each in a file of its own, printed as the tables of `docs/benchmarks.md`.
//!
//! Absolute times on a shared machine mean little. So the variants are measured side by side in one run, and compared
//! as ratios.

mod envoy;
mod filter;
mod mint;
mod policy;
mod tls;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<()> {
    let Some((name, arguments)) = arguments.split_first() else { bail!("which bench?") };
    match name.as_str() {
        "filter" => filter::measure(arguments),
        "mint" => mint::measure(arguments),
        "policy" => policy::measure(arguments),
        "tls" => tls::measure(arguments),
        other => bail!("there is no bench `{other}`"),
    }
}
