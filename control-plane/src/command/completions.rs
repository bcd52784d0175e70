//! `weir completions SHELL`: a script that completes commands and options.

use clap_complete::Shell;

use crate::command::exit_code::ExitCode;
use crate::command::streams;

/// The arguments of `weir completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell that will read the script
    shell: Shell,
}

/// Prints the script for this command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments, mut weir: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut weir, "weir", &mut script);
    streams::run(|out, _, _| {
        out.write_all(&script)?;
        Ok(ExitCode::Ok)
    })
}
