//! Paths: the checkout, its tools folder, and the target directory.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder of the pinned Envoys, with one sub-folder for each version: `1.40.0/envoy`.
pub(crate) fn envoys() -> PathBuf {
    root().join(".tools/envoy")
}

/// Cargo's target directory: `$CARGO_TARGET_DIR`, else the one that this program runs from. The latter is right even
/// if Cargo's configuration names another folder.
pub(crate) fn target_directory() -> Result<PathBuf> {
    if let Some(directory) = env::var_os("CARGO_TARGET_DIR").filter(|directory| !directory.is_empty()) {
        return std::path::absolute(directory).context("CARGO_TARGET_DIR");
    }
    let program = env::current_exe().context("the path of this program")?;
    // The program's path is `<target directory>/debug/xtask`.
    program.ancestors().nth(2).map(Path::to_path_buf).context("this program is not in a target directory")
}

/// Formats `path` relative to the checkout.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Finds the file that a shell would run for `program`. The search includes the system's administration folders,
/// which an ordinary user's PATH may lack: Debian installs nginx there.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

/// Returns whether `file` is a regular file with an execute permission.
pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_folder_of_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_program_on_the_path_is_found_and_another_is_not() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-of-weir"), None);
    }

    #[test]
    fn a_folder_is_not_executable() {
        assert!(!is_executable(Path::new("/")));
    }
}
