//! The lock of a state folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::process::lock_holder::LockHolder;

/// The time without the lock after which Weir warns. Another run holds the lock for some milliseconds.
const WARNING_AFTER: Duration = Duration::from_secs(1);

/// A lock on files that must be read and written together. When it is dropped, the next process gets it.
#[derive(Debug)]
#[must_use = "the lock ends when it is dropped"]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process holds a lock on the file, and locks it. A warning after a second names the other
    /// process.
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => wait(&file, path)?,
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        Ok(Self { _file: file })
    }
}

/// Waits for a lock that another process holds, and warns of it once.
fn wait(file: &File, path: &Path) -> io::Result<()> {
    let (over, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(WARNING_AFTER) == Err(RecvTimeoutError::Timeout) {
                let holder =
                    LockHolder::find(file).map_or("another process".to_owned(), |holder| holder.to_string());
                tracing::warn!(
                    "{holder} holds the lock `{}`: waiting for it; end that process, or name another folder with `--state DIR`",
                    path.display()
                );
            }
        });
        let result = file.lock();
        drop(over);
        result
    })
}
