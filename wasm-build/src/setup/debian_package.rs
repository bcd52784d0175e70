//! System packages: looks for their programs, and installs missing ones with apt if it is allowed to.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::checkout::find_program;
use crate::step::{note, run_quietly};

/// A program and the Debian package that contains it.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Installs the packages of all missing programs in one call.
pub(crate) fn ensure(programs: &[Program]) -> Result<()> {
    let names = |programs: &[Program]| programs.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
    let missing: Vec<Program> = programs.iter().copied().filter(|p| find_program(p.name).is_none()).collect();
    if missing.is_empty() {
        note("programs", format_args!("{} are there", names(programs)));
        return Ok(());
    }
    if !is_debian() {
        bail!("missing on this system, please install: {}", names(&missing));
    }
    install(&missing.iter().map(|p| p.package).collect::<Vec<_>>())?;
    if missing.iter().any(|p| p.name == "nginx") {
        keep_from_starting_at_boot("nginx")?;
    }
    match missing.iter().find(|p| find_program(p.name).is_none()) {
        Some(absent) => bail!("`{}` was installed, but `{}` is still not found", absent.package, absent.name),
        None => Ok(()),
    }
}

/// Returns whether this system is Debian or derives from it.
pub(crate) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && find_program("apt-get").is_some()
}

/// Returns whether dpkg lists every one of `packages` as installed.
pub(crate) fn are_installed(packages: &[&str]) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Abbrev}\n"]).args(packages);
    run_quietly(&mut query).is_ok_and(|states| states.lines().all(|state| state.starts_with("ii")))
}

/// Installs `packages` without recommended packages and without starting a service.
///
/// # Errors
/// When this user is not root: the error is one line with the command to run. When apt fails: the error is apt's
/// output.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let packages = packages.join(" ");
    if !is_root() {
        bail!("missing: run `sudo apt-get install --no-install-recommends {packages}`, then this again");
    }
    note("packages", format_args!("installing {packages} with apt-get"));
    let _guard = NoServiceStart::new()?;
    let install = || {
        let mut command = apt_get();
        command.args(["install", "--yes", "--no-install-recommends"]).args(packages.split(' '));
        run_quietly(&mut command)
    };
    // A fresh machine has no package lists, and old lists name files that are gone. Current lists need no update, so
    // the first attempt makes none.
    if install().is_err() {
        note("packages", "apt-get update first");
        run_quietly(apt_get().arg("update"))?;
        install()?;
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Disables a service that Debian enables with its package. The tests start their own, on free ports.
fn keep_from_starting_at_boot(service: &str) -> Result<()> {
    run_quietly(Command::new("update-rc.d").args([service, "disable"]).stdout(Stdio::null()))?;
    note(service, "installed as a program only: not started, and not at boot");
    Ok(())
}

/// A guard that keeps packages from starting a service while it exists. Debian runs `policy-rc.d` first, and exit
/// code 101 forbids the start. A file that somebody else put there stays in force.
struct NoServiceStart {
    ours: bool,
}

impl NoServiceStart {
    const FILE: &str = "/usr/sbin/policy-rc.d";
    const MARK: &str = "# made by Weir's set-up";

    fn new() -> Result<NoServiceStart> {
        if fs::read_to_string(Self::FILE).is_ok_and(|script| script.contains(Self::MARK)) {
            fs::remove_file(Self::FILE).context(Self::FILE)?;
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(Self::FILE) {
            Ok(mut file) => {
                let guard = NoServiceStart { ours: true };
                file.write_all(Self::script(process::id()).as_bytes()).context(Self::FILE)?;
                Ok(guard)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                note(
                    "packages",
                    format_args!("{} is already there: it decides which services start", Self::FILE),
                );
                Ok(NoServiceStart { ours: false })
            }
            Err(error) => Err(error).context(Self::FILE),
        }
    }

    /// The script that forbids starts while the process `pid` runs. If that process was killed, the script allows the
    /// start and removes itself.
    fn script(pid: u32) -> String {
        format!("#!/bin/sh\n{}\nkill -0 {pid} 2>/dev/null && exit 101\nrm -f \"$0\"\nexit 0\n", Self::MARK)
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(Self::FILE).is_err() {
            note("packages", format_args!("please remove {}: it keeps services from starting", Self::FILE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script, and returns its exit code and whether the file still exists.
    fn answer(name: &str, pid: u32) -> (Option<i32>, bool) {
        let file = std::env::temp_dir().join(format!("weir-xtask-{}-{name}", process::id()));
        fs::write(&file, NoServiceStart::script(pid)).unwrap();
        let status = Command::new("sh").arg(&file).status().unwrap();
        let there = file.exists();
        let _ = fs::remove_file(file);
        (status.code(), there)
    }

    #[test]
    fn services_may_not_start_while_we_run() {
        assert_eq!(answer("running", process::id()), (Some(101), true));
    }

    #[test]
    fn a_guard_left_behind_allows_services_and_removes_itself() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(answer("left-behind", child.id()), (Some(0), false));
    }

    #[test]
    fn a_package_that_does_not_exist_is_not_installed() {
        assert!(!are_installed(&["no-such-package-of-weir"]));
    }
}
