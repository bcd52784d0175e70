//! The file of `--decisions`: no line is lost because the file was renamed, removed or replaced.
//!
//! Weir renames a file that grows too long, and other programs may rename it too (logrotate). Before each text, Weir looks
//! whether the path still leads to the open file, and opens the path again otherwise. If that fails, or if the file
//! cannot be renamed, Weir continues with the file that it has.
//!
//! Runs may share a file. Each text is appended by one write, and a lock (flock(2)) of the open file lets one run at a
//! time rename it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::stream::Destination;

/// A file that would grow beyond this size gets the name `FILE.1` first, in place of an older one.
const MOST_BYTES: u64 = 64 << 20;
const MODE: u32 = 0o600;
/// The maximum number of links on the way to a file (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// An open file that lines are appended to.
#[derive(Debug)]
pub(crate) struct DecisionFile {
    path: PathBuf,
    open: OpenFile,
    most: u64,
    /// Whether the present trouble has been reported.
    is_in_trouble: bool,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// The path of a regular file, without links. A pipe, a device and a file that /proc leads to (`/dev/stderr`) have
    /// none: they belong to others, and are never renamed.
    path: Option<PathBuf>,
}

/// The reason why Weir cannot rename or open the file, and writes to the one that is open.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot lock `{}` to rename it: {cause}; the file grows", path.display())]
    Lock { path: PathBuf, cause: io::Error },
    #[error("cannot rename `{}` to `{}`: {cause}; the file grows", from.display(), to.display())]
    Rename { from: PathBuf, to: PathBuf, cause: io::Error },
    #[error("cannot open `{}` again: {cause}; decisions go to the file that had this name", path.display())]
    Open { path: PathBuf, cause: io::Error },
}

impl DecisionFile {
    /// Opens the file, and makes it with mode 0600 if it does not exist.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_size(path, MOST_BYTES)
    }

    fn with_size(path: &Path, most: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), open: OpenFile::open(path, MODE)?, most, is_in_trouble: false })
    }

    /// Returns whether a text of so many bytes belongs into another file than the last text.
    fn follow(&mut self, bytes: u64) -> Result<bool, Trouble> {
        let Some(path) = &self.open.path else { return Ok(false) };
        if self.open.is_at(&self.path) {
            let size = self.open.file.metadata().map_or(0, |metadata| metadata.len());
            if size == 0 || size.saturating_add(bytes) <= self.most {
                return Ok(false);
            }
            match self.open.file.try_lock() {
                Ok(()) => {}
                // Another run renames the file at this moment.
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(cause)) => return Err(Trouble::Lock { path: path.clone(), cause }),
            }
            // The other run may have renamed the file before the lock.
            let renamed = if self.open.is_at(&self.path) { rename(path) } else { Ok(()) };
            // The lock ends with the file at the latest.
            let _ = self.open.file.unlock();
            renamed?;
        }
        let mode = self.open.file.metadata().map_or(MODE, |metadata| metadata.mode() & 0o777);
        let failed = |cause| Trouble::Open { path: self.path.clone(), cause };
        self.open = OpenFile::open(&self.path, mode).map_err(failed)?;
        Ok(true)
    }
}

impl Destination for DecisionFile {
    fn prepare(&mut self, bytes: usize) -> bool {
        match self.follow(bytes as u64) {
            Ok(is_another) => {
                self.is_in_trouble = false;
                is_another
            }
            Err(trouble) => {
                if !self.is_in_trouble {
                    tracing::warn!("{trouble}");
                }
                self.is_in_trouble = true;
                false
            }
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.open.file.as_fd()
    }
}

impl OpenFile {
    /// Opens the file, and makes it with this mode if it does not exist.
    fn open(path: &Path, mode: u32) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).mode(mode);
        let file = match options.clone().create_new(true).open(path) {
            Ok(file) => {
                // The umask of a run does not apply to the successor of a file.
                file.set_permissions(Permissions::from_mode(mode))?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Without a reader, Linux opens a FIFO at once for both.
                options.read(path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()));
                options.create(true).open(path)?
            }
            Err(error) => return Err(error),
        };
        let path = if file.metadata()?.is_file() { resolve(path) } else { None };
        Ok(Self { file, path })
    }

    /// Returns whether the path leads to this file.
    fn is_at(&self, path: &Path) -> bool {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let both = self.file.metadata().ok().zip(path.metadata().ok());
        both.is_some_and(|(open, found)| id(open) == id(found))
    }
}

/// Gives the file the name `FILE.1`.
fn rename(from: &Path) -> Result<(), Trouble> {
    let mut to = from.to_owned().into_os_string();
    to.push(".1");
    let to = PathBuf::from(to);
    fs::rename(from, &to).map_err(|cause| Trouble::Rename { from: from.to_owned(), to, cause })
}

/// Follows the links to a file. Returns `None` for a file that /proc leads to, which another program opened.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = path.parent()?.canonicalize().ok()?;
        if folder.starts_with("/proc") {
            return None;
        }
        path = folder.join(path.file_name()?);
        match path.read_link() {
            Ok(target) => path = folder.join(target),
            Err(_) => return Some(path),
        }
    }
    None
}

#[cfg(test)]
mod tests;
