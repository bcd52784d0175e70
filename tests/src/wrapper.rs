//! Commands that run another command: with other limits, on a terminal.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Result;

use crate::require_program;

/// Returns a command whose last arguments are the words of `command`.
pub fn wrapped(wrapper: &[&str], command: &Command) -> Command {
    let mut wrapping = Command::new(wrapper[0]);
    wrapping.args(&wrapper[1..]).args(words(command));
    copy_environment(command, &mut wrapping);
    wrapping
}

/// Returns a command that runs `command` on a terminal of its own. The wrapper's stdin is the keyboard, its stdout is the
/// screen, and its exit code is the command's.
pub fn on_terminal(command: &Command) -> Result<Command> {
    let quoted = |word: &OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
    let words: Vec<_> = words(command).map(quoted).collect();
    let mut terminal = Command::new(require_program("script")?);
    // A shell that stays would get the keyboard's signals too. Some shells run the last command in their place, but dash
    // does this only when told.
    terminal.args(["--quiet", "--return", "--command", &format!("exec {}", words.join(" ")), "/dev/null"]);
    copy_environment(command, &mut terminal);
    terminal.env("SHELL", "/bin/sh");
    Ok(terminal)
}

/// Returns the command with these limits of open files, soft and hard.
pub(crate) fn with_open_files((soft, hard): (u64, u64), command: &Command) -> Command {
    const LIMIT: &str = r#"ulimit -Sn "$0" && ulimit -Hn "$1" && shift && exec "$@""#;
    wrapped(&["sh", "-c", LIMIT, &soft.to_string(), &hard.to_string()], command)
}

fn words(command: &Command) -> impl Iterator<Item = &OsStr> {
    std::iter::once(command.get_program()).chain(command.get_args())
}

fn copy_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}
