//! Ends a child when its parent `weir` ends, even if `weir` is killed or crashes.
//!
//! Linux can send a process a chosen signal when its parent ends (`PR_SET_PDEATHSIG`, prctl(2)). But a process can
//! request this only for itself, and without `unsafe` no code can run between fork and exec. So `weir` first runs
//! itself, as `weir exec-with-parent PARENT SIGNAL OPEN_FILES -- PROGRAM ARGS…`. That process requests the signal,
//! checks that the parent still exists (it may have ended before the request), sets the limit of open files, and then
//! becomes PROGRAM.
//!
//! There are two limits. The kernel drops the request if PROGRAM is set-user-ID or has file capabilities, and the
//! request does not cover the child's own children. Outside Linux only the handle ends the
//! child.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use tokio::process::Command;

/// The signal that the kernel sends to a child when `weir` ends without ending the child itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentDeathSignal {
    /// SIGKILL, for Envoy. It has nothing to save, and must not keep listening with keys in its memory.
    Kill,
    /// SIGTERM, for the user's command. It may have work to save, and without `weir` it has no network access anyway.
    Terminate,
}

/// Creates a command that runs `program` bound to this process, with this soft limit of open files. The caller
/// adds arguments, environment and pipes as usual.
#[cfg(target_os = "linux")]
pub fn command(program: impl AsRef<OsStr>, parent_death: ParentDeathSignal, open_files: u64) -> Command {
    // `/proc/self/exe` is the running program itself, even if its file has been replaced.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("weir").arg(ASK).arg(std::process::id().to_string());
    command.arg(signal_name(parent_death)).arg(open_files.to_string()).arg("--").arg(program);
    command
}

/// Creates a command that runs `program`. This system has no parent-death signal. The program inherits this process's limit of
/// open files.
#[cfg(not(target_os = "linux"))]
pub fn command(program: impl AsRef<OsStr>, _at_our_end: ParentDeathSignal, _open_files: u64) -> Command {
    Command::new(program)
}

/// Becomes the bound program if this process was started for that, else returns. `main` calls this first.
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

// The hidden first argument. It may change, because both sides are always one program.
const ASK: &str = "exec-with-parent";

const NOT_RUNNABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

#[cfg(target_os = "linux")]
fn signal_name(parent_death: ParentDeathSignal) -> &'static str {
    match parent_death {
        ParentDeathSignal::Kill => "kill",
        ParentDeathSignal::Terminate => "terminate",
    }
}

/// Replaces this process by the program. On failure, returns the exit code and the message.
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
        return (NOT_RUNNABLE, format!("cannot bind the life of `{program_name}`: {error}"));
    }
    // The check follows the request. Otherwise a parent that ended between them would go unnoticed.
    if getppid() != Some(parent) {
        return (
            NOT_RUNNABLE,
            format!("not running `{program_name}`: the process that started it has ended"),
        );
    }
    if let Err(error) = crate::envoy::capacity::open_files::set_soft(open_files) {
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
