//! OPA, for the test that holds Weir's decisions against those of the policy that came before it. It is built from
//! pinned modules where there is Go. Where there is none, OPA's recorded answers stand for it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::checkout::{self, find_program, relative};
use crate::step::{note, run_quietly};

/// What OPA's module asks for.
const OLDEST_GO: (u32, u32) = (1, 26);

/// The program that answers as OPA does; none where it cannot be had, which is said.
///
/// # Errors
/// When it does not build.
pub(crate) fn ensure() -> Result<Option<PathBuf>> {
    if let Err(obstacle) = obtain_modules() {
        note("OPA", format_args!("NOT RUN: {obstacle}; the tests have its recorded answers alone"));
        return Ok(None);
    }
    let program = checkout::target_directory()?.join("opa/opa-answers");
    run_quietly(go(["build", "-buildvcs=false", "-o"]).arg(&program))?;
    note("OPA", relative(&program));
    Ok(Some(program))
}

/// What stands in the way, in one line.
fn obtain_modules() -> Result<(), String> {
    if find_program("go").is_none() {
        return Err("there is no Go".to_owned());
    }
    let one_line = |error: anyhow::Error| error.to_string().replace('\n', ": ");
    let version = run_quietly(&mut go(["env", "GOVERSION"])).map_err(one_line)?;
    let version = version.trim();
    if release(version).is_none_or(|release| release < OLDEST_GO) {
        return Err(format!("Go is {version}, and OPA needs {}.{}", OLDEST_GO.0, OLDEST_GO.1));
    }
    run_quietly(&mut go(["mod", "download"])).map(drop).map_err(one_line)
}

/// The release of a version such as `go1.26.8`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("go")?.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn go<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("go");
    let module = checkout::root().join("policy/tests/predecessor/opa");
    command.arg("-C").arg(module).args(arguments.map(OsStr::new));
    // Another toolchain is never fetched: what is there, or nothing.
    command.env("GOTOOLCHAIN", "local");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_off_a_version() {
        assert_eq!(release("go1.26.8"), Some((1, 26)));
        assert_eq!(release("go1.27rc1"), Some((1, 27)));
        assert_eq!(release("devel"), None);
    }
}
