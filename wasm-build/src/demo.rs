//! The main job, shown: everything that it needs, then the `demo` program of the end-to-end package.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::step::{cargo, run, step};
use crate::{checkout, setup, wasm};

/// The demo's exit code; 1 when it was killed.
pub(crate) fn run_all() -> Result<ExitCode> {
    let (target, envoy) = setup::for_the_demo()?;
    wasm::build(&target)?;
    // One by one: together, the demo's dependencies would turn on features below weir, and build most of it again.
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
