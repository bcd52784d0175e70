//! Finds the filter's two Wasm modules, which become a part of the program.
//!
//! A development build without them still compiles, so that `cargo check`, `cargo test` and editors work in a fresh
//! clone. That program refuses to serve. A release build without them fails.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    embed("WEIR_FILTER_WASM", "weir_filter.wasm");
    embed("WEIR_FILTER_REGO_WASM", "weir_filter_rego.wasm");
}

/// Sets `variable` for the program's compilation to the module's path: the variable's own value, else the file that
/// `cargo xtask wasm` makes, else an empty file.
fn embed(variable: &str, name: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let module = env::var_os(variable).map_or_else(|| built_by_xtask(&out, name), PathBuf::from);
    println!("cargo::rerun-if-changed={}", module.display());
    if module.is_file() {
        println!("cargo::rustc-env={variable}={}", module.display());
        return;
    }
    let missing = format!("no Wasm filter at {}: build it with `cargo xtask wasm`", module.display());
    let empty = out.join(name);
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") && fs::write(&empty, []).is_ok() {
        println!("cargo::warning={missing}; this `weir` cannot serve");
        println!("cargo::rustc-env={variable}={}", empty.display());
    } else {
        println!("cargo::error={missing}");
    }
}

/// `<target directory>/wasm/<name>`: the output directory is `<target directory>/<profile>/build/…/out`.
fn built_by_xtask(out: &Path, name: &str) -> PathBuf {
    let target = out.ancestors().find(|folder| folder.join(".rustc_info.json").is_file());
    target.unwrap_or(Path::new("target")).join("wasm").join(name)
}
