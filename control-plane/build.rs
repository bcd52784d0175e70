//! Finds the filter's two wasm modules, which become a part of the program.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    embed("WEIR_FILTER_WASM", "weir_filter.wasm");
    embed("WEIR_FILTER_REGO_WASM", "weir_filter_rego.wasm");
}

/// Tells the program under `variable` where the module is: where the variable says, or where xtask puts it.
fn embed(variable: &str, name: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let module = env::var_os(variable).map_or_else(|| built_by_xtask(name), PathBuf::from);
    println!("cargo::rerun-if-changed={}", module.display());
    if module.is_file() {
        println!("cargo::rustc-env={variable}={}", module.display());
    } else {
        println!("cargo::error=no wasm filter at {}: build it with `cargo xtask wasm`", module.display());
    }
}

/// `<target directory>/wasm/<name>`: the output directory is `<target directory>/<profile>/build/…/out`.
fn built_by_xtask(name: &str) -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let target = out.ancestors().find(|folder| folder.join(".rustc_info.json").is_file());
    target.unwrap_or(Path::new("target")).join("wasm").join(name)
}
