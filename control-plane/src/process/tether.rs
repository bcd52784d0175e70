//! Ties a child's life to ours, also when we are killed or crash and can end nothing any more.
//!
//! Linux sends a process the signal of its choice when its parent ends (`PR_SET_PDEATHSIG`, prctl(2)), but a process
//! can only ask for itself, and between fork and exec nothing can run without `unsafe`. So `weir` runs itself first,
//! as `weir exec-with-parent PARENT SIGNAL OPEN_FILES -- PROGRAM ARGS…`: that asks for the signal, looks whether the
//! parent is still there (it may have ended before the question), sets the limit of open files, and becomes PROGRAM.
//!
//! What it does not cover: the kernel forgets the request when PROGRAM is set-user-ID or has file capabilities, and
//! a child's own children are the child's affair. Outside Linux there is no tether, and only the handle ends the
//! child.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use tokio::process::Command;

/// What happens to a child at our end if we cannot end it ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtOurEnd {
    /// SIGKILL: for Envoy. It has nothing to save, and must not go on listening with keys in its memory.
    Kill,
    /// SIGTERM: for the user's command. It may have work to save, and without us it reaches nothing anyway.
    Terminate,
}

/// A command that runs `program` tethered to us, with this soft limit of open files. Add arguments, environment and pipes
/// to it as to any command.
#[cfg(target_os = "linux")]
pub fn command(program: impl AsRef<OsStr>, at_our_end: AtOurEnd, open_files: u64) -> Command {
    // Not the path of our file: this is the very program that runs, also if the file was replaced since.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("weir").arg(ASK).arg(std::process::id().to_string());
    command.arg(signal_name(at_our_end)).arg(open_files.to_string()).arg("--").arg(program);
    command
}

/// A command that runs `program`. On this system it is not tethered, and has our limit of open files.
#[cfg(not(target_os = "linux"))]
pub fn command(program: impl AsRef<OsStr>, _at_our_end: AtOurEnd, _open_files: u64) -> Command {
    Command::new(program)
}

/// Becomes the tethered program if this process was started to do that, else returns. The first call in `main`.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ASK) {
        return;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let (code, message) = exec(&arguments);
    // A closed stream must not change the code.
    let _ = writeln!(std::io::stderr(), "weir: {message}");
    std::process::exit(code);
}

// The hidden first argument. A change breaks nothing: both ends are always the same program.
const ASK: &str = "exec-with-parent";

const NOT_RUNNABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

#[cfg(target_os = "linux")]
fn signal_name(at_our_end: AtOurEnd) -> &'static str {
    match at_our_end {
        AtOurEnd::Kill => "kill",
        AtOurEnd::Terminate => "terminate",
    }
}

/// Returns only when it fails, with the exit code and the message.
#[cfg(target_os = "linux")]
fn exec(arguments: &[OsString]) -> (i32, String) {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;

    let [parent, signal, open_files, dashes, program, arguments @ ..] = arguments else {
        return (NOT_RUNNABLE, format!("`{ASK}` is for weir's own use"));
    };
    let parent = parent.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
    let signal = match signal.to_str() {
        Some("kill") => Some(Signal::KILL),
        Some("terminate") => Some(Signal::TERM),
        _ => None,
    };
    let open_files = open_files.to_str().and_then(|text| text.parse().ok());
    let (Some(parent), Some(signal), Some(open_files)) =
        (parent, signal.filter(|_| dashes == "--"), open_files)
    else {
        return (NOT_RUNNABLE, format!("`{ASK}` is for weir's own use"));
    };
    let program_name = program.to_string_lossy();
    if let Err(error) = set_parent_process_death_signal(Some(signal)) {
        return (NOT_RUNNABLE, format!("cannot tether `{program_name}`: {error}"));
    }
    // After the request, not before: a parent that ends in between would go unnoticed.
    if getppid() != Some(parent) {
        return (
            NOT_RUNNABLE,
            format!("not running `{program_name}`: the process that asked for it has ended"),
        );
    }
    if let Err(error) = crate::capacity::open_files::set_soft(open_files) {
        return (NOT_RUNNABLE, format!("cannot set the limit of open files for `{program_name}`: {error}"));
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
    (code, format!("cannot run `{program_name}`: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn exec(_arguments: &[OsString]) -> (i32, String) {
    (NOT_RUNNABLE, format!("`{ASK}` works on Linux only"))
}
