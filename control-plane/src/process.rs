//! Child processes that end when `weir` ends, however it ends.
//!
//! A child that outlived `weir` would keep a port, a proxy and its keys. An orderly end drops the handle, which ends
//! the child. If `weir` is killed, the kernel ends the child, because each child is bound to its parent.

pub mod listening;
pub mod lock_holder;
pub mod orphans;
pub mod parent_death;
pub mod program;
pub mod signals;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use orphans::OwnChildren;

/// A running child. Dropping it kills the child.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
}

impl ChildProcess {
    /// Starts a command from [`parent_death::command`].
    ///
    /// The kernel treats the end of the *calling thread* as the parent's end. So the caller must be a thread that
    /// lives as long as the child may: the main thread or a runtime's worker, never `spawn_blocking`.
    ///
    /// A program that cannot be run shows as exit code 127 (not found) or 126, as in a shell, with a message on
    /// stderr. [`program::find`] can tell more in advance.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let mut own = OwnChildren::lock();
        let child = command.kill_on_drop(true).spawn()?;
        own.insert(child.id());
        Ok(Self { child })
    }

    /// The child itself, for access to its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The child's number, until it was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the child has ended. The call may be repeated and cancelled.
    ///
    /// # Errors
    /// When the operating system refuses to wait.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let id = self.child.id();
        let status = self.child.wait().await?;
        OwnChildren::lock().remove(id);
        Ok(status)
    }

    /// Kills the child.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.start_kill()
    }

    /// Sends a signal to the child. Has no effect if the child has ended. A stopped child continues with SIGTERM and
    /// SIGHUP, which it could not act on otherwise; shells send SIGCONT to their stopped jobs as well.
    ///
    /// # Errors
    /// When the operating system refuses, for example because the child has changed its user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // A child keeps its number until it is waited for, so the signal cannot reach another process.
        let Some(id) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
        kill_process(id, signal)?;
        if [Signal::TERM, Signal::HUP].contains(&signal) {
            kill_process(id, Signal::CONT)?;
        }
        Ok(())
    }

    /// Sends SIGTERM to the child, and kills it if it has not ended within `grace`.
    ///
    /// # Errors
    /// When the operating system refuses to signal or to wait.
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                self.kill()?;
                self.wait().await
            }
        }
    }
}

/// The exit code that a shell would report for a child: its own code, or 128 plus the number of the signal that ended
/// it.
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
