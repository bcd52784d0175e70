//! Child processes that end when we do, however we end.
//!
//! A child that is left behind would keep a port, a proxy and its keys; so beside the handle, which ends it when we
//! end in order, each is [tethered](tether) to us by the kernel, which ends it when we are killed.

pub mod listening;
pub mod program;
pub mod tether;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// A running child. Dropped, it is killed.
#[derive(Debug)]
pub struct Tethered {
    child: Child,
}

impl Tethered {
    /// Starts a command that was made by [`tether::command`].
    ///
    /// The kernel takes the end of the *thread* that calls this for our end: call it from a thread that lives as
    /// long as the child may (the main thread, a runtime's worker), never from `spawn_blocking`.
    ///
    /// A program that cannot be run shows as exit code 127 (not found) or 126, as in a shell, with a message on
    /// stderr: look with [`program::find`] first to say more.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        Ok(Self { child: command.kill_on_drop(true).spawn()? })
    }

    /// The child itself: to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The child's number, until it was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the child has ended. May be called again, and cancelled.
    ///
    /// # Errors
    /// When the operating system refuses to wait.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends a signal to the child. Nothing happens if it has ended.
    ///
    /// # Errors
    /// When the operating system refuses, as for a child that has become another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // A child that was not waited for keeps its number, so this cannot hit another process.
        let Some(id) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
        Ok(kill_process(id, signal)?)
    }

    /// Asks the child to end (SIGTERM), and kills it if it has not within `grace`.
    ///
    /// # Errors
    /// When the operating system refuses to signal or to wait.
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                self.child.start_kill()?;
                self.child.wait().await
            }
        }
    }
}

/// The exit code of a shell for a child's end: its own code, or 128 and the number of the signal that ended it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_reported_as_a_shell_does() {
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
    }
}
