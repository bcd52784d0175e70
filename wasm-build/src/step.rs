//! Running a command with a report: the command, its duration, and its output if it fails.
//!
//! The whole report goes to stderr.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fmt};

use anyhow::{Context, Result, bail};

use crate::checkout;

/// Announces `what`, runs the work, and reports its duration. The first failure ends the run, and its error names the
/// step.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let start = Instant::now();
    let result = work().with_context(|| format!("{what}: failed after {}", Seconds(start.elapsed())))?;
    eprintln!("    {what}: done in {}", Seconds(start.elapsed()));
    Ok(result)
}

/// Prints one line of the set-up: `subject`, and its state or the action that the set-up took.
pub(crate) fn note(subject: &str, text: impl fmt::Display) {
    eprintln!("    {subject:<12} {text}");
}

/// Runs `command` in the checkout, with this program's own streams.
///
/// # Errors
/// When the command cannot be started or does not exit with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command.current_dir(checkout::root());
    let status = command.status().with_context(|| format!("cannot start {}", Shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", Shown(command));
    }
    Ok(())
}

/// Runs `command` without showing its output, and returns its stdout.
///
/// # Errors
/// When the command cannot be started or does not exit with 0. The error then carries the last lines of its output.
pub(crate) fn run_quietly(command: &mut Command) -> Result<String> {
    command.current_dir(checkout::root()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {}", Shown(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = stdout + &String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}\n{}", Shown(command), output.status, last_lines(&said, 20));
    }
    Ok(stdout)
}

/// Builds a `cargo` command that behaves as it would from a shell in the checkout.
pub(crate) fn cargo<I>(arguments: I) -> Command
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_our_own_package(&mut command);
    command.args(arguments.into_iter().map(Into::into));
    command
}

/// Removes the variables that `cargo run` set for this program. Build scripts that watch these variables would
/// otherwise run and compile again whenever builds by hand and builds from this program alternate.
pub(crate) fn forget_our_own_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
}

/// Shows a command as a person would type it.
struct Shown<'c>(&'c Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.0.get_program();
        write!(f, "`{}", Path::new(program).file_name().unwrap_or(program).display())?;
        for argument in self.0.get_args() {
            // An inline script would tell the reader nothing.
            if argument.as_encoded_bytes().contains(&b'\n') {
                write!(f, " …")?;
            } else {
                write!(f, " {}", argument.display())?;
            }
        }
        write!(f, "`")
    }
}

/// Shows a duration in seconds with one digit: `12.3 s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_command_gives_its_stdout() {
        assert_eq!(run_quietly(Command::new("echo").arg("yes")).unwrap(), "yes\n");
    }

    #[test]
    fn a_failing_quiet_command_says_what_it_said() {
        let error = run_quietly(Command::new("sh").args(["-c", "echo the reason >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().ends_with("the reason"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-of-weir")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program-of-weir`");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
