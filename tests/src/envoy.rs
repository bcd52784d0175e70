//! The Envoy binaries that the tests run against.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Every version that the tests run against: the oldest and the newest supported, and two with the TLS fault.
pub const VERSIONS: [&str; 4] = ["1.36.4", "1.38.2", "1.39.3", "1.40.0"];

/// One Envoy, ready to be started.
#[derive(Clone, Debug)]
pub struct EnvoyBinary {
    /// The version, which is also the name of its folder.
    pub version: String,
    /// The executable.
    pub path: PathBuf,
}

impl EnvoyBinary {
    /// The binary of this version in the folder that `WEIR_ENVOYS` names.
    pub fn version(version: &str) -> Result<Self> {
        let folder = std::env::var_os("WEIR_ENVOYS").map(PathBuf::from).context(
            "WEIR_ENVOYS is not set\nhelp: run `cargo xtask test`, which installs the Envoys and sets it",
        )?;
        let path = folder.join(version).join("envoy");
        ensure!(
            path.is_file(),
            "no Envoy at `{}`\nhelp: run `cargo xtask test`, which installs it",
            path.display()
        );
        Ok(Self { version: version.to_owned(), path })
    }

    /// The binary at this path. It runs the binary once to learn its version.
    pub fn at(path: PathBuf) -> Result<Self> {
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run `{} --version`", path.display()))?;
        // The output is `…/envoy  version: <commit>/<version>/<source>/<build>/<TLS library>`.
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_once("version: ").and_then(|(_, rest)| rest.split('/').nth(1));
        let version =
            version.with_context(|| format!("`{}` is no Envoy: it says `{text}`", path.display()))?;
        Ok(Self { version: version.to_owned(), path })
    }

    /// The newest version.
    pub fn newest() -> Result<Self> {
        Self::version(VERSIONS.last().context("no versions")?)
    }
}
