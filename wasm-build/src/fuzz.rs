//! Runs each fuzz target for some time. Fuzzing needs a nightly compiler and cargo-fuzz. Set-up does not install
//! them, because nothing else uses them.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checkout;
use crate::step::{run, run_quietly, step};

/// Runs each target for this many seconds, starting from its seeds and the corpus of earlier runs.
pub(crate) fn run_all(seconds: u32, only: &[String]) -> Result<()> {
    look_for_tools()?;
    let mut targets = targets()?;
    if let Some(unknown) = only.iter().find(|target| !targets.contains(target)) {
        bail!("there is no fuzz target `{unknown}`\n  help: the targets are {}", targets.join(", "));
    }
    targets.retain(|target| only.is_empty() || only.contains(target));
    for target in &targets {
        step(&format!("fuzz {target}"), || {
            let corpus = checkout::root().join("fuzz/corpus").join(target);
            std::fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
            let mut fuzz = nightly(["fuzz", "run", target]);
            fuzz.arg(&corpus).arg(checkout::root().join("fuzz/seeds").join(target));
            run(fuzz.args(["--", &format!("-max_total_time={seconds}"), "-verbosity=0"]))
        })?;
    }
    Ok(())
}

/// Lists the files of `fuzz/fuzz_targets`, by name.
fn targets() -> Result<Vec<String>> {
    let folder = checkout::root().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        targets.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

fn look_for_tools() -> Result<()> {
    if run_quietly(&mut nightly(["--version"])).is_err() {
        bail!("no nightly compiler, which fuzzing needs\n  help: run `rustup toolchain install nightly`");
    }
    if run_quietly(&mut nightly(["fuzz", "--version"])).is_err() {
        bail!("no cargo-fuzz\n  help: run `cargo install cargo-fuzz`");
    }
    Ok(())
}

/// Builds a `cargo +nightly` command. The `cargo` that runs this program belongs to one toolchain and rejects
/// `+nightly`; rustup's `cargo` is on the path.
fn nightly<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("cargo");
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").arg("+nightly").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_a_check() {
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let seeds = checkout::root().join("fuzz/seeds").join(&target);
            assert!(std::fs::read_dir(&seeds).unwrap().next().is_some(), "{}", seeds.display());
            assert!(checkout::root().join(format!("fuzz/checks/{target}.rs")).is_file(), "{target}");
        }
    }
}
