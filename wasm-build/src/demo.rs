//! The demo: sets up all that it needs, then runs the program `demo` of the end-to-end package.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::step::{cargo, run, step};
use crate::{checkout, setup, wasm};

/// Runs the demo and returns its exit code; 1 if a signal killed it.
pub(crate) fn run_all() -> Result<ExitCode> {
    let (target, envoy) = setup::for_the_demo()?;
    wasm::build(&target)?;
    // The packages are built one by one. Built together, the demo's dependencies would turn on features in weir's
    // dependencies, and Cargo would build most of weir again.
    step("build weir", || run(&mut cargo(["build", "--package", "weir", "--bin", "weir"])))?;
    step("build the demo", || run(&mut cargo(["build", "--package", "e2e", "--bin", "demo"])))?;
    let programs = checkout::target_directory()?.join("debug");
    let demo = programs.join("demo");
    let status = std::process::Command::new(&demo)
        .current_dir(checkout::root())
        .env("WEIR_BIN", programs.join("weir"))
        .env("WEIR_ENVOYS", checkout::envoys())
        .env("WEIR_ENVOY", envoy.path)
        .status()
        .with_context(|| format!("cannot start `{}`", demo.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
