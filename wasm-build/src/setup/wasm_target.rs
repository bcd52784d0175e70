//! A standard library for wasm: the active toolchain's, or one built from Debian's sources.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian_package;
use crate::checkout::find_program;
use crate::step::{cargo, forget_our_own_package, note, run_quietly};

/// The target that the filter is compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Debian's Rust for browsers, which lacks a compiled wasm standard library, with its sources and the packages that
/// they need to link.
const PACKAGES: [&str; 5] = ["cargo-web", "lld-22", "rust-web-src", "rustc-web", "wasi-libc"];

/// The way to compile the filter on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasmTarget {
    /// The active toolchain has the target's standard library.
    Toolchain,
    /// Debian's own Cargo builds the standard library along with the filter.
    Debian,
}

/// Finds or installs a way to compile: rustup first, then Debian's packages where rustup is missing or fails.
///
/// # Errors
/// When neither works. The error names the missing tool in one line.
pub(crate) fn ensure() -> Result<WasmTarget> {
    let way = match find()? {
        Some(way) => way,
        None => install()?,
    };
    match way {
        WasmTarget::Toolchain => note("wasm target", format_args!("{TARGET} of the active toolchain")),
        WasmTarget::Debian => note("wasm target", format_args!("{TARGET} built from Debian's rust-web-src")),
    }
    Ok(way)
}

fn find() -> Result<Option<WasmTarget>> {
    if toolchain_has_it()? {
        return Ok(Some(WasmTarget::Toolchain));
    }
    let debian = debian_package::is_debian() && debian_package::are_installed(&PACKAGES);
    Ok(debian.then_some(WasmTarget::Debian))
}

fn install() -> Result<WasmTarget> {
    if find_program("rustup").is_some() {
        note("wasm target", format_args!("rustup target add {TARGET}"));
        match run_quietly(Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(_) if toolchain_has_it()? => return Ok(WasmTarget::Toolchain),
            Ok(_) => note("wasm target", "rustup added it to another toolchain than the active one"),
            Err(error) => {
                let error = error.to_string();
                let reason: String = error.lines().last().unwrap_or_default().chars().take(90).collect();
                note("wasm target", format_args!("rustup cannot: {reason} …"));
            }
        }
    }
    if debian_package::is_debian() {
        debian_package::install(&PACKAGES).with_context(|| format!("no {TARGET} standard library"))?;
        return Ok(WasmTarget::Debian);
    }
    bail!("the Rust toolchain has no {TARGET} standard library\n  help: run `rustup target add {TARGET}`")
}

fn toolchain_has_it() -> Result<bool> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = run_quietly(Command::new(rustc).args(["--print", "sysroot"]))?;
    let library = PathBuf::from(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib");
    Ok(library.is_dir())
}

impl WasmTarget {
    /// A `cargo build` command for this target. It ignores flags that the environment sets for native code: they
    /// would break the build, or change the filter.
    pub(crate) fn cargo_build(self) -> Command {
        let mut command = match self {
            WasmTarget::Toolchain => {
                let mut command = cargo(["build"]);
                command.env("RUSTFLAGS", "");
                command
            }
            WasmTarget::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                forget_our_own_package(&mut command);
                command
                    .args(["build", "-Zbuild-std=std,panic_abort"])
                    .env("RUSTC", "/usr/bin/rustc")
                    // Building the standard library is an unstable feature, and this compiler is not a nightly.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTFLAGS", "-L native=/usr/lib/wasm32-wasi")
                    .env("CARGO_TARGET_WASM32_WASIP1_LINKER", "wasm-ld-22")
                    // These variables are set for programs of the other toolchain.
                    .env_remove("LD_LIBRARY_PATH")
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        command.args(["--target", TARGET]).env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}
