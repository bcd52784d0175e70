//! Finds the filter's wasm module, which becomes a part of the program.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=WEIR_FILTER_WASM");
    let module = env::var_os("WEIR_FILTER_WASM").map_or_else(built_by_xtask, PathBuf::from);
    println!("cargo::rerun-if-changed={}", module.display());
    if module.is_file() {
        println!("cargo::rustc-env=WEIR_FILTER_WASM={}", module.display());
    } else {
        println!("cargo::error=no wasm filter at {}: build it with `cargo xtask wasm`", module.display());
    }
}

/// `<target directory>/wasm/weir_filter.wasm`: the output directory is `<target directory>/<profile>/build/…/out`.
fn built_by_xtask() -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let target = out.ancestors().find(|folder| folder.join(".rustc_info.json").is_file());
    target.unwrap_or(Path::new("target")).join("wasm").join("weir_filter.wasm")
}
