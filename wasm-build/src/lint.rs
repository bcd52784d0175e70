//! Formatting and lints, as CI runs them: a warning is an error.

use anyhow::Result;

use crate::setup;
use crate::setup::wasm_target::{TARGET, WasmTarget};
use crate::step::{cargo, note, run, step};
use crate::wasm;

/// Lints after a set-up: clippy builds `weir`, which embeds the filter.
pub(crate) fn run_alone() -> Result<()> {
    let target = setup::wasm_target()?;
    wasm::build(&target)?;
    all(target)
}

/// Lints. The filter must have been built before.
pub(crate) fn all(target: WasmTarget) -> Result<()> {
    step("formatting", || run(&mut cargo(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })?;
    step("clippy of what Envoy loads", || match target {
        WasmTarget::Toolchain => run(&mut cargo([
            "clippy",
            "--package",
            "weir-proxy-wasm",
            "--package",
            "bench-plugin",
            "--target",
            TARGET,
            "--",
            "--deny",
            "warnings",
        ])),
        WasmTarget::Debian => {
            note("clippy", "left out: Debian's Rust for wasm has none");
            Ok(())
        }
    })
}
