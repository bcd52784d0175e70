//! Measurements: sets up the tools that one needs, then runs the program `bench` of the end-to-end package, in
//! release.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::setup::wasm_target::{TARGET, WasmTarget};
use crate::step::{cargo, run, step};
use crate::{checkout, setup, wasm};

/// The measurements. The program of that name has one file for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Processor time a request in an Envoy: ours, nothing, and the alternatives
    Filter,
    /// Leaves a second, first contact with a name, and what names cost Envoy and the control plane in memory
    Mint,
    /// Nanoseconds a decision, bytes a host and loading time, natively and in Envoy's V8
    Policy,
    /// Envoy's CPU for a new upstream connection with each strategy, and the weight of a context for each host
    Tls,
}

impl Bench {
    /// Returns whether the bench starts `weir`, whose release build takes minutes.
    fn needs_weir(self) -> bool {
        match self {
            Bench::Mint => true,
            Bench::Filter | Bench::Policy => false,
            Bench::Tls => true,
        }
    }
}

/// Sets up, builds in release, and measures. The program gets `arguments`.
pub(crate) fn measure(bench: Bench, arguments: &[String]) -> Result<()> {
    let wasm_target = setup::everything()?;
    wasm::build(&wasm_target)?;
    let plugin = build_plugin(&wasm_target)?;
    if bench.needs_weir() {
        step("build weir in release", || {
            run(&mut cargo(["build", "--release", "--package", "weir", "--bin", "weir"]))
        })?;
    }
    step("build the benches", || {
        run(&mut cargo(["build", "--release", "--package", "e2e", "--bin", "bench"]))
    })?;
    let target = checkout::target_directory()?;
    let name = bench.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let programs = target.join("release");
    run(std::process::Command::new(programs.join("bench"))
        .arg(name)
        .args(arguments)
        .env("WEIR_BIN", programs.join("weir"))
        .env("WEIR_FILTER_WASM", target.join("wasm/weir_filter.wasm"))
        .env("WEIR_FILTER_REGO_WASM", target.join("wasm/weir_filter_rego.wasm"))
        .env("WEIR_BENCH_PLUGIN", plugin)
        .env("WEIR_ENVOYS", checkout::envoys()))
}

/// Builds the Wasm module that measures inside Envoy, and returns its path.
fn build_plugin(target: &WasmTarget) -> Result<PathBuf> {
    step("build the bench plugin", || {
        let own = checkout::target_directory()?.join("filter");
        let mut cargo = target.cargo_build();
        cargo.args(["--package", "bench-plugin", "--profile", "wasm", "--target-dir"]).arg(&own);
        run(&mut cargo)?;
        Ok(own.join(TARGET).join("wasm/bench_plugin.wasm"))
    })
}
