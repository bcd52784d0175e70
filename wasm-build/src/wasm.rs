//! The filter's two .wasm files, in the place that `weir` embeds them from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::checkout::{self, relative};
use crate::setup::wasm_target::{TARGET, WasmTarget};
use crate::step::{note, run, step};

/// Builds both filters, and returns the path of the one without an engine for Rego, `<target
/// directory>/wasm/weir_filter.wasm`. The other one is `weir_filter_rego.wasm` beside it.
///
/// A file is written only when its content changes, so that Cargo does not build the crates that embed it again for
/// nothing.
pub(crate) fn build(target: &WasmTarget) -> Result<PathBuf> {
    step("build the filters", || {
        build_one(target, "wasm-rego", &["--features", "rego"], "weir_filter_rego.wasm")?;
        build_one(target, "wasm", &[], "weir_filter.wasm")
    })
}

fn build_one(target: &WasmTarget, profile: &str, features: &[&str], name: &str) -> Result<PathBuf> {
    let target_directory = checkout::target_directory()?;
    // The filter has a target directory of its own, so that it never conflicts with another toolchain's build or
    // waits for another profile's lock.
    let own = target_directory.join("filter");
    let mut cargo = target.cargo_build();
    cargo
        .args(["--package", "weir-proxy-wasm", "--profile", profile])
        .args(features)
        .arg("--target-dir")
        .arg(&own);
    run(&mut cargo)?;
    let built = own.join(TARGET).join(profile).join("weir_proxy_wasm.wasm");
    let filter = target_directory.join("wasm").join(name);
    let content = fs::read(&built).with_context(|| built.display().to_string())?;
    let changed = put(&content, &filter).with_context(|| filter.display().to_string())?;
    let unchanged = if changed { "" } else { ", unchanged" };
    note("filter", format_args!("{}: {} bytes{unchanged}", relative(&filter), content.len()));
    Ok(filter)
}

/// Writes `content` to `file` atomically, and returns whether the content changed.
fn put(content: &[u8], file: &Path) -> Result<bool> {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = file.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&partial, content)?;
    fs::rename(&partial, file)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_same_content_is_not_touched() {
        let folder = std::env::temp_dir().join(format!("weir-xtask-{}-put", std::process::id()));
        let file = folder.join("weir_filter.wasm");
        assert!(put(b"one", &file).unwrap());
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        assert!(!put(b"one", &file).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
        assert!(put(b"two", &file).unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
