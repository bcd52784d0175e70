//! Runs every test, ordered so that a failure shows as early as possible.

use std::time::Instant;

use anyhow::Result;

use crate::setup::wasm_target::WasmTarget;
use crate::step::{Seconds, cargo, run, step};
use crate::{checkout, lint, setup, wasm};

/// Runs all tests. `end_to_end` holds arguments for the runner of the end-to-end tests.
pub(crate) fn all(end_to_end: &[String]) -> Result<()> {
    let start = Instant::now();
    let target = setup::everything()?;
    without_envoy(target)?;
    step("build weir", || run(&mut cargo(["build", "--package", "weir", "--bin", "weir"])))?;
    step("end-to-end tests", || {
        let mut tests = cargo(["test", "--package", "e2e", "--", "--test-threads=2"]);
        tests
            .args(end_to_end)
            .env("WEIR_BIN", checkout::target_directory()?.join("debug/weir"))
            .env("WEIR_ENVOYS", checkout::envoys());
        run(&mut tests)
    })?;
    eprintln!("all tests passed in {}", Seconds(start.elapsed()));
    Ok(())
}

/// Runs the TLS matrix and writes its page. With words in `rows`, it prints only the rows that contain all of them.
pub(crate) fn matrix(rows: &[String]) -> Result<()> {
    wasm::build(&setup::for_the_matrix()?)?;
    step("build weir", || run(&mut cargo(["build", "--package", "weir", "--bin", "weir"])))?;
    step("TLS matrix", || {
        let mut matrix = cargo(["run", "--package", "e2e", "--bin", "matrix", "--"]);
        matrix
            .arg(checkout::root().join("docs/tls-matrix.md"))
            .args(rows)
            .env("WEIR_BIN", checkout::target_directory()?.join("debug/weir"))
            .env("WEIR_ENVOYS", checkout::envoys());
        run(&mut matrix)
    })
}

/// Runs everything but the end-to-end tests, which need Envoys and nginx.
pub(crate) fn fast() -> Result<()> {
    let start = Instant::now();
    without_envoy(setup::wasm_target()?)?;
    eprintln!("all tests but the end-to-end ones passed in {}", Seconds(start.elapsed()));
    Ok(())
}

fn without_envoy(target: WasmTarget) -> Result<()> {
    wasm::build(&target)?;
    lint::all(target)?;
    step("unit and documentation tests", || {
        run(&mut cargo(["test", "--workspace", "--exclude", "e2e", "--quiet"]))
    })?;
    step("unit tests of the filter with Rego", || {
        run(&mut cargo(["test", "--package", "weir-filter", "--features", "rego", "--quiet"]))
    })?;
    if let Some(opa) = setup::opa::ensure()? {
        step("OPA's decisions", || {
            let mut test = cargo(["test", "--package", "weir-policy", "--test", "predecessor", "--quiet"]);
            run(test.args(["--", "--ignored"]).env("WEIR_OPA", opa))
        })?;
    }
    step("documentation", || {
        let mut doc = cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    })
}
