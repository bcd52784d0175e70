//! Opening a file that must be a regular one.
//!
//! A policy names files, and to open a FIFO in place of one waits until somebody writes to it: for ever, perhaps.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file for reading, without waiting.
///
/// # Errors
/// It cannot be opened, or is a folder, a FIFO, a device or a socket.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Before the file is opened: to open a device may have effects.
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    // The file may have become a FIFO since.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [&fifo, folder.path(), Path::new("/dev/zero")] {
            assert_eq!(open(path).unwrap_err().to_string(), "it is not a regular file");
        }
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        open(&folder.path().join("link")).unwrap();
    }
}
