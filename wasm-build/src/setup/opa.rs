//! OPA, for the test that compares Weir's decisions with those of its predecessor's policy. It is built from pinned
//! modules if Go is installed; otherwise the test uses OPA's recorded answers.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::checkout::{self, find_program, relative};
use crate::step::{note, run_quietly};

/// The oldest release of Go that OPA's module supports.
const OLDEST_GO: (u32, u32) = (1, 26);

/// Builds the program that answers as OPA does. Returns `None`, with a note, where it cannot be built for lack of Go
/// or modules.
///
/// # Errors
/// When the build fails.
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

/// Downloads the modules. The error names the obstacle in one line.
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

/// Parses the release of a version such as `go1.26.8`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("go")?.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn go<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("go");
    let module = checkout::root().join("policy/tests/predecessor/opa");
    command.arg("-C").arg(module).args(arguments.map(OsStr::new));
    // Go uses the installed toolchain and never downloads another.
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
